"""Which labels a checkpoint predicts, and from which scores on."""

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

Thresholds = Union[float, Mapping[str, float]]


def label_names(checkpoint: Dict[str, Any], path: Union[str, Path], cfg: Config, head: nn.Module) -> List[str]:
    """Names of a checkpoint's labels, in the order of its scores.

    Args:
        checkpoint: The checkpoint; a training by MMEngine leaves the names in its meta data.
        path: Its path, for messages.
        cfg: The configuration, whose test data may name labels as well.
        head: The classifier's head, of K labels.

    Returns:
        The K names.

    Raises:
        ValueError: The checkpoint has no names, or others than the head or the configuration.
    """
    names = ((checkpoint.get('meta') or {}).get('dataset_meta') or {}).get('classes')
    if not names:
        raise ValueError(
            f"Expected {path} to have its labels' names under meta / dataset_meta / classes, but there are none. Take "
            'a checkpoint that tools/train.py wrote.'
        )
    num_classes = getattr(head, 'num_classes', len(names))
    if len(names) != num_classes:
        raise ValueError(
            f'Expected {path} to name the {num_classes} labels of the head, but it names {len(names)}: '
            f'{list(names)}. Take the configuration that it was trained with.'
        )
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    configured = (dataset.get('metainfo') or {}).get('classes')
    if configured and not isinstance(configured, str) and list(configured) != list(names):
        raise ValueError(
            f'Expected {path} to be of the labels of the configuration, {list(configured)}, but it is of '
            f'{list(names)}. Take the configuration that it was trained with.'
        )
    return list(names)


def thresholds_of(model: BaseModel, names: Sequence[str], given: Optional[Thresholds] = None) -> Optional[np.ndarray]:
    """The score from which each label is predicted.

    Args:
        model: The classifier; its head has the checkpoint's fitted thresholds, or one for all.
        names: Names of the K labels.
        given: What to take instead: one for all, or one for each label by its name.

    Returns:
        Thresholds (K,), or None where the head predicts its highest labels and none were given.

    Raises:
        ValueError: A threshold outside [0, 1], or of other labels.
    """
    if given is None:
        if model.head.thr is None:
            return None
        return torch.as_tensor(model.head.thr).cpu().expand(len(names)).numpy()
    if isinstance(given, Mapping) and set(given) != set(names):
        raise ValueError(f'Expected argument `thr` to name the labels {list(names)}, but got {list(given)}.')
    values = [given[name] for name in names] if isinstance(given, Mapping) else given
    thresholds = np.broadcast_to(np.asarray(values, np.float32), len(names))
    if not ((thresholds >= 0) & (thresholds <= 1)).all():
        raise ValueError(f'Expected argument `thr` to be in [0, 1], but got {given}.')
    return thresholds


def describe_rule(thresholds: Optional[np.ndarray], topk: Optional[int]) -> str:
    """What decides which labels a checkpoint predicts, in a sentence.

    Args:
        thresholds: Thresholds (K,), or None where the ``topk`` highest labels are predicted.
        topk: The number of labels that are predicted without thresholds.

    Returns:
        The sentence.

    Example:
        >>> describe_rule(np.array([0.25, 0.5]), None)
        'The checkpoint has a fitted threshold for each label, 0.25 to 0.50.'
    """
    if thresholds is None:
        return f'The checkpoint predicts the {topk} labels with the highest scores.'
    lowest, highest = thresholds.min(), thresholds.max()
    if lowest == highest:
        return f'The checkpoint has one threshold for all labels, {lowest:.2f}.'
    return f'The checkpoint has a fitted threshold for each label, {lowest:.2f} to {highest:.2f}.'


def indecision(scores: np.ndarray, thresholds: Optional[np.ndarray], topk: Optional[int]) -> float:
    """How near a label's score is to the threshold at which its prediction changes, for the label that is nearest.

    Each distance is taken as a part of the way from the threshold to 0 or 1, on the side of the score.

    Args:
        scores: Scores (K,).
        thresholds: Thresholds (K,), or None where the ``topk`` highest labels are predicted.
        topk: The number of labels that are predicted without thresholds; one then lies midway between the last score
            that is among them and the first that is not.

    Returns:
        A number in [0, 1], which is 1 where a score is at its threshold, and 0 where all scores are 0 or 1.

    Example:
        >>> import numpy as np
        >>> round(indecision(np.array([0.9, 0.55]), np.array([0.5, 0.5]), None), 3)
        0.9
    """
    if thresholds is None:
        if topk is None or topk >= len(scores):
            return 0.0
        thresholds = np.sort(scores)[-topk - 1 : len(scores) - topk + 1].mean()
    way = np.where(scores >= thresholds, 1 - thresholds, thresholds)
    return float(1 - np.min(np.abs(scores - thresholds) / np.maximum(way, np.finfo(np.float32).tiny)))


def chosen_labels(
    scores: np.ndarray, names: Sequence[str], thresholds: Optional[np.ndarray], topk: Optional[int]
) -> Dict[str, float]:
    """Predicted labels of an image with their scores, the highest first.

    Args:
        scores: Scores (K,).
        names: Names of the K labels.
        thresholds: Thresholds (K,); a label is predicted whose score reaches its own. None to predict by ``topk``.
        topk: Without thresholds, predict this many of the highest scores.

    Returns:
        Scores by name.

    Example:
        >>> import numpy as np
        >>> chosen_labels(np.array([0.25, 0.75, 0.5]), ('cat', 'dog', 'fish'), np.array([0.2, 0.8, 0.4]), None)
        {'fish': 0.5, 'cat': 0.25}
    """
    order = np.argsort(-scores, kind='stable')
    chosen = order[:topk] if thresholds is None else order[scores[order] >= thresholds[order]]
    return {names[k]: float(scores[k]) for k in chosen}
