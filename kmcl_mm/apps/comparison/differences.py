"""Differences of two classifiers in average precision, with intervals."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.utils import track_iter_progress

from ...evaluation.resampling import (
    RESAMPLINGS,
    Interval,
    average_precisions,
    draw_weights,
    mean_over_labels,
    paired_difference,
)
from ...files import atomic_write
from .predictions import TestPredictions

_MEAN = 'mAP'


class LabelDifference(NamedTuple):
    """Average precision of two classifiers, in percent.

    Attributes:
        label: Name of the label; 'mAP' for the mean over the labels.
        positives: Number of images with the label; None for the mean.
        first: Average precision of A.
        second: Average precision of B.
        difference: That of B less that of A, with its interval of 95 %.
    """

    label: str
    positives: int | None
    first: float
    second: float
    difference: Interval


class Comparison(NamedTuple):
    """Two classifiers, A and B, on the same test images.

    Attributes:
        labels: The labels that at least one image has, those that B is better at first.
        mean: The mean over these labels.
        absent: Names of the labels that no image has.
        images: Number of images.
        resamplings: Number of resamplings behind the intervals.
    """

    labels: list[LabelDifference]
    mean: LabelDifference
    absent: list[str]
    images: int
    resamplings: int

    def verdict(self) -> str:
        """Which of the two is better, if that can be told.

        Returns:
            The sentence.

        Example:
            >>> mean = LabelDifference('mAP', None, 80.0, 80.5, Interval(0.52, 0.1, 0.93))
            >>> Comparison([], mean, [], 4952, 1000).verdict()
            'B is better by 0.52 mAP (95 %: 0.10 to 0.93).'
        """
        value, low, high = self.mean.difference
        if not self.mean.difference.is_clear_of_zero:
            return f'No difference can be told from chance: B - A is {value:.2f} mAP (95 %: {low:.2f} to {high:.2f}).'
        if value > 0:
            return f'B is better by {value:.2f} mAP (95 %: {low:.2f} to {high:.2f}).'
        return f'A is better by {-value:.2f} mAP (95 %: {-high:.2f} to {-low:.2f}).'

    def table(self) -> str:
        """The differences as text, a line for each label.

        Returns:
            The lines, the mean last.
        """
        rows = [*self.labels, self.mean]
        width = max(len(row.label) for row in rows)
        lines = [f'{"":{width}}  positives       A       B   B - A  (95 %)']
        for label, positives, first, second, (value, low, high) in rows:
            number = '' if positives is None else str(positives)
            averages = f'{first:6.2f}  {second:6.2f}  {value:+6.2f}  ({low:+.2f} to {high:+.2f})'
            lines.append(f'{label:{width}}  {number:>9}  {averages}')
        if self.absent:
            lines.append(f'Without a positive: {", ".join(self.absent)}')
        clear = sum(row.difference.is_clear_of_zero for row in self.labels)
        lines.append(f'{clear} of {len(self.labels)} intervals of labels are clear of 0. Chance alone gives 1 in 20.')
        return '\n'.join(lines)

    def write_csv(self, path: Path) -> None:
        """Write the differences as a table, the mean as its last row.

        Args:
            path: The file to write or to replace.
        """
        with atomic_write(path) as unfinished, unfinished.open('w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            writer.writerow(('label', 'positives', 'ap_a', 'ap_b', 'difference', 'low', 'high'))
            writer.writerows((*row[:-1], *row.difference) for row in (*self.labels, self.mean))


def compare(first: TestPredictions, second: TestPredictions, resamplings: int = RESAMPLINGS) -> Comparison:
    """Compare two classifiers on resamplings of the test images, the same ones for both.

    Images of one patient are drawn together, where the data set names patients. The mean is over the labels that
    occur, as ``per-label/mAP`` of :class:`kmcl_mm.evaluation.PerLabelAP`.

    Args:
        first: Predictions of A.
        second: Predictions of B, of the same images and labels.
        resamplings: Number of resamplings.

    Returns:
        The differences, with intervals of 95 %.

    Raises:
        ValueError: The labels, images or targets differ, no image has a label, or ``resamplings`` is less than 1.
    """
    _check_same(first, second)
    target = first.target
    positives = (target == 1).sum(axis=0)
    occurring = np.flatnonzero(positives)
    if not len(occurring):
        raise ValueError('No test image has a label, so there is no average precision to compare.')
    groups = first.groups if first.groups is not None else second.groups
    weights = draw_weights(len(target), groups, resamplings)
    print(f'{resamplings} resamplings, label by label:')
    differences, of_first, of_second = [], [], []
    for k in track_iter_progress(occurring.tolist()):
        a, b = (average_precisions(side.scores[:, [k]], target[:, [k]], weights)[:, 0] for side in (first, second))
        differences.append(_difference(first.labels[k], int(positives[k]), a, b))
        of_first.append(a)
        of_second.append(b)
    return Comparison(
        labels=sorted(differences, key=lambda row: -row.difference.value),
        mean=_difference(_MEAN, None, *(mean_over_labels(np.stack(each, axis=1)) for each in (of_first, of_second))),
        absent=[first.labels[k] for k in np.flatnonzero(positives == 0)],
        images=len(target),
        resamplings=resamplings,
    )


def _difference(label: str, positives: int | None, first: np.ndarray, second: np.ndarray) -> LabelDifference:
    """From the average precisions (1 + R,) of A and B; a resampling that lacks a label is nan in both."""
    return LabelDifference(label, positives, float(first[0]), float(second[0]), paired_difference([second], [first]))


def _check_same(first: TestPredictions, second: TestPredictions) -> None:
    if first.labels != second.labels:
        raise ValueError(f'A and B have different labels: {_first_difference(first.labels, second.labels)}.')
    if first.images != second.images:
        raise ValueError(
            f'A and B have different test images: {_first_difference(first.images, second.images)}. Give both the same '
            'test data with --cfg-options.'
        )
    differ = np.argwhere(first.target != second.target)
    if len(differ):
        image, label = differ[0]
        raise ValueError(
            f'A and B have different targets at {len(differ)} places, first at {first.images[image]}, '
            f'{first.labels[label]}: {first.target[image, label]} and {second.target[image, label]}. Give both the '
            'same test data with --cfg-options.'
        )


def _first_difference(first: Sequence[str], second: Sequence[str]) -> str:
    """What is different, in order, in two sequences that are not the same."""
    if len(first) != len(second):
        return f'{len(first)} and {len(second)}'
    place = next(place for place, pair in enumerate(zip(first, second)) if pair[0] != pair[1])
    return f'number {place + 1} is {first[place]!r} and {second[place]!r}'
