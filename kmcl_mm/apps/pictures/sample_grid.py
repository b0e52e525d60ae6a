"""A picture of a data set's samples with their labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .picture import names_as_they_are, save_picture, wrap_names

_COLUMNS = 3
_SIDE = 3.1  # of a sample, inches
_GAP = 0.03  # in sides of a sample, as the next one
_ORIGINAL_SIDE = 0.3
_LINE_LENGTH = 24  # characters next to an original
_LINE_HEIGHT = 0.2  # inches


@names_as_they_are
def draw_sample_grid(
    samples: Sequence[np.ndarray],
    originals: Sequence[np.ndarray | None],
    labels: Sequence[Sequence[str]],
    title: str,
    path: Path,
) -> None:
    """Draw samples in a grid, each with its labels and a small picture of its original below, and save it.

    Args:
        samples: Augmented images (H, W, 3), uint8, RGB.
        originals: The images in the files (H, W, 3), uint8, RGB; None if there is no file.
        labels: Names of each sample's labels.
        title: Line above the picture.
        path: The file to write; its ending determines the format.

    Raises:
        ValueError: The numbers of samples, originals and labels differ, or there is no sample.
    """
    lengths = [len(argument) for argument in (samples, originals, labels)]
    if 0 in lengths or len(set(lengths)) > 1:
        raise ValueError(
            'Expected arguments `samples`, `originals` and `labels` to have the same length of at least 1, '
            f'but got {lengths}.'
        )
    captions = [wrap_names(names or ['no label'], _LINE_LENGTH) for names in labels]
    below = max(caption.count('\n') + 1 for caption in captions) * _LINE_HEIGHT
    if any(original is not None for original in originals):
        below = max(below, _ORIGINAL_SIDE * _SIDE)
    columns = min(_COLUMNS, len(samples))
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(max(_SIDE * columns, 5), (_SIDE + below + 0.2) * rows + 0.4), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in axes:
        ax.axis('off')
    for ax, sample, original, caption in zip(axes, samples, originals, captions):
        ax.imshow(sample)
        left = 0 if original is None else _draw_below(ax, original) + _GAP
        ax.text(left, -_GAP, caption, transform=ax.transAxes, va='top', fontsize=11)
    figure.suptitle(title, fontsize=13)
    save_picture(figure, path, dpi=90, bbox_inches='tight')


def _draw_below(ax: Axes, original: np.ndarray) -> float:
    """Draw it small at the bottom left of the sample, and return its width."""
    height, width = np.array(original.shape[:2]) / max(original.shape[:2]) * _ORIGINAL_SIDE
    inset = ax.inset_axes((0, -_GAP - height, width, height))
    inset.imshow(original, aspect='auto')
    inset.axis('off')
    return width
