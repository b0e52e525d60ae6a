"""Average precision with weights of the images, and paired differences with an interval."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.voc07.runs import Run

RESAMPLINGS = 500


class Difference(NamedTuple):
    """A difference of two forms' mAP, in percentage points, and where it lies in 95 % of the resamplings."""

    mean: float
    low: float
    high: float


def average_precisions(scores: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Average precision of each label, in percent: the mean of the precisions at the positives.

    Args:
        scores: Scores (N, K).
        target: Targets (N, K): 1, 0, and -1 where the label is left out.
        weights: How many times each image counts (R, N), for R resamplings; None: once.

    Returns:
        Average precisions (R, K), with R = 1 without weights.
    """
    weights = np.ones((1, len(scores))) if weights is None else weights
    columns = []
    for label_scores, label_target in zip(scores.T, target.T):
        order = np.argsort(-label_scores, kind='stable')
        order = order[label_target[order] != -1]
        drawn = weights[:, order].astype(float)
        positive = drawn * (label_target[order] == 1)
        precision = positive.cumsum(axis=1) / np.maximum(drawn.cumsum(axis=1), 1)
        columns.append((precision * positive).sum(axis=1) / np.maximum(positive.sum(axis=1), 1))
    return 100 * np.stack(columns, axis=1)


def mean_average_precision(run: Run) -> float:
    """The mAP of a run, in percent."""
    return float(average_precisions(run.scores, run.target).mean())


def resampled_mean_average_precisions(run: Run) -> np.ndarray:
    """The mAP of a run, and those with its images drawn again with replacement.

    Args:
        run: The run. The same images are drawn for all runs that were evaluated on as many.

    Returns:
        In percent (1 + RESAMPLINGS), the first of the images as they are.
    """
    number = len(run.target)
    drawn = np.random.default_rng(0).multinomial(number, np.full(number, 1 / number), size=RESAMPLINGS)
    weights = np.concatenate([np.ones((1, number), drawn.dtype), drawn])
    return average_precisions(run.scores, run.target, weights).mean(axis=1)


def paired_difference(results: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> Difference:
    """By how much the mean mAP of runs is above that of others with the same seeds.

    The images and the seeds are drawn again with replacement, the same ones for both, which tells how much of the
    difference the choice of images and of initial values may have made.

    Args:
        results: Of each seed what :func:`resampled_mean_average_precisions` returns.
        others: The same of other runs with the same seeds and images, in the same order.

    Returns:
        The difference and its interval.
    """
    differences = np.stack(results, axis=1) - np.stack(others, axis=1)
    number = len(results)
    seeds = np.random.default_rng(1).multinomial(number, np.full(number, 1 / number), size=len(differences) - 1)
    low, high = np.quantile((differences[1:] * seeds).sum(axis=1) / number, [0.025, 0.975])
    return Difference(float(differences[0].mean()), float(low), float(high))
