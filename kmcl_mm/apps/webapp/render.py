"""The parts of the page as HTML, with escaping of all names, which come from a checkpoint."""

from collections.abc import Sequence
from html import escape

import numpy as np

from ..inference import Prediction
from ..inference.decision_rule import chosen_labels
from ..inference.similar import ImageIndex
from ..inference.thumbnails import as_data_uri
from .uncertainty import Uncertainty

# Labels with lower scores have no bar unless they are predicted.
MAX_BARS = 20


def render_bars(
    scores: np.ndarray | None, names: Sequence[str], thresholds: np.ndarray | None, topk: int | None
) -> str:
    """Render bars of the labels with the highest scores, and of all that are predicted.

    Args:
        scores: Scores (K,), or None before there is an image.
        names: Names of the K labels.
        thresholds: Thresholds (K,), or None if the ``topk`` highest labels are predicted.
        topk: Number of predicted labels, without thresholds.

    Returns:
        HTML. A predicted label has a tick, a bold name and a coloured bar; the line in a bar is the threshold.
    """
    if scores is None:
        return _note('Drop an image to see its labels.')
    predicted = chosen_labels(scores, names, thresholds, topk)
    order = np.argsort(-scores, kind='stable').tolist()
    shown = [k for place, k in enumerate(order) if place < MAX_BARS or names[k] in predicted]
    bars = ''.join(
        _bar(names[k], scores[k], None if thresholds is None else thresholds[k], names[k] in predicted) for k in shown
    )
    left = len(names) - len(shown)
    more = _note(f'{left} more labels have lower scores.') if left else ''
    count = f'{len(predicted)} of {len(names)} labels predicted'
    return f'<div class="kmcl-count" role="status">{count}</div><div class="kmcl-bars">{bars}</div>{more}'


def _bar(name: str, score: float, threshold: float | None, is_predicted: bool) -> str:
    state = 'predicted' if is_predicted else 'not predicted'
    line = '' if threshold is None else f'<i class="kmcl-line" style="left:{threshold:.1%}"></i>'
    from_on = '' if threshold is None else f', threshold {threshold:.3f}'
    return (
        f'<div class="kmcl-bar{" kmcl-on" if is_predicted else ""}" data-label="{escape(name)}" '
        f'title="{escape(name)}: score {score:.3f}{from_on}, {state}">'
        f'<span class="kmcl-tick" aria-hidden="true">{"✓" if is_predicted else ""}</span>'
        f'<span class="kmcl-name">{escape(name)}</span>'
        f'<span class="kmcl-track"><i class="kmcl-fill" style="width:{score:.1%}"></i>{line}</span>'
        f'<span class="kmcl-score">{score:.1%}</span></div>'
    )


def render_uncertainty(uncertainty: Uncertainty) -> str:
    """Render the uncertainty of a prediction in words and as a number, with an explanation.

    Args:
        uncertainty: The uncertainty.

    Returns:
        HTML.
    """
    measure, value, share = uncertainty
    if share is None:
        compared = 'An index of the training images (--index) allows to compare it with theirs.'
        headline = f'{value:.3f}'
    else:
        compared = f'Higher than for {share:.0%} of the training images in the index.'
        headline = f'{uncertainty.word} ({value:.3f})'
    return (
        f'<div class="kmcl-uncertainty"><b>Uncertainty: {headline}</b>'
        f'<span>{compared}</span><span>{escape(measure.title)}. {escape(measure.meaning)} '
        'It is not a probability of being wrong.</span></div>'
    )


def render_similar(prediction: Prediction, index: ImageIndex | None, count: int) -> str:
    """Render training images, each with its labels: those that voted, or else those with the nearest embeddings.

    Args:
        prediction: The prediction, with its embedding.
        index: The training images with their pictures, or None.
        count: How many.

    Returns:
        HTML with the pictures in it; empty where no images voted and there is no index.

    Raises:
        ValueError: The prediction was made without an embedding, by which images would be found.
    """
    if prediction.voters:
        pictures = {} if index is None else dict(zip(index.names, index.thumbnails))
        figures = ''.join(
            _figure(voter.name, f'{voter.share:.0%} of the vote', voter.labels, pictures.get(voter.name))
            for voter in prediction.voters[:count]
        )
        return _figures('Training images that voted', figures)
    if index is None:
        return ''
    if prediction.embedding is None:
        raise ValueError('Expected argument `prediction` to have an embedding. Predict with with_embedding=True.')
    figures = ''.join(
        _figure(index.names[place], f'distance {distance:.3f}', index.labels_of(place), index.thumbnails[place])
        for place, distance in zip(*index.nearest(prediction.embedding, count))
    )
    return _figures('Similar training images', figures)


def _figure(name: str, measure: str, labels: Sequence[str], picture: bytes | None) -> str:
    # Without a picture, its name.
    image = '' if picture is None else f'<img alt="{escape(name)}" src="{as_data_uri(picture)}">'
    title = escape(', '.join(labels) or 'no label')
    caption = title if picture is not None else f'{escape(name)}: {title}'
    return f'<figure title="{escape(name)}, {measure}">{image}<figcaption>{caption}</figcaption></figure>'


def _figures(heading: str, figures: str) -> str:
    return f'<div class="kmcl-heading">{heading}</div><div class="kmcl-similar">{figures}</div>'


def render_refusal(reason: str) -> str:
    """Render the reason why a file was not predicted.

    Args:
        reason: The reason.

    Returns:
        HTML.
    """
    return f'<div class="kmcl-refusal" role="alert">{escape(reason)}</div>'


def _note(text: str) -> str:
    return f'<div class="kmcl-note">{escape(text)}</div>'
