"""A picture of images with their predicted and true labels."""

from pathlib import Path
from typing import Sequence

import numpy as np
from matplotlib.figure import Figure

_COLUMNS = 4
_KINDS = (('found', 'tab:green'), ('missed', 'tab:orange'), ('wrong', 'tab:red'))


def draw_prediction_grid(
    images: Sequence[np.ndarray],
    scores: np.ndarray,
    targets: np.ndarray,
    class_names: Sequence[str],
    threshold: float,
    title: str,
    path: Path,
) -> None:
    """Draw images in a grid, each with the labels found, missed and wrongly predicted, and save it.

    Args:
        images: Images (H, W, 3), uint8, RGB.
        scores: Scores (N, K) in [0, 1].
        targets: True labels (N, K), 1 for present.
        class_names: Names of the K labels.
        threshold: Score from which a label is predicted.
        title: Line above the picture.
        path: The file to write; its ending decides the format.

    Raises:
        ValueError: The numbers of images, scores and targets differ, or there is no image.
    """
    if not len(images) or not len(images) == len(scores) == len(targets):
        raise ValueError(
            'Expected arguments `images`, `scores` and `targets` to be of one length of at least 1, but got '
            f'{len(images)}, {len(scores)} and {len(targets)}.'
        )
    rows = -(-len(images) // _COLUMNS)
    figure = Figure(figsize=(3 * _COLUMNS, 3.6 * rows + 1), layout='constrained')
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for ax in axes:
        ax.axis('off')
    for ax, image, score, target in zip(axes, images, scores, targets):
        ax.imshow(image, vmin=0, vmax=255)
        predicted, present = score >= threshold, target == 1
        labels = dict(found=predicted & present, missed=~predicted & present, wrong=predicted & ~present)
        lines = [
            (kind, color, [f'{class_names[k]} {score[k]:.0%}' for k in np.flatnonzero(labels[kind])])
            for kind, color in _KINDS
        ]
        _write_below(ax, [(f'{kind}: {", ".join(names)}', color) for kind, color, names in lines if names])
    figure.suptitle(title, fontsize=14)
    figure.text(
        0.5,
        -0.02,
        f'Below each image: labels found (green), missed (orange) and wrongly predicted (red), with '
        f'their scores; a label is predicted from {threshold:.0%}.',
        ha='center',
        fontsize=11,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, bbox_inches='tight')


def _write_below(ax, lines) -> None:
    for number, (text, color) in enumerate(lines):
        ax.text(0, -0.06 - 0.11 * number, text, color=color, fontsize=9, va='top', transform=ax.transAxes, wrap=True)
