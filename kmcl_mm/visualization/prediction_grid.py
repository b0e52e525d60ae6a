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
    predicted: np.ndarray,
    targets: np.ndarray,
    class_names: Sequence[str],
    title: str,
    path: Path,
) -> None:
    """Draw images in a grid, each with the labels found, missed and wrongly predicted, and save it.

    Args:
        images: Images (H, W, 3), uint8, RGB.
        scores: Scores (N, K) in [0, 1].
        predicted: Predicted labels (N, K), bool.
        targets: True labels (N, K), 1 for present, 0 for absent, -1 for not to be judged.
        class_names: Names of the K labels.
        title: Line above the picture.
        path: The file to write; its ending decides the format.

    Raises:
        ValueError: The numbers of images, scores, predictions and targets differ, or there is no image.
    """
    lengths = [len(argument) for argument in (images, scores, predicted, targets)]
    if 0 in lengths or len(set(lengths)) > 1:
        raise ValueError(
            'Expected arguments `images`, `scores`, `predicted` and `targets` to be of one length of at least 1, '
            f'but got {lengths}.'
        )
    rows = -(-len(images) // _COLUMNS)
    figure = Figure(figsize=(3 * _COLUMNS, 3.6 * rows + 1), layout='constrained')
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for ax in axes:
        ax.axis('off')
    for ax, image, score, chosen, target in zip(axes, images, scores, predicted, targets):
        ax.imshow(image, vmin=0, vmax=255)
        present, absent = target == 1, target == 0
        labels = dict(found=chosen & present, missed=~chosen & present, wrong=chosen & absent)
        lines = [
            (kind, color, [f'{class_names[k]} {score[k]:.0%}' for k in np.flatnonzero(labels[kind])])
            for kind, color in _KINDS
        ]
        _write_below(ax, [(f'{kind}: {", ".join(names)}', color) for kind, color, names in lines if names])
    figure.suptitle(title, fontsize=14)
    figure.text(
        0.5,
        -0.02,
        'Below each image: labels found (green), missed (orange) and wrongly predicted (red), with their scores.',
        ha='center',
        fontsize=11,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, bbox_inches='tight')


def _write_below(ax, lines) -> None:
    for number, (text, color) in enumerate(lines):
        ax.text(0, -0.06 - 0.11 * number, text, color=color, fontsize=9, va='top', transform=ax.transAxes, wrap=True)
