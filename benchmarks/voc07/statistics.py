"""Average precision with weights of the images, and paired differences with an interval."""

from typing import List, NamedTuple, Optional

import numpy as np

from benchmarks.voc07.runs import Run

RESAMPLINGS = 200


class Difference(NamedTuple):
    """A difference of two forms' mAP, in percentage points, and where it lies in 95 % of the resamplings."""

    mean: float
    low: float
    high: float


def average_precisions(scores: np.ndarray, target: np.ndarray, weights: Optional[np.ndarray] = None) -> np.ndarray:
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


def paired_difference(runs: List[Run], others: List[Run]) -> Difference:
    """By how much the mean mAP of runs is above that of others with the same seeds.

    The images and the seeds are drawn again with replacement, the same ones for both, which tells how much of the
    difference the choice of images and of initial values may have made.

    Args:
        runs: One a seed.
        others: Of the same seeds and images, in the same order.

    Returns:
        The difference and its interval.
    """
    random = np.random.default_rng(0)
    number = len(runs[0].target)
    images = random.multinomial(number, np.full(number, 1 / number), size=RESAMPLINGS)
    seeds = random.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=RESAMPLINGS) / len(runs)
    resampled = [
        average_precisions(run.scores, run.target, images).mean(axis=1)
        - average_precisions(other.scores, other.target, images).mean(axis=1)
        for run, other in zip(runs, others)
    ]
    low, high = np.quantile((np.stack(resampled, axis=1) * seeds).sum(axis=1), [0.025, 0.975])
    mean = np.mean([mean_average_precision(run) - mean_average_precision(other) for run, other in zip(runs, others)])
    return Difference(float(mean), float(low), float(high))
