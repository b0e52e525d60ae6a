"""What was fitted for a checkpoint after its training: a calibration of its scores, and thresholds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ..files import atomic_write
from ..modules.calibration import Calibration, calibrate

# Where a checkpoint's ``meta`` has the thresholds: a dict of label names and numbers.
THRESHOLDS_KEY = 'thresholds'
# Where a checkpoint has the calibration: its state, and the names of the labels.
CALIBRATION_KEY = 'calibration'


def use_fitted(model: BaseModel, checkpoint: dict[str, Any], classes: Sequence[str] | None = None) -> None:
    """Let a model predict with what was fitted for a checkpoint; without thresholds it keeps its own.

    Args:
        model: The classifier. Thresholds become a buffer (K,) of its head, ``thr``; a calibration a part of its head.
            Neither is in the ``state_dict``.
        checkpoint: The checkpoint.
        classes: Names of the labels that are wanted. Default: those of the checkpoint's training.

    Raises:
        ValueError: Something is of other labels than these, or of another number than the head's, or damaged.
    """
    meta = checkpoint.get('meta') or {}
    classes = classes or (meta.get('dataset_meta') or {}).get('classes')
    thresholds, state = meta.get(THRESHOLDS_KEY), checkpoint.get(CALIBRATION_KEY)
    if thresholds is not None and thresholds != {}:
        _check_thresholds(thresholds)
        _check_labels('thresholds', list(thresholds), classes, model.head)
        del model.head.thr
        values = torch.tensor(list(thresholds.values()), device=next(model.parameters()).device)
        # A buffer moves with the model.
        model.head.register_buffer('thr', values, persistent=False)
    if state is not None:
        calibration = _calibration_of(state)
        _check_labels('calibration', list(state['labels']), classes, model.head)
        # Votes are counted in float32; without this the vectors would be converted for each batch.
        calibrate(model.head, calibration.to(next(model.parameters()).device).float())
    elif getattr(getattr(model, 'head', None), 'calibration', None) is not None:
        calibrate(model.head, None)  # that of another checkpoint


def _check_thresholds(thresholds: Any) -> None:
    is_number = isinstance(thresholds, dict) and all(isinstance(value, (int, float)) for value in thresholds.values())
    if not is_number or not all(0 <= value <= 1 for value in thresholds.values()):
        raise ValueError(
            f'Expected the thresholds in the checkpoint to be a number in [0, 1] for each label, but got {thresholds}. '
            'Fit them again with tools/calibrate.py.'
        )


def _calibration_of(state: Any) -> Calibration:
    try:
        calibration = Calibration.from_state(state)
        if len(state['labels']) != len(calibration.biases):
            raise ValueError(f'it names {len(state["labels"])} labels and has {len(calibration.biases)} biases')
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'The calibration in the checkpoint is damaged: {error}. Fit it again with tools/calibrate.py.'
        ) from error
    return calibration


def _check_labels(what: str, labels: list[str], classes: Sequence[str] | None, head: torch.nn.Module) -> None:
    number = getattr(head, 'num_classes', len(labels))
    wanted = labels if classes is None else list(classes)
    if labels != wanted or len(labels) != number:
        raise ValueError(
            f'Expected the {what} in the checkpoint to be of the {number} labels {wanted}, but got those of {labels}. '
            'Fit again with tools/calibrate.py.'
        )


def save_fitted(
    checkpoint: dict[str, Any],
    classes: Sequence[str],
    path: str | Path,
    thresholds: Tensor | None = None,
    calibration: Calibration | None = None,
) -> None:
    """Write a checkpoint with what was fitted for it; the file is there whole or not at all.

    Args:
        checkpoint: The checkpoint; not changed. What was fitted for it before is left out.
        classes: Names of the K labels.
        path: The file to write, or to replace.
        thresholds: Thresholds (K,).
        calibration: The calibration.
    """
    content = {name: part for name, part in checkpoint.items() if name != CALIBRATION_KEY}
    content['meta'] = {name: part for name, part in (content.get('meta') or {}).items() if name != THRESHOLDS_KEY}
    if thresholds is not None:
        content['meta'][THRESHOLDS_KEY] = dict(zip(classes, thresholds.tolist()))
    if calibration is not None:
        content[CALIBRATION_KEY] = dict(calibration.state(), labels=list(classes))
    with atomic_write(path) as unfinished:
        torch.save(content, unfinished)
