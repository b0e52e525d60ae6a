"""Images to look at: the most confident mistakes, and the most uncertain ones."""

from typing import List, NamedTuple

import numpy as np

from ..inference.measures import KERNELS, SCORES, Measure
from .evaluation import Evaluation
from .pictures import as_data_uri

_SIZE, _QUALITY = 144, 70  # of the pictures


class Example(NamedTuple):
    """An image to look at.

    Attributes:
        picture: Its address.
        name: Its name.
        headline: Why it is shown.
        present: Names of the labels that it has.
        predicted: Names of the labels that were predicted.
    """

    picture: str
    name: str
    headline: str
    present: List[str]
    predicted: List[str]


class UncertainImages(NamedTuple):
    """The images that a measure of uncertainty puts first.

    Attributes:
        measure: The measure.
        examples: The images, the most uncertain first.
    """

    measure: Measure
    examples: List[Example]


def wrong_labels(evaluation: Evaluation, most: int) -> List[Example]:
    """Images with a predicted label that they do not have, those with the highest scores.

    Args:
        evaluation: The predictions.
        most: How many to show, at the most.

    Returns:
        The images, each with its worst label.
    """
    is_wrong = evaluation.predicted & (evaluation.target == 0)
    return _worst(evaluation, evaluation.scores.masked_fill(~is_wrong, -1).numpy(), 'predicted', most)


def missed_labels(evaluation: Evaluation, most: int) -> List[Example]:
    """Images with a label that was not predicted, those with the lowest scores.

    Args:
        evaluation: The predictions.
        most: How many to show, at the most.

    Returns:
        The images, each with its worst label.
    """
    is_missed = ~evaluation.predicted & (evaluation.target == 1)
    return _worst(evaluation, (1 - evaluation.scores).masked_fill(~is_missed, -1).numpy(), 'missed', most)


def _worst(evaluation: Evaluation, confidence: np.ndarray, what: str, most: int) -> List[Example]:
    """Images by the highest of their confidences (N, K), of which -1 is no mistake."""
    examples = []
    for place in np.argsort(-confidence.max(axis=1), kind='stable')[:most]:
        k = confidence[place].argmax()
        if confidence[place, k] >= 0:
            score = f'score {evaluation.scores[place, k]:.1%}'
            examples.append(_example(evaluation, int(place), f'{what}: {evaluation.labels[k]}, {score}'))
    return examples


def uncertain_images(evaluation: Evaluation, most: int) -> List[UncertainImages]:
    """The images that are hardest to decide, by each measure of uncertainty that the head has.

    Args:
        evaluation: The predictions.
        most: How many to show of each, at the most.

    Returns:
        The images.
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
