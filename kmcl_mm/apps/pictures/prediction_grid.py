"""A picture of images with their predicted and true labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .picture import names_as_they_are, save_picture, wrap_names

Caption = list[tuple[str, str]]

_COLUMNS = 4
_SIDE, _GAP, _LINE_HEIGHT = 2.8, 0.25, 0.17  # inches
_LINE_LENGTH = 38  # letters below an image
_KINDS = (('found', 'tab:green'), ('missed', 'tab:orange'), ('wrong', 'tab:red'))


@names_as_they_are
def draw_prediction_grid(
    images: Sequence[np.ndarray],
    scores: np.ndarray,
    predicted: np.ndarray,
    targets: np.ndarray,
    class_names: Sequence[str],
    title: str,
    path: Path,
) -> None:
    """Draw images in a grid, each with its correct, missed and wrong labels, and save it.

    Args:
        images: Images (H, W, 3), uint8, RGB.
        scores: Scores (N, K) in [0, 1].
        predicted: Predicted labels (N, K), bool.
        targets: True labels (N, K): 1 present, 0 absent, -1 unknown.
        class_names: Names of the K labels.
        title: Line above the picture.
        path: The file to write; its ending determines the format.

    Raises:
        ValueError: The numbers of images, scores, predictions and targets differ, or there is no image.
    """
    lengths = [len(argument) for argument in (images, scores, predicted, targets)]
    if 0 in lengths or len(set(lengths)) > 1:
        raise ValueError(
            'Expected arguments `images`, `scores`, `predicted` and `targets` to have the same length of at least 1, '
            f'but got {lengths}.'
        )
    captions = [_caption(*parts, class_names) for parts in zip(scores, predicted, targets)]
    rows = [captions[first : first + _COLUMNS] for first in range(0, len(captions), _COLUMNS)]
    heights = [_SIDE + _LINE_HEIGHT * (max(map(_number_of_lines, row)) + 1) for row in rows]
    width, height = _COLUMNS * (_SIDE + _GAP) - _GAP, sum(heights)
    figure = Figure(figsize=(width, height))
    for number, (image, caption) in enumerate(zip(images, captions)):
        row, column = divmod(number, _COLUMNS)
        left, bottom = column * (_SIDE + _GAP), height - sum(heights[:row]) - _SIDE
        ax = figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height), anchor='SW')
        ax.imshow(image, vmin=0, vmax=255)
        ax.axis('off')
        _write_below(ax, caption)
    figure.text(0.5, 1 + 0.2 / height, title, ha='center', va='bottom', fontsize=14)
    figure.text(
        0.5,
        0,
        'Below each image: labels found (green), missed (orange) and wrong (red), with their scores.',
        ha='center',
        va='top',
        fontsize=11,
    )
    save_picture(figure, path, dpi=90, bbox_inches='tight')


def _caption(score: np.ndarray, chosen: np.ndarray, target: np.ndarray, class_names: Sequence[str]) -> Caption:
    """The text below an image: names and their colour for each kind of label."""
    present, absent = target == 1, target == 0
    labels = dict(found=chosen & present, missed=~chosen & present, wrong=chosen & absent)
    names = {
        kind: [f'{class_names[k]} {score[k]:.0%}' for k in np.flatnonzero(is_label).tolist()]
        for kind, is_label in labels.items()
    }
    return [(wrap_names(names[kind], _LINE_LENGTH, f'{kind}: '), color) for kind, color in _KINDS if names[kind]]


def _number_of_lines(caption: Caption) -> int:
    return sum(text.count('\n') + 1 for text, _ in caption)


def _write_below(ax: Axes, caption: Caption) -> None:
    line = 0
    for text, color in caption:
        below = (0, -72 * (_LINE_HEIGHT * line + 0.05))
        ax.annotate(
            text, (0, 0), below, 'axes fraction', 'offset points', color=color, fontsize=9, va='top', linespacing=1.1
        )
        line += text.count('\n') + 1
