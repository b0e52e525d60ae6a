"""An index of similar images from the training data of a configuration."""

from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple, Union

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.utils import track_iter_progress
from mmpretrain.registry import DATASETS, TRANSFORMS
from mmpretrain.structures import label_to_onehot
from torch.utils.data import DataLoader, Dataset, Subset

from ..datasets.wrappers import each_image_once
from ..functional.checks import check_at_least
from .inferencer import KMCLInferencer, Prediction
from .preprocessing import Skipped
from .similar import ImageIndex, fingerprint_of

# Pixels of the longer side, and JPEG quality, of the pictures in the index: about 4 kB each.
THUMBNAIL_SIZE = 160
_QUALITY = 80


def build_index(
    inferencer: KMCLInferencer, cfg: Config, num_images: Optional[int] = None
) -> Tuple[ImageIndex, List[Skipped]]:
    """Embed the training images of a configuration as its test pipeline prepares them, with a progress bar.

    Args:
        inferencer: The classifier.
        cfg: Its configuration. The images come from the data set of ``train_dataloader``, loaded by its workers.
        num_images: Take this many, drawn with a fixed seed. Default: all.

    Returns:
        The index, and the images that could not be read.

    Raises:
        ValueError: There is no training data set, it has other labels than the classifier, none of its images can be
            read, or ``num_images`` is less than 1.
    """
    dataset = _loading_dataset(cfg)
    classes = list(dataset.metainfo.get('classes') or ())
    if classes != inferencer.labels:
        raise ValueError(
            f'Expected the training data to have the labels of the checkpoint, {inferencer.labels}, but it has '
            f'{classes}. Take the configuration that the checkpoint was trained with.'
        )
    if num_images is not None:
        check_at_least('num_images', num_images, 1)
        dataset = Subset(dataset, np.sort(np.random.default_rng(0).permutation(len(dataset))[:num_images]).tolist())
    loader = DataLoader(
        _Images(dataset, len(classes)),
        batch_size=inferencer.batch_size,
        num_workers=cfg.train_dataloader.get('num_workers', 0),
        collate_fn=list,
    )
    images: List[_Image] = []
    predictions: List[Prediction] = []
    skipped: List[Skipped] = []
    for batch in track_iter_progress((loader, len(loader))):
        skipped += [item for item in batch if isinstance(item, Skipped)]
        loaded = [item for item in batch if not isinstance(item, Skipped)]
        if loaded:
            arrays = [pixels for pixels, _ in loaded]
            predictions += inferencer(arrays, with_embedding=True, with_progress=False).images
            images += [image for _, image in loaded]
    print()
    if not images:
        raise ValueError(
            f'Expected the training data to have images, but none of {len(skipped)} can be read. The first, '
            f'{skipped[0].source}: {skipped[0].reason}.'
            if skipped
            else 'Expected the training data to have images, but it has none.'
        )
    return _as_index(images, predictions, inferencer, cfg), skipped


class _Image(NamedTuple):
    """Name, labels (K,) and small JPEG of an image."""

    name: str
    target: np.ndarray
    thumbnail: bytes


class _Images(Dataset):
    """Images (H, W, 3) in BGR of a data set that loads and prepares nothing, each with what the index keeps of it."""

    def __init__(self, dataset: BaseDataset, num_classes: int) -> None:
        self._dataset, self._num_classes = dataset, num_classes

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, place: int) -> Union[Tuple[np.ndarray, _Image], Skipped]:
        try:
            item = self._dataset[place]
        except Exception as error:  # a data set may read anything, and fail in any way
            return Skipped(f'image {place}', str(error))
        path = item.get('img_path')
        target = item['gt_score'] if 'gt_score' in item else label_to_onehot(item['gt_label'], self._num_classes)
        name = Path(path).name if path else f'image {place}'
        return item['img'], _Image(name, np.asarray(target).astype(np.int8), thumbnail_of(item['img']))


def thumbnail_of(image: np.ndarray, size: int = THUMBNAIL_SIZE, quality: int = _QUALITY) -> bytes:
    """A small JPEG of an image.

    Args:
        image: The image (H, W, 3) in BGR, uint8.
        size: Pixels of its longer side, at the most.
        quality: Quality of the JPEG, in [0, 100].

    Returns:
        The JPEG.
    """
    factor = min(1, size / max(image.shape[:2]))
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _loading_dataset(cfg: Config) -> BaseDataset:
    """The training data set, with the loading of the test pipeline alone."""
    dataset = cfg.get('train_dataloader', {}).get('dataset')
    if dataset is None:
        raise ValueError('Expected the configuration to have train_dataloader.dataset, but there is none.')
    first = cfg.test_dataloader.dataset.pipeline[0]
    loads = issubclass(TRANSFORMS.get(first['type']), LoadImageFromFile)
    return DATASETS.build(each_image_once(dataset.to_dict(), pipeline=[first] if loads else []))


def _as_index(
    images: List[_Image], predictions: List[Prediction], inferencer: KMCLInferencer, cfg: Config
) -> ImageIndex:
    uncertainty = [np.nan if prediction.uncertainty is None else prediction.uncertainty for prediction in predictions]
    return ImageIndex(
        labels=tuple(inferencer.labels),
        fingerprint=fingerprint_of(inferencer.model.head, cfg),
        names=tuple(image.name for image in images),
        embeddings=np.array([prediction.embedding for prediction in predictions], np.float32),
        target=np.stack([image.target for image in images]),
        thumbnails=tuple(image.thumbnail for image in images),
        indecision=np.array([prediction.indecision for prediction in predictions], np.float32),
        uncertainty=np.array(uncertainty, np.float32),
    )
