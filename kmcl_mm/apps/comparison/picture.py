"""A picture of the differences of two classifiers."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..pictures.picture import names_as_they_are, save_picture
from .differences import Comparison, LabelDifference

# Of more labels, those with the largest differences are drawn, half of them each way.
_MOST_LABELS = 100
_ROW = 0.17  # inches
_KINDS = (('B is better', 'tab:blue'), ('A is better', 'tab:orange'), ('no difference can be told', 'tab:gray'))


@names_as_they_are
def draw_differences(comparison: Comparison, names: tuple[str, str], path: Path) -> None:
    """Draw the difference of each label with its interval, the mean on top, and save it.

    Of more than 100 labels the 50 largest differences each way are drawn.

    Args:
        comparison: The differences.
        names: Names of A and B, for the title.
        path: The file to write; its ending determines the format.
    """
    rows, note = _largest(comparison.labels)
    figure = Figure(figsize=(9, 2.2 + _ROW * (len(rows) + 2)), layout='constrained')
    ax = figure.subplots()
    ax.axvline(0, color='black', linewidth=0.8)
    # The mean has a line of its own, apart from the labels.
    places = [0, *range(2, len(rows) + 2)]
    drawn = [comparison.mean, *rows]
    for name, color in _KINDS:
        chosen = [number for number, row in enumerate(drawn) if _kind(row) == name]
        if chosen:
            _draw_intervals(ax, [places[n] for n in chosen], [drawn[n] for n in chosen], color, name)
    ax.set_yticks(places, [_name(row) for row in drawn], fontsize=8)
    ax.get_yticklabels()[0].set_fontweight('bold')
    ax.set_ylim(places[-1] + 0.8, -0.8)
    ax.grid(axis='x', alpha=0.3)
    ax.set_axisbelow(True)
    ax.set_xlabel('B - A in average precision, percentage points, with intervals of 95 % (number of images)')
    figure.legend(loc='outside lower center', ncols=len(_KINDS), fontsize=8)
    figure.suptitle(f'A: {names[0]}\nB: {names[1]}\n{comparison.verdict()}{note}', fontsize=10)
    save_picture(figure, path, dpi=100)


def _largest(labels: list[LabelDifference]) -> tuple[list[LabelDifference], str]:
    """The labels to draw, and what to add to the title."""
    if len(labels) <= _MOST_LABELS:
        return labels, ''
    half = _MOST_LABELS // 2
    note = f'\nThe {half} largest differences each way of {len(labels):,} labels'
    return [*labels[:half], *labels[-half:]], note


def _kind(row: LabelDifference) -> str:
    if not row.difference.is_clear_of_zero:
        return _KINDS[2][0]
    return _KINDS[0][0] if row.difference.value > 0 else _KINDS[1][0]


def _name(row: LabelDifference) -> str:
    return f'{row.label}, all labels' if row.positives is None else f'{row.label} ({row.positives})'


def _draw_intervals(ax: Axes, places: list[int], rows: list[LabelDifference], color: str, name: str) -> None:
    value, low, high = np.array([row.difference for row in rows]).T
    # An interval need not contain its value.
    ax.hlines(places, low, high, color=color, linewidth=1.5)
    ax.plot(value, places, 'o', color=color, markersize=4, label=name)
