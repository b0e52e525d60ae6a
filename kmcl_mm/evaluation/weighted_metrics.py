"""Metrics of resampled images: each image counts as often as it was drawn."""

import numpy as np
import torch
from torch import Tensor

from ..checks import UNKNOWN
from .multilabel_f1 import averages

_BINS = 15


def calibration_errors(scores: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    r"""Expected calibration error over all known pairs of image and label.

    Pairs are sorted into 15 bins of equal width by their score. The error is the mean over the pairs of the difference
    between the mean score in a bin and the share of its pairs where the label is present: 0.05 says that scores are
    wrong by 5 percentage points on average.

    Args:
        scores: Scores (N, K) in [0, 1].
        target: Targets (N, K): 1 present, 0 absent, -1 unknown, which is left out.
        weights: How many times each image counts (R, N).

    Returns:
        Errors (R,), in [0, 1]; nan where no label of an image that counts is known.

    Source: Naeini et al. (2015); torchmetrics' ``binary_calibration_error`` with ``norm='l1'``.

    Example:
        >>> import numpy as np
        >>> scores, target = np.array([[0.7], [0.7], [0.1]]), np.array([[1], [0], [0]])
        >>> calibration_errors(scores, target, np.array([[1, 1, 1]])).round(4)
        array([0.1667])
    """
    known = (target != UNKNOWN).astype(float)
    # As torchmetrics has it, a score at the edge of two bins is in the upper one, and 1 in one more.
    values = torch.from_numpy(scores).float()
    bins = torch.bucketize(values, torch.linspace(0, 1, _BINS + 1), right=True).numpy() - 1
    places = (np.arange(len(scores))[:, None] * (_BINS + 1) + bins).ravel()
    # Difference of score and label in each bin, summed over the labels of an image.
    differences = ((scores - (target == 1)) * known).ravel()
    of_images = np.bincount(places, differences, minlength=len(scores) * (_BINS + 1)).reshape(-1, _BINS + 1)
    return _mean_of_known(np.abs(weights @ of_images).sum(axis=1), known, weights)


def brier_scores(scores: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared difference between score and label over all known pairs of image and label.

    Args:
        scores: Scores (N, K) in [0, 1].
        target: Targets (N, K): 1 present, 0 absent, -1 unknown, which is left out.
        weights: How many times each image counts (R, N).

    Returns:
        Scores (R,), in [0, 1]; nan where no label of an image that counts is known.

    Source: Brier (1950).
    """
    known = (target != UNKNOWN).astype(float)
    squares = ((scores - (target == 1)) ** 2 * known).sum(axis=1)
    return _mean_of_known(weights @ squares, known, weights)


def _mean_of_known(sums: np.ndarray, known: np.ndarray, weights: np.ndarray) -> np.ndarray:
    numbers = weights @ known.sum(axis=1)
    return np.where(numbers > 0, sums / np.maximum(numbers, 1), np.nan)


def f1_scores(predicted: np.ndarray, target: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """CP, CR, CF1, OP, OR and OF1, as :class:`kmcl_mm.evaluation.MultiLabelF1` has them.

    Args:
        predicted: Whether a label is predicted (N, K), bool.
        target: Targets (N, K): 1 present, 0 absent, -1 unknown, which is left out.
        weights: How many times each image counts (R, N).

    Returns:
        Percentages (R,) by name.
    """
    present, known = target == 1, target != UNKNOWN
    counts = [_counted(weights, part) for part in (predicted & present, predicted & known, present)]
    return {name: value.numpy() for name, value in averages(*counts).items()}


def _counted(weights: np.ndarray, part: np.ndarray) -> Tensor:
    return torch.from_numpy(weights.astype(float) @ part.astype(float))
