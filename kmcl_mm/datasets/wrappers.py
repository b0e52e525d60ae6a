"""Wrappers around data sets."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmpretrain.datasets import KFoldDataset
from mmpretrain.registry import DATASETS

# Wrappers that show images more than once.
_REPEATING = (RepeatDataset, ClassBalancedDataset)


@DATASETS.register_module()
class ClassBalancedMultiLabel(ClassBalancedDataset):
    """MMEngine's ``ClassBalancedDataset`` around any data set, also around other wrappers such as ``ConcatDataset``.

    Images with rare labels are repeated: each label has the factor max(1, sqrt(``oversample_thr`` / f)), where f is the
    fraction of the images that have it, and an image the largest factor of its labels, rounded up. An unknown label
    counts as absent.

    Args:
        dataset: The data set, or its configuration.
        oversample_thr: Fraction of the images below which a label counts as rare.
        lazy_init: Read the annotations later.
    """

    def get_cat_ids(self, idx: int) -> list[int]:
        """Get the labels of an image.

        Args:
            idx: Index of the image.

        Returns:
            Indices of the labels.
        """
        return self.get_data_info(idx)['gt_label']

    def _get_repeat_factors(self, dataset: BaseDataset, repeat_thr: float) -> list[float]:
        # MMEngine asks for `get_cat_ids`, which its other wrappers lack.
        labels = [dataset.get_data_info(index)['gt_label'] for index in range(len(dataset))]
        counts = Counter(label for labels_of_image in labels for label in labels_of_image)
        factors = {label: math.sqrt(repeat_thr * len(labels) / number) for label, number in counts.items()}
        return [max([1.0, *map(factors.__getitem__, labels_of_image)]) for labels_of_image in labels]


def each_image_once(dataset: dict[str, Any]) -> dict[str, Any]:
    """Remove the wrappers of a data set that show images more than once.

    Args:
        dataset: The configuration of a data set. Wrappers that join data sets or choose a part of one stay.

    Returns:
        A new configuration, of a data set that shows each image once.

    Example:
        >>> from kmcl_mm.datasets.wrappers import each_image_once
        >>> each_image_once(dict(type='RepeatDataset', times=3, dataset=dict(type='VOC')))
        {'type': 'VOC'}
    """
    parts = [each_image_once(part) for part in _inner(dataset)]
    return parts[0] if parts and issubclass(_kind(dataset), _REPEATING) else _with_inner(dataset, parts)


def with_pipeline(dataset: dict[str, Any], pipeline: Sequence) -> dict[str, Any]:
    """Give a data set, or those within its wrappers, another pipeline.

    Args:
        dataset: The configuration of a data set.
        pipeline: The transforms.

    Returns:
        A new configuration.

    Example:
        >>> from kmcl_mm.datasets.wrappers import with_pipeline
        >>> with_pipeline(dict(type='ConcatDataset', datasets=[dict(type='VOC')]), [])
        {'type': 'ConcatDataset', 'datasets': [{'type': 'VOC', 'pipeline': []}]}
    """
    parts = _inner(dataset)
    if not parts:
        return dict(dataset, pipeline=pipeline)
    return _with_inner(dataset, [with_pipeline(part, pipeline) for part in parts])


def pipeline_of(dataset: dict[str, Any] | None, name: str = 'test_dataloader.dataset') -> list:
    """Find the pipeline of a data set, or of those within its wrappers.

    Args:
        dataset: The configuration of a data set.
        name: What the configuration calls it, for the message.

    Returns:
        The transforms.

    Raises:
        ValueError: There is none, or the data sets within have different ones.

    Example:
        >>> from kmcl_mm.datasets.wrappers import pipeline_of
        >>> voc = dict(type='VOC', pipeline=[dict(type='PackInputs')])
        >>> pipeline_of(dict(type='ConcatDataset', datasets=[voc, voc]))
        [{'type': 'PackInputs'}]
    """
    pipelines = [part.get('pipeline') or [] for part in innermost(dataset or {})]
    if not all(pipelines):
        raise ValueError(
            f'The configuration has no {name}.pipeline. Use the configuration that the checkpoint was trained with.'
        )
    if any(pipeline != pipelines[0] for pipeline in pipelines):
        raise ValueError(
            f'The {len(pipelines)} data sets in {name} have different pipelines, so that it is not known how to '
            'prepare an image. Give all of them the same.'
        )
    return pipelines[0]


def innermost(dataset: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Iterate over the data sets within wrappers.

    Args:
        dataset: The configuration of a data set.

    Yields:
        The configurations of those that are no wrappers.

    Example:
        >>> from kmcl_mm.datasets.wrappers import innermost
        >>> voc, coco = dict(type='VOC'), dict(type='CocoMultiLabel')
        >>> list(innermost(dict(type='ConcatDataset', datasets=[voc, dict(type='RepeatDataset', dataset=coco)])))
        [{'type': 'VOC'}, {'type': 'CocoMultiLabel'}]
    """
    parts = _inner(dataset)
    if not parts:
        yield dataset
    for part in parts:
        yield from innermost(part)


def check_nesting(dataset: dict[str, Any]) -> None:
    """Refuse wrappers that MMEngine and MMPretrain cannot put around each other, or that would mix training and test.

    Args:
        dataset: The configuration of a data set.

    Raises:
        ValueError: A ``ClassBalancedDataset`` or a ``KFoldDataset`` is around a wrapper that it does not know.
    """
    outer = _kind(dataset)
    for part in _inner(dataset):
        check_nesting(part)
        inner = _kind(part)
        if outer is ClassBalancedDataset and issubclass(inner, (ConcatDataset, RepeatDataset)):
            raise ValueError(
                f'ClassBalancedDataset does not find the labels in {inner.__name__}. Use '
                'type="ClassBalancedMultiLabel" instead of it.'
            )
        if outer is KFoldDataset and issubclass(inner, (ConcatDataset, KFoldDataset)):
            raise ValueError(
                f'KFoldDataset does not divide a {inner.__name__}. Put one KFoldDataset around each data set in '
                'ConcatDataset, with the same fold, num_splits and seed.'
            )
        if outer is KFoldDataset and issubclass(inner, _REPEATING):
            raise ValueError(
                f'KFoldDataset around {inner.__name__} would put copies of an image into training and test. Put '
                f'{inner.__name__} around KFoldDataset.'
            )


def _inner(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """What a wrapper is around; nothing for a data set."""
    inner = [dataset.get('dataset'), *(dataset.get('datasets') or ())]
    return [part for part in inner if isinstance(part, dict)]


def _with_inner(dataset: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    if 'datasets' in dataset:
        return dict(dataset, datasets=parts)
    return dict(dataset, dataset=parts[0]) if parts else dict(dataset)


def _kind(dataset: dict[str, Any]) -> type:
    kind = dataset.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return kind if isinstance(kind, type) else object
