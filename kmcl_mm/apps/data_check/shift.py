"""Detect from label frequencies alone that the labels of one split are shifted against those of another.

In two splits of one source each label is about equally frequent. The G statistic measures how much two frequencies
differ: the likelihood ratio of "each split has its own share" against "both have one share", about 1 per label where
they differ by chance only. A shift is reported where the frequencies agree decisively better with it than without.
"""

import numpy as np
from scipy.special import rel_entr

from .label_counts import LabelCounts

_MAX_SHIFT = 3
# Chosen by resampling; docs/check_dataset.md has the numbers.
_DECISIVE_GAIN = 25.0
_CLEAR_GAIN = 10.0
_DECISIVE_RATIO = 1.5
_OVERWHELMING_RATIO = 6.0
_CHANCE = 15.0
# Labels whose share differs by this factor, with a probability below one in a million by chance.
_LARGE_FACTOR = 3.0
_SIGNIFICANT = 25.0


def find_shift(reference: LabelCounts, other: LabelCounts) -> int | None:
    """Find the shift of one split's labels against those of another.

    Shifts by up to 3 places in both directions are tried, cyclic ones and those where labels fall off at the end. Where
    all labels are about equally frequent, no shift can be found.

    Args:
        reference: Counts of the split to compare with, with K labels.
        other: Counts of the split that may be shifted, with K labels.

    Returns:
        The number of places: its label k is the reference's label k - shift. None if no shift fits decisively better.
    """
    number = len(reference.positives)
    gains: dict[int, float] = {}
    for shift in (*range(-_MAX_SHIFT, 0), *range(1, _MAX_SHIFT + 1)):
        if abs(shift) < number:
            gains[shift] = _gain(reference, other, shift)
    best = max(gains, key=lambda shift: gains[shift], default=None)
    return best if best is not None and gains[best] > _DECISIVE_GAIN else None


def _gain(reference: LabelCounts, other: LabelCounts, shift: int) -> float:
    """How much better the frequencies agree with a shift than without; 0 where that is not clear."""
    labels = np.arange(len(reference.positives))
    sources = (labels - shift) % len(labels)
    wrapped = labels - shift != sources
    # A shift that is not cyclic leaves labels empty at one end; those at the other end have no counterpart.
    emptied = wrapped & (other.positives == 0)
    emptied_before = wrapped & (reference.positives[sources] == 0)
    empty = np.union1d(labels[emptied], sources[emptied_before])
    compared = np.setdiff1d(labels[~emptied & ~emptied_before], empty)
    without = _misfit(reference, other, compared, compared).sum()
    misfits = _misfit(reference, other, sources[compared], compared)
    shifted = misfits.sum()
    # A single empty label may have been forgotten: the other labels must agree with the shift as well.
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
        first: Counts of a split with K labels.
        second: Counts of another.

    Returns:
        Their indices, clearest first, without labels that never occur in one of the splits.
    """
    labels = np.arange(len(first.positives))
    misfit = _misfit(first, second, labels, labels)
    low, high = np.minimum(first.shares, second.shares), np.maximum(first.shares, second.shares)
    chosen = (low > 0) & (high > _LARGE_FACTOR * low) & (misfit > _SIGNIFICANT)
    return labels[chosen][np.argsort(-misfit[chosen], kind='stable')]


def _misfit(first: LabelCounts, second: LabelCounts, labels: np.ndarray, other_labels: np.ndarray) -> np.ndarray:
    """G statistic of each pair of labels."""
    present = np.stack([first.positives[labels], second.positives[other_labels]])
    total = np.stack([first.judged[labels], second.judged[other_labels]])
    share = present.sum(axis=0) / np.maximum(total.sum(axis=0), 1)
    return 2 * (rel_entr(present, total * share) + rel_entr(total - present, total * (1 - share))).sum(axis=0)
