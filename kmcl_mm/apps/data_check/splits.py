"""The splits of a configuration's data, as plain lists."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmpretrain.registry import DATASETS, TRANSFORMS

from ...datasets.transforms import LoadCheckedImage
from ...datasets.wrappers import check_nesting, each_image_once, innermost
from .findings import Finding

SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class Split:
    """The labels, paths and patients of a data set of N images.

    Args:
        name: 'train', 'val' or 'test'.
        classes: Names of the K labels.
        labels: Indices of the labels of each image (N arrays).
        unjudged: Indices of the unknown and difficult labels of each image (N arrays).
        paths: Path of each image; empty where the data set draws its images.
        patients: Patient of each image; None where the data set does not name them.
        annotated_sizes: Annotated (width, height) of each image in pixels, or None.
        load: The transform by which the split loads its images.
    """

    name: str
    classes: tuple[str, ...]
    labels: list[np.ndarray]
    unjudged: list[np.ndarray]
    paths: list[str]
    patients: list[str] | None
    annotated_sizes: list[tuple[float, float] | None]
    load: LoadImageFromFile = field(default_factory=LoadCheckedImage)

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.labels)


def load_splits(cfg: Config) -> tuple[list[Split], list[Finding]]:
    """Build the data sets of training, validation and test, each without wrappers that repeat images.

    A test set with the same images as the validation set is left out.

    Args:
        cfg: The configuration.

    Returns:
        The splits that could be built, and an error for each that could not.

    Raises:
        ValueError: The configuration has no data set.
    """
    splits, findings = {}, []
    for name, dataset_cfg in _configured_datasets(cfg).items():
        try:
            check_nesting(dataset_cfg)
            split = read_split(name, DATASETS.build(each_image_once(dataset_cfg)), _num_classes(cfg))
            splits[name] = replace(split, load=_loading_of(dataset_cfg))
        except Exception as error:  # Whatever stops a data set would stop the training as well.
            message = f'The data set cannot be built: {" ".join(str(error).split()) or repr(error)}{_hint(error)}'
            findings.append(Finding('error', name, message))
    if 'val' in splits and 'test' in splits and splits['val'].paths and splits['val'].paths == splits['test'].paths:
        del splits['test']
    return list(splits.values()), findings


def read_split(name: str, dataset: Any, num_classes: int | None) -> Split:
    """Read the labels of a data set, without loading its images.

    Args:
        name: 'train', 'val' or 'test'.
        dataset: The data set, with MMEngine's ``get_data_info``.
        num_classes: The number of labels of a data set without names. Default: the labels that occur.

    Returns:
        The split.

    Raises:
        ValueError: There is no image, or an empty list of names.
    """
    if not getattr(dataset, '_fully_initialized', True):
        dataset.full_init()
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    if not items:
        raise ValueError('The data set has no images. Check its arguments.')
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
        raise ValueError('The data set does not name its classes. Give it metainfo=dict(classes=(...)).')
    return Split(
        name=name,
        classes=tuple(str(label) for label in classes),
        labels=labels,
        unjudged=unjudged,
        paths=_column(items, 'img_path') or [],
        patients=_column(items, 'patient_id'),
        annotated_sizes=[_size(item.get('annotated_size')) for item in items],
    )


def _configured_datasets(cfg: Config) -> dict[str, Config]:
    """The configurations of the data sets by split, without a test set that is the validation set."""
    loaders = {name: cfg.get(f'{name}_dataloader') or {} for name in SPLITS}
    configured = {name: loader['dataset'] for name, loader in loaders.items() if 'dataset' in loader}
    if not configured:
        raise ValueError(
            'The configuration has no data set in `train_dataloader`, `val_dataloader` or `test_dataloader`. Give one '
            'of them `dataset=dict(type=...)`.'
        )
    if 'val' in configured and configured.get('test') == configured['val']:
        del configured['test']
    return configured


def _loading_of(dataset_cfg: Config) -> LoadImageFromFile:
    """The first transform of a data set, or of the first one within its wrappers, if that loads files."""
    pipeline = next(innermost(dataset_cfg)).get('pipeline') or [None]
    first = pipeline[0] and TRANSFORMS.build(pipeline[0])
    return first if isinstance(first, LoadImageFromFile) else LoadCheckedImage()


def _indices(labels: Any) -> np.ndarray:
    """Unique indices of a list, of one number, or of None."""
    return np.unique(np.asarray([] if labels is None else labels, dtype=np.int64))


def _size(size: Sequence | None) -> tuple[float, float] | None:
    return None if size is None else (float(size[0]), float(size[1]))


def _column(items: Sequence[dict], key: str) -> list[str] | None:
    values = [item.get(key) for item in items]
    return None if None in values else [str(value) for value in values]


def _num_classes(cfg: Config) -> int | None:
    """The number of outputs of the network, for data sets without names."""
    head = (cfg.get('model') or {}).get('head') or {}
    return head.get('num_classes') or (cfg.get('data_preprocessor') or {}).get('num_classes')


def _hint(error: Exception) -> str:
    # The message about images with another ending, "There is ...", needs no hint.
    if isinstance(error, FileNotFoundError) and 'are missing' in str(error) and 'There is ' not in str(error):
        return ' If the images have other names, this is the annotation file of another year or folder.'
    if 'category_id' in str(error):
        return ' The category ids may be shifted, or start from 0 instead of 1.'
    return ''
