"""What a calibration changes, on images that chose nothing of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ...evaluation.multilabel_f1 import precision_recall_f1_of_labels
from ...evaluation.resampling import Interval, draw_weights, interval_of, mean_average_precisions
from ...evaluation.weighted_metrics import brier_scores, calibration_errors, f1_scores
from .described_images import DescribedImages
from .prediction_rule import Judged

# Metrics in [0, 1]; the others are in percent.
_FRACTIONS = ('calibration error', 'Brier score')


class Gain(NamedTuple):
    """A metric before and after.

    Attributes:
        metric: Its name.
        before: Its value before.
        after: Its value after.
        difference: The difference, with its interval.
    """

    metric: str
    before: float
    after: float
    difference: Interval


def gains(images: DescribedImages, before: Judged, after: Judged, resamplings: int = 1000) -> list[Gain]:
    """Compare two predictions of the same images.

    Args:
        images: The images.
        before: The one.
        after: The other.
        resamplings: Number of resamplings for the intervals; images of a patient are drawn together.

    Returns:
        mAP, CF1 and OF1 in percent, calibration error and Brier score as fractions.
    """
    weights = draw_weights(len(images), images.patients, resamplings)
    olds, news = (_metrics(images, judged, weights) for judged in (before, after))
    return [
        Gain(name, float(old[0]), float(news[name][0]), interval_of(news[name] - old)) for name, old in olds.items()
    ]


def _metrics(images: DescribedImages, judged: Judged, weights: np.ndarray) -> dict[str, np.ndarray]:
    target = images.target.numpy()
    f1 = f1_scores(judged.predicted, images.target_at_thresholds.numpy(), weights)
    return {
        'mAP': mean_average_precisions(judged.scores, target, weights),
        'calibration error': calibration_errors(judged.scores, target, weights),
        'Brier score': brier_scores(judged.scores, target, weights),
        'CF1': f1['CF1'],
        'OF1': f1['OF1'],
    }


def as_table(found: list[Gain]) -> str:
    """The gains as lines of text.

    Args:
        found: The gains.

    Returns:
        The lines.

    Example:
        >>> print(as_table([Gain('mAP', 85.0, 86.25, Interval(1.25, 1.0, 1.5))]))
                              before    after   difference (95 %)
        mAP                    85.00    86.25   +1.25 (+1.00 to +1.50)
    """
    lines = [f'{"":20}{"before":>8} {"after":>8}   difference (95 %)']
    for metric, before, after, difference in found:
        digits = 4 if metric in _FRACTIONS else 2
        value, low, high = (f'{number:+.{digits}f}' for number in difference)
        lines.append(f'{metric:20}{before:8.{digits}f} {after:8.{digits}f}   {value} ({low} to {high})')
    return '\n'.join(lines)


def label_table(names: Sequence[str], images: DescribedImages, before: Judged, after: Judged) -> str:
    """Precision, recall and F1 of each label before and after, as lines of text.

    Args:
        names: Names of the K labels.
        images: The images.
        before: The one prediction of them.
        after: The other.

    Returns:
        The lines.
    """
    width = max(map(len, names))
    columns = [
        column.tolist()
        for judged in (before, after)
        for column in precision_recall_f1_of_labels(torch.from_numpy(judged.predicted), images.target_at_thresholds)
    ]
    lines = [f'{"":{width}}       precision          recall              F1']
    for name, *values in zip(names, *columns):
        changes = '   '.join(f'{values[part]:5.1f} -> {values[part + 3]:5.1f}' for part in range(3))
        lines.append(f'{name:{width}}  {changes}')
    return '\n'.join(lines)
