"""How sure a metric is: the same metric of images that are drawn again, with replacement.

The images that a test happens to have decide a part of its result. Drawing as many of them again, each any number of
times, shows how large that part is (bootstrap). Two classifiers are compared on the same drawings, so that images that
are hard for both do not blur the difference.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from ..checks import UNKNOWN, check_at_least

RESAMPLINGS = 1000
# Shares of the resamplings below and above an interval of 95 %.
_ENDS = (0.025, 0.975)
# Numbers that are in memory at once, per label.
_BLOCK = 2**22


class Interval(NamedTuple):
    """A number with the interval in which it lies in 95 % of the resamplings.

    Attributes:
        value: The number, of the images as they are.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f'{self.value:.2f} ({self.low:.2f} to {self.high:.2f})'

    @property
    def is_clear_of_zero(self) -> bool:
        """Whether both ends are on the same side of zero.

        Example:
            >>> Interval(0.5, 0.1, 0.9).is_clear_of_zero, Interval(0.5, -0.1, 1.1).is_clear_of_zero
            (True, False)
        """
        return self.low > 0 or self.high < 0


def draw_weights(
    number: int, groups: Sequence[Hashable] | None = None, resamplings: int = RESAMPLINGS, seed: int = 0
) -> np.ndarray:
    """Draw how many times each image counts.

    Args:
        number: Number of images N.
        groups: The patient, say, of each image: images of a group are drawn together. Default: each by itself.
        resamplings: Number of resamplings R.
        seed: Seed of the drawing.

    Returns:
        Weights (1 + R, N), whole numbers; the first row is 1, for the images as they are.

    Raises:
        ValueError: There are no images, ``resamplings`` is less than 1, or the groups are of another number of images.

    Example:
        >>> draw_weights(4, groups=['a', 'a', 'b', 'b'], resamplings=3)[-1]
        array([0, 0, 2, 2])
    """
    check_at_least('number', number, 1)
    check_at_least('resamplings', resamplings, 1)
    if groups is not None and len(groups) != number:
        raise ValueError(
            f'Expected argument `groups` to name a group for each of {number} images, but got {len(groups)}.'
        )
    places = np.arange(number) if groups is None else _places_of_groups(groups)
    number_of_groups = places.max() + 1
    chances = np.full(number_of_groups, 1 / number_of_groups)
    drawn = np.random.default_rng(seed).multinomial(number_of_groups, chances, size=resamplings)[:, places]
    return np.concatenate([np.ones((1, number), drawn.dtype), drawn])


def _places_of_groups(groups: Sequence[Hashable]) -> np.ndarray:
    numbers = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    return np.array([numbers[group] for group in groups])


def average_precisions(scores: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Average precision of each label, in percent: the mean of the precisions at the positives.

    Args:
        scores: Scores (N, K).
        target: Targets (N, K): 1 present, 0 absent, -1 unknown, which leaves the image out.
        weights: How many times each image counts (R, N), as of :func:`draw_weights`. Default: once.

    Returns:
        Average precisions (R, K), with R = 1 without weights; nan where no image that counts has the label.

    Raises:
        ValueError: The shapes do not fit each other.

    Example:
        >>> import numpy as np
        >>> average_precisions(np.array([[0.9], [0.8]]), np.array([[0], [1]]), np.array([[1, 1], [2, 0], [0, 2]]))
        array([[ 50.],
               [ nan],
               [100.]])
    """
    weights = np.ones((1, len(scores)), int) if weights is None else weights
    if scores.shape != target.shape or weights.shape[1] != len(scores):
        raise ValueError(
            'Expected arguments `scores` and `target` to have one shape (N, K) and `weights` to be (R, N), but got '
            f'{scores.shape}, {target.shape} and {weights.shape}.'
        )
    rows = max(1, _BLOCK // len(scores))
    blocks = [
        _average_precisions(scores, target, weights[first : first + rows]) for first in range(0, len(weights), rows)
    ]
    return 100 * np.concatenate(blocks)


def _average_precisions(scores: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    columns = []
    for label_scores, label_target in zip(scores.T, target.T):
        order = np.argsort(-label_scores, kind='stable')
        order = order[label_target[order] != UNKNOWN]
        drawn = weights[:, order].astype(float)
        positive = drawn * (label_target[order] == 1)
        precision = positive.cumsum(axis=1) / np.maximum(drawn.cumsum(axis=1), 1)
        number = positive.sum(axis=1)
        mean = (precision * positive).sum(axis=1) / np.maximum(number, 1)
        columns.append(np.where(number > 0, mean, np.nan))
    return np.stack(columns, axis=1)


def mean_average_precisions(scores: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean of the average precisions over the labels that occur; arguments as :func:`average_precisions`.

    Returns:
        mAP (R,) in percent; nan where no label occurs.
    """
    return mean_over_labels(average_precisions(scores, target, weights))


def mean_over_labels(values: np.ndarray) -> np.ndarray:
    """The mean over the labels that occur.

    Args:
        values: Values (R, K), nan for labels that do not occur.

    Returns:
        Means (R,); nan where no label occurs.
    """
    occurs = ~np.isnan(values)
    number = occurs.sum(axis=1)
    return np.where(number > 0, np.where(occurs, values, 0).sum(axis=1) / np.maximum(number, 1), np.nan)


def interval_of(values: np.ndarray) -> Interval:
    """The value of the images as they are, with the interval of the resamplings.

    Args:
        values: Values (1 + R,), the first of the images as they are; nan in resamplings that lack a label.

    Returns:
        The value and its interval of 95 %; nan where there is no value.

    Example:
        >>> interval_of(np.array([5, 4, 5, 6.0]))
        Interval(value=5.0, low=4.05, high=5.95)
    """
    resampled = values[1:][~np.isnan(values[1:])]
    low, high = np.quantile(resampled, _ENDS) if len(resampled) else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))


def paired_difference(results: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> Interval:
    """By how much the mean result of runs is above that of others with the same seeds and images.

    With several seeds these are drawn again too, the same ones for both, which tells how much of the difference the
    choice of images and of initial values may have made.

    Args:
        results: Of each seed, results (1 + R,) of the images as they are and of R resamplings.
        others: The same of other runs with the same seeds and weights of images, in the same order.

    Returns:
        The difference and its interval.
    """
    differences = np.stack(results, axis=1) - np.stack(others, axis=1)
    number = len(results)
    seeds = np.random.default_rng(1).multinomial(number, np.full(number, 1 / number), size=len(differences) - 1)
    drawn = (differences[1:] * seeds).sum(axis=1) / number
    return interval_of(np.concatenate([differences[:1].mean(axis=1), drawn]))
