"""Loaders of the images that are described for a calibration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader, Dataset

from ...datasets.wrappers import check_nesting, each_image_once, pipeline_of, with_pipeline
from ...engine import KMCLRunner
from ...engine.checkpoint_labels import check_same_labels
from ..inference.image_names import image_names
from ..inference.preprocessing import raise_storage_error


class Unreadable(NamedTuple):
    """An image that cannot be read.

    Attributes:
        number: Its number in the data set.
        source: Its path.
        reason: Why not.
    """

    number: int
    source: str
    reason: str


class ReadableImages(Dataset):
    """A data set in which an image that cannot be read is not an error.

    Args:
        dataset: The data set.
        places: Indices of the images to take. Default: all.

    Attributes:
        metainfo: That of the data set.
        names: Names of the images taken, within the whole data set.
    """

    def __init__(self, dataset: Any, places: Sequence[int] | None = None) -> None:
        self.metainfo = dataset.metainfo
        self._dataset, self._places = dataset, range(len(dataset)) if places is None else places
        names = image_names(dataset)
        self.names = [names[place] for place in self._places]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> dict[str, Any] | Unreadable:
        path = self.get_data_info(number).get('img_path')
        try:
            item = self._dataset[self._places[number]]
        except Exception as error:
            raise_storage_error(error)
            return Unreadable(number, path or f'image {self._places[number]}', str(error))
        # MMEngine's data sets give another image in place of one that the pipeline drops.
        if path and item['data_samples'].get('img_path', path) != path:
            return Unreadable(number, path, 'the pipeline drops it')
        return item

    def get_data_info(self, number: int) -> dict[str, Any]:
        """The annotations of an image, by its number among those taken."""
        return self._dataset.get_data_info(self._places[number])


def collate_readable(items: Sequence[dict[str, Any] | Unreadable]) -> dict[str, Any]:
    """A batch of :class:`ReadableImages`.

    Args:
        items: What the data set gave.

    Returns:
        The batch, and ``skipped``; that alone where no image could be read.
    """
    skipped = [item for item in items if isinstance(item, Unreadable)]
    read = [item for item in items if not isinstance(item, Unreadable)]
    return dict(pseudo_collate(read) if read else {}, skipped=skipped)


def training_loader(
    cfg: Config, checkpoint: dict[str, Any], path: str | Path, max_images: int | None = None
) -> DataLoader:
    """A loader of the training images, each once, as the test pipeline prepares them; unreadable ones are skipped.

    Args:
        cfg: The configuration.
        checkpoint: The checkpoint, whose labels the images must have.
        path: Its path, for messages.
        max_images: Take this many, drawn with a fixed seed. Default: all.

    Returns:
        The loader.

    Raises:
        ValueError: The configuration has no training images, or they have other labels.
    """
    dataset_cfg = (cfg.get('train_dataloader') or {}).get('dataset')
    if dataset_cfg is None:
        raise ValueError('The configuration has no train_dataloader.dataset, whose images would vote.')
    check_nesting(dataset_cfg)
    pipeline = pipeline_of(cfg.test_dataloader.dataset)
    dataset = DATASETS.build(with_pipeline(each_image_once(dataset_cfg.to_dict()), pipeline))
    check_same_labels(checkpoint, path, dataset.metainfo.get('classes'))
    places = None
    if max_images is not None and max_images < len(dataset):
        places = np.sort(np.random.default_rng(0).permutation(len(dataset))[:max_images]).tolist()
    loader = dict(dataset=ReadableImages(dataset, places), collate_fn=collate_readable)
    return _in_order(cfg.test_dataloader, **loader)


def evaluation_loader(cfg: Config, name: str, checkpoint: dict[str, Any], path: str | Path) -> DataLoader:
    """A loader of validation or test images in their order, with labels compared as :func:`training_loader` does.

    Args:
        cfg: The configuration.
        name: 'val_dataloader' or 'test_dataloader'.
        checkpoint: The checkpoint.
        path: Its path, for messages.

    Returns:
        The loader.

    Raises:
        ValueError: The configuration has no such images, or they have other labels.
    """
    loader_cfg = cfg.get(name) or {}
    if loader_cfg.get('dataset') is None:
        raise ValueError(f'The configuration has no {name}.dataset, whose images are needed.')
    loader = _in_order(loader_cfg)
    dataset: Any = loader.dataset
    check_same_labels(checkpoint, path, dataset.metainfo.get('classes'))
    return loader


def _in_order(loader_cfg: dict[str, Any], **changes: Any) -> DataLoader:
    sampler = dict(type='DefaultSampler', shuffle=False)
    return KMCLRunner.build_dataloader(dict(loader_cfg, sampler=sampler, drop_last=False, **changes), seed=0)


def check_apart(first: DataLoader, others: DataLoader, name: str, what: str) -> None:
    """Refuse images that are in two places.

    Args:
        first: The loader of some images, of which each has a file.
        others: That of other images.
        name: What the configuration calls these, for the message.
        what: What the first ones are, for the message.

    Raises:
        ValueError: Some files are in both.
    """
    paths, judged = (_paths(loader.dataset) for loader in (first, others))
    shared = len(paths & judged)
    if shared:
        raise ValueError(f'{shared} of {len(judged)} images of {name} are {what}. Give it other images.')


def _paths(dataset: Any) -> set[str]:
    paths = (dataset.get_data_info(place).get('img_path') for place in range(len(dataset)))
    return {path for path in paths if path}
