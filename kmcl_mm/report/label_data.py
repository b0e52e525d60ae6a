"""How often the labels occur in the data, alone and together."""

from dataclasses import replace
from typing import List, NamedTuple, Tuple

import numpy as np
from mmengine.config import Config
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from torch import Tensor
from torch.utils.data import Dataset

from ..analysis.labels import LabelCounts, count_labels
from ..analysis.splits import load_splits, read_split

# Labels in the charts of pairs, at the most.
PAIR_LABELS = 30


class LabelData(NamedTuple):
    """The labels of one split.

    Attributes:
        split: 'training' or 'test'.
        counts: How often each label occurs.
        reason: Why the split is not that of the training, or '' where it is.
    """

    split: str
    counts: LabelCounts
    reason: str


def read_label_data(cfg: Config, labels: Tuple[str, ...], test_images: Dataset) -> LabelData:
    """Count the labels of the training data, without a look at their images.

    Args:
        cfg: The configuration.
        labels: Names of the K labels of the checkpoint.
        test_images: The data set of the test images, which are counted where the training data are not to be had.

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


def most_frequent(counts: LabelCounts, most: int) -> np.ndarray:
    """The labels that most images have.

    Args:
        counts: The counts.
        most: How many labels to take, at the most.

    Returns:
        Indices of labels that an image has, the most frequent first.

    Example:
        >>> import numpy as np
        >>> together = np.diag([1, 0, 3])
        >>> counts = LabelCounts(4, together.diagonal(), np.full(3, 4), together, np.array([1, 1, 1, 1]), 0)
        >>> most_frequent(counts, 5).tolist()
        [2, 0]
    """
    order = np.argsort(-counts.positives, kind='stable')
    return order[counts.positives[order] > 0][:most]


def frequency_order(counts: LabelCounts, target: Tensor) -> np.ndarray:
    """The labels that an image has, counted or tested.

    Args:
        counts: The counts.
        target: Targets (N, K) of the test images: 1 present, 0 absent, -1 unknown.

    Returns:
        Indices of the labels, those that most counted images have first; those that only test images have are last.

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


def labels_of_pairs(counts: LabelCounts) -> List[int]:
    """The labels in the charts of pairs.

    Args:
        counts: The counts.

    Returns:
        Indices of the most frequent labels in the order of :func:`order_by_cooccurrence`; none where fewer than two
        occur.
    """
    chosen = most_frequent(counts, PAIR_LABELS)
    return order_by_cooccurrence(counts, chosen) if len(chosen) > 1 else []


def order_by_cooccurrence(counts: LabelCounts, chosen: np.ndarray) -> List[int]:
    """An order of labels in which those that occur together stand near each other.

    Leaves of a hierarchical clustering (mean linkage) by the Jaccard distance of the labels' sets of images.

    Args:
        counts: The counts.
        chosen: Indices of at least two labels that an image has.

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
