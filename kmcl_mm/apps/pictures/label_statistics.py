"""Pictures of the frequencies of labels and of pairs of labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .picture import names_as_they_are, save_picture

_COLORS = ('tab:blue', 'tab:orange', 'tab:green')
# Above this number of labels there are two columns of bars, and no numbers in the squares.
_MANY_LABELS = 40
# Of more labels, the most frequent ones are drawn.
_MOST_LABELS = 100


@names_as_they_are
def draw_label_counts(
    shares: dict[str, np.ndarray], counts: dict[str, np.ndarray], class_names: Sequence[str], path: Path
) -> None:
    """Draw the share of images that have each label, splits side by side, and save it.

    Of more than 100 labels those with the highest shares are drawn.

    Args:
        shares: Shares (K,) in [0, 1] by the name of the split.
        counts: Numbers of images (K,) by the name of the split, written next to the bars.
        class_names: Names of the K labels.
        path: The file to write; its ending determines the format.

    Raises:
        ValueError: There is no split, or the number of shares, counts or names differs.
    """
    lengths = {len(values) for values in (*shares.values(), *counts.values(), class_names)}
    if not shares or shares.keys() != counts.keys() or len(lengths) > 1:
        raise ValueError(
            'Expected arguments `shares` and `counts` to have the same splits, at least one, with one value per name, '
            f'but got {list(shares)} and {list(counts)} with {sorted(lengths)} values.'
        )
    drawn, note = _most_frequent(np.max(list(shares.values()), axis=0))
    shares, counts = ({split: values[drawn] for split, values in part.items()} for part in (shares, counts))
    class_names = [class_names[label] for label in drawn]
    panels = 2 if len(class_names) > _MANY_LABELS else 1
    parts = np.array_split(np.arange(len(class_names)), panels)
    height = 1.5 + (0.16 * len(shares) + 0.08) * len(parts[0])
    figure = Figure(figsize=(9 if panels == 1 else 14, height), layout='constrained')
    axes = figure.subplots(1, panels, squeeze=False)[0]
    widest = max(values.max() for values in shares.values()) or 1
    thickness = 0.84 / len(shares)
    for ax, part in zip(axes, parts):
        for number, (split, values) in enumerate(shares.items()):
            positions = np.arange(len(part)) + (number - (len(shares) - 1) / 2) * thickness
            bars = ax.barh(positions, 100 * values[part], thickness, color=_COLORS[number % 3], label=split)
            ax.bar_label(bars, labels=[str(count) for count in counts[split][part]], padding=2, fontsize=7)
        ax.set_yticks(np.arange(len(part)), [class_names[label] for label in part])
        ax.set_ylim(len(part) - 0.5, -0.5)
        ax.set_xlim(0, 112 * widest)
        ax.set_xlabel('percent of the images (number of images next to the bar)')
        ax.grid(axis='x', alpha=0.3)
        ax.set_axisbelow(True)
    axes[-1].legend(loc='lower right')
    figure.suptitle(f'Frequency of labels{note}')
    save_picture(figure, path, dpi=100)


@names_as_they_are
def draw_cooccurrence(together: np.ndarray, class_names: Sequence[str], split: str, path: Path) -> None:
    """Draw how often images with one label also have another one, and save it.

    Of more than 100 labels the most frequent ones are drawn.

    Args:
        together: Images with both labels (K, K); on the diagonal, images with the label.
        class_names: Names of the K labels.
        split: Name of the split, for the title.
        path: The file to write; its ending determines the format.

    Raises:
        ValueError: The matrix has another shape.
    """
    number = len(class_names)
    if together.shape != (number, number):
        raise ValueError(
            f'Expected argument `together` to have the shape ({number}, {number}), one row and column per name, but '
            f'got {together.shape}.'
        )
    drawn, note = _most_frequent(together.diagonal())
    together = together[np.ix_(drawn, drawn)]
    class_names, number = [class_names[label] for label in drawn], len(drawn)
    with np.errstate(invalid='ignore'):
        percent = 100 * together / together.diagonal()[:, None]
    np.fill_diagonal(percent, np.nan)
    highest = np.nanmax(percent, initial=1.0)
    cell = 0.4 if number <= _MANY_LABELS else 0.19
    figure = Figure(figsize=(cell * number + 4, cell * number + 3), layout='constrained')
    ax = figure.subplots()
    ax.set_facecolor('lightgrey')
    image = ax.imshow(percent, cmap='viridis', vmin=0, vmax=highest)
    ax.set_xticks(range(number), class_names, rotation=90, fontsize=9)
    ax.set_yticks(range(number), class_names, fontsize=9)
    if number <= _MANY_LABELS:
        for row, column in np.argwhere(percent >= 0.5):
            value = percent[row, column]
            color = 'black' if value > 0.6 * highest else 'white'
            ax.text(column, row, f'{value:.0f}', ha='center', va='center', fontsize=8, color=color)
    ax.set_ylabel('of the images with this label ...')
    ax.set_xlabel('... this percentage also have this one')
    figure.colorbar(image, shrink=0.6, label='percent')
    ax.set_title(f'Labels that occur together in {split}{note}\n(grey: the label itself, or no image)', fontsize=11)
    save_picture(figure, path, dpi=100)


def _most_frequent(frequencies: np.ndarray) -> tuple[np.ndarray, str]:
    """Indices of the labels to draw, in their order, and what to add to the title."""
    number = len(frequencies)
    if number <= _MOST_LABELS:
        return np.arange(number), ''
    chosen = np.sort(np.argsort(-frequencies, kind='stable')[:_MOST_LABELS])
    return chosen, f': the {_MOST_LABELS} most frequent of {number:,}'
