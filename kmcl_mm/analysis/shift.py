"""Tell from label frequencies alone that one split's labels are shifted against another's.

Two splits of one source have each label about as often, up to chance. How badly two shares fit is measured by the
likelihood ratio of "each its own share" against "one share for both" (the G statistic; it is about 1 a label where only
chance is at work). A shift is reported where the frequencies fit decisively better with it than without.
"""

from typing import Dict, Optional

import numpy as np

from .labels import LabelCounts

_MAX_SHIFT = 3
# Chosen by resampling; docs/check_dataset.md has the figures.
_DECISIVE_GAIN = 25.0
_CLEAR_GAIN = 10.0
_DECISIVE_RATIO = 1.5
_OVERWHELMING_RATIO = 6.0
_CHANCE = 15.0
# A label whose share differs by this factor, with odds against chance of more than a million to one.
_LARGE_FACTOR = 3.0
_SIGNIFICANT = 25.0


def find_shift(reference: LabelCounts, other: LabelCounts) -> Optional[int]:
    """The shift of one split's labels against another's.

    Shifts by up to 3 places either way are tried, whole ones (labels fall off at the end) as well as cyclic ones. Where
    all labels are about as frequent as each other nothing can be told.

    Args:
        reference: Counts of the split to compare with, of K labels.
        other: Counts of the split that may be shifted, of K labels.

    Returns:
        The number of places: its label k is the other's label k - shift. None where no shift fits decisively better.
    """
    number = len(reference.positives)
    gains: Dict[int, float] = {}
    for shift in (*range(-_MAX_SHIFT, 0), *range(1, _MAX_SHIFT + 1)):
        if abs(shift) < number:
            gains[shift] = _gain(reference, other, shift)
    best = max(gains, key=lambda shift: gains[shift], default=None)
    return best if best is not None and gains[best] > _DECISIVE_GAIN else None


def _gain(reference: LabelCounts, other: LabelCounts, shift: int) -> float:
    """How much better the frequencies fit with a shift than without; 0 where that is not clear."""
    labels = np.arange(len(reference.positives))
    sources = (labels - shift) % len(labels)
    wrapped = labels - shift != sources
    # A whole shift leaves labels empty at one end; what stood at the other end has no partner.
    emptied = wrapped & (other.positives == 0)
    emptied_before = wrapped & (reference.positives[sources] == 0)
    empty = np.union1d(labels[emptied], sources[emptied_before])
    compared = np.setdiff1d(labels[~emptied & ~emptied_before], empty)
    without = _misfit(reference, other, compared, compared).sum()
    misfits = _misfit(reference, other, sources[compared], compared)
    shifted = misfits.sum()
    # An empty label alone may have been forgotten: the others have to speak for the shift as well.
    clear = _CLEAR_GAIN + 3 * np.sqrt(len(compared))  # chance moves a sum over K labels by about sqrt(4 K)
    if without - shifted < clear or without < _DECISIVE_RATIO * shifted:
        return 0.0
    # With the right shift either all labels agree up to chance or, in many images, far better than without.
    if misfits.max(initial=0) > _CHANCE and without < _OVERWHELMING_RATIO * shifted:
        return 0.0
    return without - shifted + _misfit(reference, other, empty, empty).sum()


def differing_labels(first: LabelCounts, second: LabelCounts) -> np.ndarray:
    """Labels at least three times as frequent in one split as in the other, beyond chance.

    Args:
        first: Counts of a split of K labels.
        second: Counts of another.

    Returns:
        Their indices, the clearest first; labels that never occur in one of the splits are not among them.
    """
    labels = np.arange(len(first.positives))
    misfit = _misfit(first, second, labels, labels)
    low, high = np.minimum(first.shares, second.shares), np.maximum(first.shares, second.shares)
    chosen = (low > 0) & (high > _LARGE_FACTOR * low) & (misfit > _SIGNIFICANT)
    return labels[chosen][np.argsort(-misfit[chosen], kind='stable')]


def _misfit(first: LabelCounts, second: LabelCounts, labels: np.ndarray, other_labels: np.ndarray) -> np.ndarray:
    """G statistic of each pair of labels."""
    count_1, total_1 = first.positives[labels], first.judged[labels]
    count_2, total_2 = second.positives[other_labels], second.judged[other_labels]
    pooled = (count_1 + count_2) / np.maximum(total_1 + total_2, 1)
    return 2 * (
        _log_likelihood(count_1, total_1, count_1 / np.maximum(total_1, 1))
        + _log_likelihood(count_2, total_2, count_2 / np.maximum(total_2, 1))
        - _log_likelihood(count_1, total_1, pooled)
        - _log_likelihood(count_2, total_2, pooled)
    )


def _log_likelihood(count: np.ndarray, total: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Of so many images with a label, given its share; 0 log 0 is 0."""
    return _times_log(count, share) + _times_log(total - count, 1 - share)


def _times_log(factor: np.ndarray, value: np.ndarray) -> np.ndarray:
    return factor * np.log(np.where(factor > 0, value, 1))
