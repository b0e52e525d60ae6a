"""Rules by which scores become labels: thresholds, or the highest scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from ...datasets.wrappers import innermost
from ...engine.checkpoint_labels import classes_in

Thresholds = float | Mapping[str, float]


def label_names(checkpoint: dict[str, Any], path: str | Path, cfg: Config, head: nn.Module) -> list[str]:
    """Names of a checkpoint's labels, in the order of its scores.

    Args:
        checkpoint: The checkpoint; MMEngine writes the names into its meta data.
        path: Its path, for messages.
        cfg: The configuration, whose test data may name labels as well.
        head: The classifier's head, of K labels.

    Returns:
        The K names.

    Raises:
        ValueError: The checkpoint has no names, or others than the head or the configuration.
    """
    names = classes_in(checkpoint, path)
    if names is None:
        raise ValueError(
            f'{path} has no label names (meta / dataset_meta / classes). Use a checkpoint that tools/train.py wrote.'
        )
    num_classes = getattr(head, 'num_classes', len(names))
    if len(names) != num_classes:
        raise ValueError(
            f'{path} names {len(names)} labels, {names}, but the head has {num_classes}. Use the configuration that it '
            'was trained with.'
        )
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    # Those within a ConcatDataset name the same.
    configured = (next(innermost(dataset)).get('metainfo') or {}).get('classes')
    if configured and not isinstance(configured, str) and list(configured) != names:
        raise ValueError(
            f'The labels of {path}, {names}, are not those of the configuration, {list(configured)}. Use the '
            'configuration that it was trained with.'
        )
    return names


def thresholds_of(model: BaseModel, names: Sequence[str], given: Thresholds | None = None) -> np.ndarray | None:
    """The score from which each label is predicted.

    Args:
        model: The classifier; its head has the checkpoint's fitted thresholds, or one for all.
        names: Names of the K labels.
        given: Other thresholds: one for all labels, or one for each label by its name.

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


def describe_rule(thresholds: np.ndarray | None, topk: int | None) -> str:
    """Describe the rule by which a checkpoint predicts labels.

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


def indecision(scores: np.ndarray, thresholds: np.ndarray | None, topk: int | None) -> float:
    """How near an image's scores come to the thresholds at which its predicted labels would change.

    The distance of a score to its threshold is divided by the distance of that threshold to 0 or 1, on the side of the
    score; the smallest of all labels counts.

    Args:
        scores: Scores (K,).
        thresholds: Thresholds (K,), or None where the ``topk`` highest labels are predicted.
        topk: The number of labels that are predicted without thresholds; one then lies midway between the last score
            that is among them and the first that is not.

    Returns:
        A number in [0, 1]: 1 where a score is at its threshold, 0 where all scores are 0 or 1.

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
    scores: np.ndarray, names: Sequence[str], thresholds: np.ndarray | None, topk: int | None
) -> dict[str, float]:
    """Predicted labels of an image with their scores, the highest first.

    Args:
        scores: Scores (K,).
        names: Names of the K labels.
        thresholds: Thresholds (K,) that scores must reach, or None to predict by ``topk``.
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
