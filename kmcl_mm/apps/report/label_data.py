"""Frequencies of labels, and of pairs of labels, in the data."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from mmengine.config import Config
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from torch import Tensor
from torch.utils.data import Dataset

from ..data_check.label_counts import LabelCounts, count_labels
from ..data_check.splits import load_splits, read_split

# Labels in the charts of pairs, at most.
PAIR_LABELS = 30


class LabelData(NamedTuple):
    """The label counts of one split.

    Attributes:
        split: 'training' or 'test'.
        counts: The counts.
        reason: Why it is not the training split, or '' if it is.
    """

    split: str
    counts: LabelCounts
    reason: str


def read_label_data(cfg: Config, labels: tuple[str, ...], test_images: Dataset) -> LabelData:
    """Count the labels of the training data, without loading images.

    Args:
        cfg: The configuration.
        labels: Names of the K labels of the checkpoint.
        test_images: The data set of the test images, which is counted if there are no training data.

    Returns:
        The counts.
    """
    reason = 'the configuration has none'
    if 'dataset' in (cfg.get('train_dataloader') or {}):
        splits, findings = load_splits(Config(dict(train_dataloader=cfg.train_dataloader, model=cfg.model)))
        if splits and splits[0].classes == labels:
            return LabelData('training', count_labels(splits[0]), '')
        reason = findings[0].message if findings else 'they have other labels'
    split = read_split('test', test_images, len(labels))
    return LabelData('test', count_labels(replace(split, classes=labels)), reason)


def frequency_order(counts: LabelCounts, target: Tensor) -> np.ndarray:
    """Sort the labels that occur in the counted or the test images by frequency.

    Args:
        counts: The counts.
        target: Targets (N, K) of the test images: 1 present, 0 absent, -1 unknown.

    Returns:
        Indices of the labels, most frequent first; those that only test images have come last.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> together = np.diag([1, 0, 3])
        >>> counts = LabelCounts(4, together.diagonal(), np.full(3, 4), together, np.array([1, 1, 1, 1]), 0)
        >>> frequency_order(counts, torch.tensor([[0, 1, 0]])).tolist()
        [2, 0, 1]
    """
    tested = (target == 1).sum(dim=0).numpy()
    order = np.lexsort((-tested, -counts.positives))
    return order[(counts.positives + tested)[order] > 0]


def labels_of_pairs(counts: LabelCounts) -> list[int]:
    """Choose and order the labels in the charts of pairs.

    Args:
        counts: The counts.

    Returns:
        Indices of the most frequent labels in the order of :func:`order_by_cooccurrence`; none if fewer than two occur.
    """
    order = np.argsort(-counts.positives, kind='stable')
    chosen = order[counts.positives[order] > 0][:PAIR_LABELS]
    return order_by_cooccurrence(counts, chosen) if len(chosen) > 1 else []


def order_by_cooccurrence(counts: LabelCounts, chosen: np.ndarray) -> list[int]:
    """Order labels so that those that occur together are near each other.

    The order is that of the leaves of a hierarchical clustering (average linkage) by the Jaccard distance of the
    labels' sets of images.

    Args:
        counts: The counts.
        chosen: Indices of at least two labels that occur.

    Returns:
        The indices in order.

    Example:
        Labels 0 and 2 are on the same images.

        >>> import numpy as np
        >>> together = np.array([[2, 0, 2], [0, 2, 0], [2, 0, 2]])
        >>> counts = LabelCounts(4, together.diagonal(), np.full(3, 4), together, np.array([2, 2, 1, 1]), 0)
        >>> order_by_cooccurrence(counts, np.arange(3)) in ([1, 0, 2], [1, 2, 0], [0, 2, 1], [2, 0, 1])
        True
    """
    together = counts.together[np.ix_(chosen, chosen)]
    positives = counts.positives[chosen]
    distance = 1 - together / (positives[:, None] + positives - together)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance), 'average', optimal_ordering=True)
    return chosen[leaves_list(tree)].tolist()
