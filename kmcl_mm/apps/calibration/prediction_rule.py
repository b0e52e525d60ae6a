"""How a checkpoint predicts labels, and how that is fitted."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...functional.thresholds import fit_thresholds
from ...modules.calibration import Calibration
from .described_images import DescribedImages
from .fitting import calibrated_scores, fit, fit_like, widths_for

PARTS = ('memory', 'calibration', 'thresholds')


class Judged(NamedTuple):
    """What is predicted for N images.

    Attributes:
        scores: Scores (N, K).
        predicted: Whether a label is predicted (N, K), bool.
    """

    scores: np.ndarray
    predicted: np.ndarray


class PredictionRule(NamedTuple):
    """What becomes of a classifier's logits.

    Attributes:
        calibration: The calibration, or None.
        thresholds: Thresholds (K,), or None where the highest labels are predicted.
        topk: Their number.
    """

    calibration: Calibration | None
    thresholds: Tensor | None
    topk: int | None = None

    def judge(self, images: DescribedImages) -> Judged:
        """Predict.

        Args:
            images: The images.

        Returns:
            Scores and predicted labels.
        """
        scores = calibrated_scores(self.calibration, images)
        if self.thresholds is None:
            highest = scores.topk(self.topk or 1).indices
            predicted = torch.zeros_like(scores).scatter_(1, highest, 1) == 1
        else:
            predicted = scores >= self.thresholds
        return Judged(scores.numpy(), predicted.numpy())


class Wanted(NamedTuple):
    """What is to be fitted.

    Attributes:
        parts: Of 'memory' (training images vote; with 'calibration' alone, whose regression weighs the votes),
            'calibration' and 'thresholds'. Without 'calibration' an earlier one is kept.
        goal: What the thresholds are for, see :func:`kmcl_mm.functional.fit_thresholds`.
        wished: The wished precision or recall; None with the goal 'f1'.
        megabytes: Size of the memory, at the most.
    """

    parts: Collection[str] = PARTS
    goal: str = 'f1'
    wished: float | None = None
    megabytes: float = 64


def check_thresholds(wanted: Wanted, before: PredictionRule, path: str | Path, has_fitted: bool) -> None:
    """Refuse thresholds for a head that has none, and earlier ones for scores that will be others.

    Args:
        wanted: What is wanted.
        before: The rule of the checkpoint.
        path: Its path, for the message.
        has_fitted: Whether thresholds were fitted for it.

    Raises:
        ValueError: The thresholds do not fit what is wanted.
    """
    if 'thresholds' in wanted.parts and before.thresholds is None:
        raise ValueError('The head predicts its highest labels (topk), not by thresholds. Set model.head.thr.')
    if 'thresholds' not in wanted.parts and has_fitted:
        raise ValueError(f'The thresholds in {path} are for its former scores. Add thresholds to --parts.')


def check_taken_thresholds(wanted: Wanted, path: str | Path, has_fitted: bool) -> None:
    """Refuse to take thresholds over from a checkpoint for which none were fitted.

    Args:
        wanted: What is wanted.
        path: Path of the other checkpoint, for the message.
        has_fitted: Whether thresholds were fitted for it.

    Raises:
        ValueError: They are wanted, and there are none.
    """
    if 'thresholds' in wanted.parts and not has_fitted:
        raise ValueError(f'{path} has no fitted thresholds. Leave thresholds out of --parts.')


def fit_rule(
    wanted: Wanted, before: PredictionRule, training: DescribedImages | None, validation: DescribedImages
) -> PredictionRule:
    """Fit what is wanted on validation images.

    Args:
        wanted: What is wanted.
        before: The rule of the checkpoint.
        training: The training images, with 'memory'; None without.
        validation: The validation images.

    Returns:
        The rule.
    """
    calibration, thresholds = before.calibration, before.thresholds
    if 'calibration' in wanted.parts:
        widths = (None, None) if training is None else widths_for(training, wanted.megabytes)
        calibration = fit(training, validation, widths)
    if 'thresholds' in wanted.parts and thresholds is not None:
        scores, target = calibrated_scores(calibration, validation), validation.target_at_thresholds
        thresholds = fit_thresholds(scores, target, default=thresholds, goal=wanted.goal, wished=wanted.wished)
    return PredictionRule(calibration, thresholds, before.topk)


def judge_by_others(
    wanted: Wanted, before: PredictionRule, training: DescribedImages | None, images: DescribedImages
) -> Judged:
    """Predict each half of the images by what was fitted on the other half.

    Args:
        wanted: What is wanted.
        before: The rule of the checkpoint.
        training: The training images, with 'memory'; None without.
        images: The images, of which there is no other part to fit on.

    Returns:
        Scores and predicted labels of all images.

    Raises:
        ValueError: All images are of one patient.
    """
    judged = before.judge(images)
    first, second = images.halves()
    if not len(second):
        raise ValueError('The validation images are the test images, and of one patient. Give other ones for either.')
    for own, others in ((first, second), (second, first)):
        rule = fit_rule(wanted, before, training, images.chosen(others))
        for whole, part in zip(judged, rule.judge(images.chosen(own))):
            whole[own] = part
    return judged


def take_over(
    wanted: Wanted, before: PredictionRule, training: DescribedImages | None, other: PredictionRule
) -> PredictionRule:
    """Take over what was fitted for the same training on other images, and let the images of this one vote.

    Args:
        wanted: What is wanted.
        before: The rule of the checkpoint.
        training: The training images, with 'memory'; None without.
        other: The rule of the other checkpoint.

    Returns:
        The rule.

    Raises:
        ValueError: The other has no calibration, or has a memory where none is wanted or none where one is.
    """
    calibration = taken_over(wanted, other)
    if training is not None:
        calibration = fit_like(calibration, training, widths_for(training, wanted.megabytes))
    return PredictionRule(
        calibration, other.thresholds if 'thresholds' in wanted.parts else before.thresholds, before.topk
    )


def taken_over(wanted: Wanted, other: PredictionRule) -> Calibration:
    """The calibration of another checkpoint, if it is as wanted.

    Args:
        wanted: What is wanted.
        other: The rule of the other checkpoint.

    Returns:
        The calibration.

    Raises:
        ValueError: The other has no calibration, or has a memory where none is wanted or none where one is.
    """
    words = ('without a memory', 'with a memory')
    wish = words['memory' in wanted.parts]
    holds = 'none' if other.calibration is None else f'one {words[len(other.calibration.memories) > 0]}'
    if other.calibration is None or holds != f'one {wish}':
        raise ValueError(
            f'Expected the other checkpoint to have a calibration {wish}, but it has {holds}. Give the same parts for '
            'both.'
        )
    return other.calibration
