"""Example images: the most confident mistakes, and the most uncertain predictions."""

from typing import NamedTuple

import numpy as np

from ..inference.measures import KERNELS, SCORES, Measure
from ..inference.thumbnails import as_data_uri
from .predictions import Evaluation

_SIZE, _QUALITY = 144, 70  # of the pictures


class Example(NamedTuple):
    """An example image.

    Attributes:
        picture: Its data URI.
        name: Its name.
        headline: Why it is shown.
        present: Names of its labels.
        predicted: Names of its predicted labels.
    """

    picture: str
    name: str
    headline: str
    present: list[str]
    predicted: list[str]


class UncertainImages(NamedTuple):
    """The images with the highest uncertainty by one measure.

    Attributes:
        measure: The measure.
        examples: The images, most uncertain first.
    """

    measure: Measure
    examples: list[Example]


def mistakes(evaluation: Evaluation, most: int) -> tuple[list[Example], list[Example]]:
    """Find the most confident mistakes.

    Args:
        evaluation: The predictions.
        most: How many to show of each kind, at most.

    Returns:
        Images with a wrong label of a high score, and images with a missed label of a low score. Each is there once,
        with its worst label.
    """
    scores, target, predicted = evaluation.scores, evaluation.target, evaluation.predicted
    wrong = scores.where(predicted & (target == 0), -1)
    missed = (1 - scores).where(~predicted & (target == 1), -1)
    return _worst(evaluation, wrong.numpy(), 'wrong', most), _worst(evaluation, missed.numpy(), 'missed', most)


def _worst(evaluation: Evaluation, confidence: np.ndarray, what: str, most: int) -> list[Example]:
    """Images with the highest confidences (N, K) of a mistake; -1 is no mistake."""
    examples = []
    for place in np.argsort(-confidence.max(axis=1), kind='stable')[:most]:
        k = confidence[place].argmax()
        if confidence[place, k] >= 0:
            score = f'score {evaluation.scores[place, k]:.1%}'
            examples.append(_example(evaluation, int(place), f'{what}: {evaluation.labels[k]}, {score}'))
    return examples


def uncertain_images(evaluation: Evaluation, most: int) -> list[UncertainImages]:
    """The most uncertain images, by each measure of uncertainty that the head has.

    Args:
        evaluation: The predictions.
        most: How many to show per measure, at most.

    Returns:
        The images of each measure.
    """
    measures = [(SCORES, evaluation.indecision)]
    if evaluation.entropy is not None:
        measures.append((KERNELS, evaluation.entropy))
    return [
        UncertainImages(
            measure,
            [
                _example(evaluation, int(place), f'{values[place]:.3f}')
                for place in np.argsort(-values, kind='stable')[:most]
            ],
        )
        for measure, values in measures
    ]


def _example(evaluation: Evaluation, place: int, headline: str) -> Example:
    names = [
        [evaluation.labels[k] for k in np.flatnonzero(row)]
        for row in ((evaluation.target[place] == 1).numpy(), evaluation.predicted[place].numpy())
    ]
    picture = as_data_uri(evaluation.thumbnail(place, _SIZE, _QUALITY))
    return Example(picture, evaluation.names[place], headline, *names)
