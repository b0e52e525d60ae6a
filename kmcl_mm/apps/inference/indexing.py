"""An index of similar images from the training data of a configuration."""

from typing import NamedTuple

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.utils import track_iter_progress
from mmpretrain.registry import DATASETS
from mmpretrain.structures import label_to_onehot
from torch.utils.data import DataLoader, Dataset, Subset

from ...checks import check_at_least
from ...datasets.wrappers import check_nesting, each_image_once, with_pipeline
from .image_names import image_names
from .inferencer import KMCLInferencer, Prediction
from .preprocessing import Skipped, raise_storage_error
from .similar import ImageIndex, fingerprint_of
from .thumbnails import thumbnail_of


def build_index(
    inferencer: KMCLInferencer, num_images: int | None = None, batch_size: int = 32
) -> tuple[ImageIndex, list[Skipped]]:
    """Embed the training images of a configuration as its test pipeline prepares them, with a progress bar.

    Args:
        inferencer: The classifier. The images come from the data set of its configuration's ``train_dataloader``,
            loaded by the workers of that loader.
        num_images: Take this many, drawn with a fixed seed. Default: all.
        batch_size: Number of images that the network gets at once.

    Returns:
        The index, and the images that are missing or broken.

    Raises:
        ValueError: There is no training data set, it has other labels than the classifier, none of its images can be
            read, or ``num_images`` is less than 1.
        OSError: The storage of the images does not answer.
    """
    dataset = _loading_dataset(inferencer)
    classes = list(dataset.metainfo.get('classes') or ())
    if classes != inferencer.classes:
        raise ValueError(
            f'The labels of the training data, {classes}, are not those of the checkpoint, {inferencer.classes}. Use '
            'the configuration that the checkpoint was trained with.'
        )
    names, places = image_names(dataset), list(range(len(dataset)))
    if num_images is not None:
        check_at_least('num_images', num_images, 1)
        places = np.sort(np.random.default_rng(0).permutation(len(dataset))[:num_images]).tolist()
    loader = DataLoader(
        _Images(Subset(dataset, places), [names[place] for place in places], len(classes)),
        batch_size=batch_size,
        num_workers=inferencer.config.train_dataloader.get('num_workers', 0),
        collate_fn=list,
    )
    images: list[_Image] = []
    predictions: list[Prediction] = []
    skipped: list[Skipped] = []
    for batch in track_iter_progress((loader, len(loader))):
        skipped += [item for item in batch if isinstance(item, Skipped)]
        loaded = [item for item in batch if not isinstance(item, Skipped)]
        if loaded:
            arrays = [pixels for pixels, _ in loaded]
            predictions += inferencer(arrays, batch_size=batch_size, with_embedding=True, with_progress=False).images
            images += [image for _, image in loaded]
    print()
    if not images:
        raise ValueError(
            f'None of the {len(skipped)} training images can be read. The first, {skipped[0].source}: '
            f'{skipped[0].reason}.'
            if skipped
            else 'The training data set has no images.'
        )
    return _as_index(images, predictions, inferencer), skipped


class _Image(NamedTuple):
    """Name, labels (K,) and small JPEG of an image."""

    name: str
    target: np.ndarray
    thumbnail: bytes


class _Images(Dataset):
    """Images (H, W, 3) in BGR of a data set that loads and prepares nothing, each with what the index keeps of it."""

    def __init__(self, dataset: Subset, names: list[str], num_classes: int) -> None:
        self._dataset, self._names, self._num_classes = dataset, names, num_classes

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, place: int) -> tuple[np.ndarray, _Image] | Skipped:
        try:
            item = self._dataset[place]
        except Exception as error:
            raise_storage_error(error)
            return Skipped(self._names[place], str(error))
        target = item['gt_score'] if 'gt_score' in item else label_to_onehot(item['gt_label'], self._num_classes)
        return item['img'], _Image(self._names[place], np.asarray(target).astype(np.int8), thumbnail_of(item['img']))


def _loading_dataset(inferencer: KMCLInferencer) -> BaseDataset:
    """The training data set, with the loading of the test pipeline alone."""
    dataset = (inferencer.config.get('train_dataloader') or {}).get('dataset')
    if dataset is None:
        raise ValueError('The configuration has no train_dataloader.dataset, whose images an index would show.')
    check_nesting(dataset)
    return DATASETS.build(with_pipeline(each_image_once(dataset.to_dict()), inferencer.pipeline.loading))


def _as_index(images: list[_Image], predictions: list[Prediction], inferencer: KMCLInferencer) -> ImageIndex:
    uncertainty = [np.nan if prediction.uncertainty is None else prediction.uncertainty for prediction in predictions]
    return ImageIndex(
        labels=tuple(inferencer.classes),
        fingerprint=fingerprint_of(inferencer.model.head, inferencer.config),
        names=tuple(image.name for image in images),
        embeddings=np.array([prediction.embedding for prediction in predictions], np.float32),
        target=np.stack([image.target for image in images]),
        thumbnails=tuple(image.thumbnail for image in images),
        indecision=np.array([prediction.indecision for prediction in predictions], np.float32),
        uncertainty=np.array(uncertainty, np.float32),
    )
