"""What the metrics take from MMPretrain's data samples."""

from collections.abc import Mapping
from typing import Any

import torch
from mmpretrain.structures import label_to_onehot
from torch import Tensor


def scores_and_target(data_sample: dict, difficult: int) -> tuple[Tensor, Tensor]:
    """Scores and target of one image.

    Args:
        data_sample: A data sample as a dict, with ``pred_score`` (K,), and ``gt_score`` (K,), in which -1 is unknown,
            or ``gt_label``, indices. ``gt_label_difficult`` are the indices of PASCAL VOC's difficult objects.
        difficult: What a label with only difficult objects is: 0, or -1 for unknown.

    Returns:
        Scores (K,), and target (K,): 1 present, 0 absent, -1 unknown.
    """
    # A view would take the whole batch along to the other processes.
    scores = data_sample['pred_score'].detach().cpu().clone()
    if 'gt_score' in data_sample:
        target = data_sample['gt_score'].detach().cpu().clone()
    else:
        target = label_to_onehot(data_sample['gt_label'], len(scores)).cpu()
    labels = torch.as_tensor(list(data_sample.get('gt_label_difficult') or ()), dtype=torch.long)
    target[labels[target[labels] != 1]] = difficult
    return scores, target


def stack(results: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Scores (N, K) and targets (N, K) of all images."""
    scores, targets = zip(*results)
    return torch.stack(scores), torch.stack(targets)


def class_names(dataset_meta: Mapping[str, Any] | None, number: int) -> list[str]:
    """The labels' names.

    Args:
        dataset_meta: What the data set says about itself, with its ``classes``.
        number: Number of labels K.

    Returns:
        K names: those of the data set, or numbers from 0 where it names none.

    Raises:
        ValueError: The data set names another number of labels.

    Example:
        >>> class_names(dict(classes=('cat', 'dog')), 2), class_names(None, 2)
        (['cat', 'dog'], ['0', '1'])
    """
    names = list((dataset_meta or {}).get('classes') or range(number))
    if len(names) != number:
        raise ValueError(
            f'Expected {number} class names in the data set, one for each score, but got {len(names)}. '
            'Give the data set metainfo=dict(classes=(...)).'
        )
    return [str(name) for name in names]
