"""The data sets of a configuration's splits, as plain lists."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmpretrain.registry import DATASETS

from ..datasets.wrappers import each_image_once
from .findings import Finding

SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class Split:
    """What the checks need to know of a data set of N images.

    Args:
        name: 'train', 'val' or 'test'.
        classes: Names of the K labels.
        labels: Indices of the labels of each image (N arrays), as the data set gives them.
        unjudged: Indices of the labels of each image that count neither as present nor as absent (N arrays).
        paths: Path of each image; empty where the data set draws its images.
        patients: Patient of each image; None where the data set does not say.
        annotated_sizes: (width, height) in pixels that the annotation of each image names, None where it names none.
    """

    name: str
    classes: Tuple[str, ...]
    labels: List[np.ndarray]
    unjudged: List[np.ndarray]
    paths: List[str]
    patients: Optional[List[str]]
    annotated_sizes: List[Optional[Tuple[float, float]]]

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.labels)


def configured_datasets(cfg: Config) -> Dict[str, Config]:
    """The configurations of the data sets for training, validation and test.

    Args:
        cfg: The configuration.

    Returns:
        Those that there are, by split. A test set configured as the validation set is left out.

    Raises:
        ValueError: There is none.
    """
    loaders = {name: cfg.get(f'{name}_dataloader') or {} for name in SPLITS}
    configured = {name: loader['dataset'] for name, loader in loaders.items() if 'dataset' in loader}
    if not configured:
        raise ValueError(
            'Expected the configuration to have a data set in `train_dataloader`, `val_dataloader` or '
            '`test_dataloader`, but it has none. Give one of them `dataset=dict(type=...)`.'
        )
    if 'val' in configured and configured.get('test') == configured['val']:
        del configured['test']
    return configured


def load_splits(cfg: Config) -> Tuple[List[Split], List[Finding]]:
    """Build the data sets of training, validation and test, each without wrappers that show images more than once.

    A test set of the same images as the validation set is left out: it would be checked twice.

    Args:
        cfg: The configuration.

    Returns:
        The splits that could be built, and an error for each that could not.

    Raises:
        ValueError: The configuration has no data set.
    """
    splits, findings = {}, []
    for name, dataset_cfg in configured_datasets(cfg).items():
        try:
            splits[name] = read_split(name, DATASETS.build(each_image_once(dataset_cfg)), _num_classes(cfg))
        except Exception as error:  # a data set is anybody's code: whatever stops it would stop the training
            message = f'The data set cannot be built: {" ".join(str(error).split()) or repr(error)}{_hint(error)}'
            findings.append(Finding('error', name, message))
    if 'val' in splits and 'test' in splits and splits['val'].paths and splits['val'].paths == splits['test'].paths:
        del splits['test']
    return list(splits.values()), findings


def read_split(name: str, dataset: Any, num_classes: Optional[int]) -> Split:
    """Read the labels of a data set, without a look at its images.

    Args:
        name: 'train', 'val' or 'test'.
        dataset: The data set, with MMEngine's ``get_data_info``.
        num_classes: The number of labels of a data set that names none; None for those that occur.

    Returns:
        The split.

    Raises:
        ValueError: There is no image, or an empty list of names.
    """
    if not getattr(dataset, '_fully_initialized', True):
        dataset.full_init()
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    if not items:
        raise ValueError('Expected at least one image, but there is none. Check the arguments of the data set.')
    labels = [_indices(item.get('gt_label')) for item in items]
    unjudged = [
        np.setdiff1d(np.union1d(_indices(item.get('gt_label_difficult')), _indices(item.get('gt_label_unknown'))), have)
        for item, have in zip(items, labels)
    ]
    classes = dataset.metainfo.get('classes')
    if classes is None:
        highest = max((index.max() for index in labels if len(index)), default=-1)
        classes = [f'label {number}' for number in range(num_classes or highest + 1)]
    if not classes:
        raise ValueError(
            'Expected the data set to name its classes, but it does not. Give metainfo=dict(classes=(...)).'
        )
    return Split(
        name=name,
        classes=tuple(str(label) for label in classes),
        labels=labels,
        unjudged=unjudged,
        paths=_column(items, 'img_path') or [],
        patients=_column(items, 'patient_id'),
        annotated_sizes=[_size(item.get('annotated_size')) for item in items],
    )


def _indices(labels: Any) -> np.ndarray:
    """Indices, each once, of a list, of one number, or of nothing."""
    return np.unique(np.asarray([] if labels is None else labels, dtype=np.int64))


def _size(size: Optional[Sequence]) -> Optional[Tuple[float, float]]:
    return None if size is None else (float(size[0]), float(size[1]))


def _column(items: Sequence[dict], key: str) -> Optional[List[str]]:
    values = [item.get(key) for item in items]
    return None if None in values else [str(value) for value in values]


def _num_classes(cfg: Config) -> Optional[int]:
    """The number of labels that the network has, where the data set names none."""
    head = (cfg.get('model') or {}).get('head') or {}
    return head.get('num_classes') or (cfg.get('data_preprocessor') or {}).get('num_classes')


def _hint(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and 'are missing' in str(error) and 'mend the names' not in str(error):
        return ' Where the images are there under other names, this is the annotation file of another year or folder.'
    if 'category_id' in str(error):
        return ' Category ids that were shifted, or counted from 0 and not from 1, look like this.'
    return ''
