"""Wrappers around data sets."""

from typing import Any

from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmpretrain.registry import DATASETS


def each_image_once(dataset: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Remove the wrappers of a data set that show images more than once.

    Args:
        dataset: The configuration of a data set. Wrappers that join data sets or choose a part of one stay.
        **settings: Settings to override in the inner data sets.

    Returns:
        A new configuration, of a data set that shows each image once.

    Example:
        >>> from kmcl_mm.datasets.wrappers import each_image_once
        >>> each_image_once(dict(type='RepeatDataset', times=3, dataset=dict(type='VOC')), pipeline=[])
        {'type': 'VOC', 'pipeline': []}
    """
    if 'datasets' in dataset:
        return dict(dataset, datasets=[each_image_once(part, **settings) for part in dataset['datasets']])
    if not isinstance(dataset.get('dataset'), dict):
        return dict(dataset, **settings)
    inner = each_image_once(dataset['dataset'], **settings)
    kind = DATASETS.get(dataset['type']) if isinstance(dataset['type'], str) else dataset['type']
    return inner if kind in (RepeatDataset, ClassBalancedDataset) else dict(dataset, dataset=inner)
