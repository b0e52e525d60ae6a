"""The metrics of the report."""

from typing import NamedTuple

import numpy as np

from ...evaluation import MultiLabelF1, PerLabelAP
from ...evaluation.weighted_metrics import brier_scores, calibration_errors
from .predictions import Evaluation


class Results(NamedTuple):
    """The metrics of a checkpoint, in percent but for the last two, which are fractions.

    Attributes:
        average_precision: Average precision of each label (K,); nan if no test image has it.
        mean_average_precision: Its mean over the labels that a test image has; nan if there are none.
        at_thresholds: CP, CR, CF1, OP, OR and OF1 at the checkpoint's thresholds by name; empty without thresholds.
        calibration_error: Expected calibration error over all known pairs of image and label, see
            :func:`kmcl_mm.evaluation.weighted_metrics.calibration_errors`; nan if no label is known.
        brier_score: Mean squared difference between score and label over these pairs; nan if no label is known.
    """

    average_precision: np.ndarray
    mean_average_precision: float
    at_thresholds: dict[str, float]
    calibration_error: float
    brier_score: float


def measure(evaluation: Evaluation) -> Results:
    """Compute the metrics of predictions.

    Args:
        evaluation: The predictions.

    Returns:
        The results.
    """
    by_place = PerLabelAP().calculate(evaluation.scores, evaluation.target)
    at_thresholds = {}
    if evaluation.thresholds is not None:
        metric = MultiLabelF1(thr=evaluation.thresholds.tolist(), topk=None)
        at_thresholds = metric.calculate(evaluation.scores, evaluation.target_at_thresholds)
    once = np.ones((1, len(evaluation)), int)
    calibration_error, brier_score = (
        float(metric(evaluation.scores.numpy(), evaluation.target.numpy(), once)[0])
        for metric in (calibration_errors, brier_scores)
    )
    return Results(
        average_precision=np.array([by_place.get(f'AP/{k}', np.nan) for k in range(len(evaluation.labels))]),
        mean_average_precision=by_place['mAP'],
        at_thresholds=at_thresholds,
        calibration_error=calibration_error,
        brier_score=brier_score,
    )
