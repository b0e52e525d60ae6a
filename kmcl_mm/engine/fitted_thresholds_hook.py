"""Predict with the thresholds that were fitted for a checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS

from ..files import atomic_write
from .unwrapping import unwrap

# Where a checkpoint's ``meta`` has the thresholds: a dict of label names and numbers.
THRESHOLDS_KEY = 'thresholds'


@HOOKS.register_module()
class FittedThresholdsHook(Hook):
    """Give the head the thresholds in the checkpoint's meta data, where ``tools/fit_thresholds.py`` has put some.

    The labels of a prediction are then those whose score reaches the label's own threshold, instead of the head's
    ``thr`` for all. Scores and average precision stay as they are. A training that starts or goes on from such a
    checkpoint takes no notice of them.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Hand the thresholds to the head.

        Args:
            runner: The runner.
            checkpoint: The checkpoint that was loaded.

        Raises:
            ValueError: The thresholds are of other labels than the data's.
        """
        if isinstance(runner._train_loop, BaseLoop):
            return
        classes = runner.test_loop.dataloader.dataset.metainfo.get('classes')
        model = unwrap(runner.model)
        is_fitted = use_fitted_thresholds(model, checkpoint, classes)
        thr: Any = getattr(getattr(model, 'head', None), 'thr', None)
        if is_fitted:
            rule = f'the thresholds that were fitted for the checkpoint, {thr.min():.2f} to {thr.max():.2f}'
        else:
            rule = 'its highest scores (topk)' if thr is None else f'its threshold {thr:g}'
        print_log(f'The head predicts labels by {rule}.', logger='current')


def use_fitted_thresholds(model: BaseModel, checkpoint: dict[str, Any], classes: Sequence[str] | None = None) -> bool:
    """Let a model predict with the thresholds in a checkpoint's meta data.

    Args:
        model: The classifier; its head's ``thr`` becomes a buffer (K,) that is not in the state_dict.
        checkpoint: The checkpoint; without thresholds the model stays as it is.
        classes: Names of the labels that are wanted. Default: those of the checkpoint's training.

    Returns:
        Whether there were thresholds.

    Raises:
        ValueError: They are of other labels, or of another number than the head's.
    """
    meta = checkpoint.get('meta') or {}
    thresholds = meta.get(THRESHOLDS_KEY)
    if thresholds is None or (isinstance(thresholds, dict) and not thresholds):
        return False
    if not isinstance(thresholds, dict) or not all(_is_threshold(value) for value in thresholds.values()):
        raise ValueError(
            f'Expected the thresholds in the checkpoint to be a number in [0, 1] for each label, but got {thresholds}. '
            'Fit them again with tools/fit_thresholds.py.'
        )
    classes = classes or (meta.get('dataset_meta') or {}).get('classes') or list(thresholds)
    number = getattr(model.head, 'num_classes', len(thresholds))
    if list(thresholds) != list(classes) or len(thresholds) != number:
        raise ValueError(
            f'Expected the thresholds in the checkpoint to be of the {number} labels {list(classes)}, but they are of '
            f'{list(thresholds)}. Fit them again with tools/fit_thresholds.py.'
        )
    device = next(model.parameters()).device
    del model.head.thr
    # A buffer moves with the model; checkpoints have the thresholds in their meta data.
    model.head.register_buffer('thr', torch.tensor(list(thresholds.values()), device=device), persistent=False)
    return True


def _is_threshold(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1


def save_with_thresholds(
    checkpoint: dict[str, Any], classes: Sequence[str], thresholds: torch.Tensor, path: str | Path
) -> None:
    """Write a checkpoint with thresholds in its meta data; the file is there whole or not at all.

    Args:
        checkpoint: The checkpoint; not changed.
        classes: Names of the labels.
        thresholds: Thresholds (K,).
        path: The file to write, or to replace.
    """
    meta = dict(checkpoint.get('meta') or {}, **{THRESHOLDS_KEY: dict(zip(classes, thresholds.tolist()))})
    with atomic_write(path) as unfinished:
        torch.save(dict(checkpoint, meta=meta), unfinished)
