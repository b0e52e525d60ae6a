"""Two charts of pairs of labels: co-occurrence, and similarity of their kernels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import ColorBar, LinearColorMapper
from bokeh.palettes import Blues256, Oranges256
from bokeh.plotting import figure
from bokeh.transform import transform
from scipy.stats import spearmanr

from .chart_style import add_tooltips, new_chart
from .kernels import Similarity
from .label_data import LabelData

# Pixels of a field and of the names next to the fields. 20 labels fit on a phone, more scroll sideways.
_FIELD_HEIGHT, _FIELD_WIDTH = 14, 11
_NAMES = 100
# Characters of a name that fit there; the tooltips have the whole name.
_NAME_LENGTH = 14


def draw_cooccurrence(data: LabelData, labels: Sequence[str], order: list[int]) -> figure:
    """Draw the share of images with the row's label that also have the column's.

    Args:
        data: The label counts.
        labels: Names of the K labels.
        order: Indices of the labels to draw, from the top and from the left.

    Returns:
        The chart.
    """
    percent = 100 * data.counts.conditional[np.ix_(order, order)]
    together = data.counts.together[np.ix_(order, order)]
    tooltips = [('of the images with', '@row'), ('have', '@column'), ('share', '@value{0.0} %'), ('images', '@extra')]
    return _draw_pairs(percent, together, [labels[k] for k in order], Blues256[::-1], 'percent', tooltips)


def draw_similarity(similarity: Similarity, names: list[str]) -> figure:
    """Draw the similarity of the kernels of the row's and the column's label.

    Args:
        similarity: The similarities, from the top and from the left.
        names: Names of the labels in this order.

    Returns:
        The chart.
    """
    tooltips = [
        ('label', '@row'),
        ('and', '@column'),
        ('per dimension', '@value{0.0000}'),
        ('distance', '@extra{0.00}'),
    ]
    values = similarity.coefficient.numpy(), similarity.distance.numpy()
    return _draw_pairs(*values, names, Oranges256[::-1], 'coefficient per dimension', tooltips)


def rank_correlation(data: LabelData, similarity: Similarity, order: list[int]) -> float | None:
    """Spearman's rank correlation, over pairs of labels, of co-occurrence and similarity of kernels.

    Args:
        data: The label counts; the co-occurrence of a pair is the mean of its two shares.
        similarity: The similarities of some labels.
        order: Indices of these labels.

    Returns:
        The correlation, in [-1, 1]; None for fewer than three pairs, or if all are equal.
    """
    upper = np.triu_indices(len(order), 1)
    share = data.counts.conditional[np.ix_(order, order)]
    values = ((share + share.T) / 2)[upper], similarity.coefficient.numpy()[upper]
    is_known = ~np.isnan(values).any(axis=0)
    first, second = (part[is_known] for part in values)
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def _draw_pairs(
    values: np.ndarray, extra: np.ndarray, names: list[str], palette: list[str], title: str, tooltips: list
) -> figure:
    """Draw a field for each pair; those of a label with itself, and without a value, are empty."""
    number = len(names)
    row, column = np.nonzero(~np.eye(number, dtype=bool) & ~np.isnan(values))
    data: dict[str, Any] = dict(
        x=column,
        y=row,
        value=values[row, column].astype(np.float32),
        extra=extra[row, column].astype(np.float32),
        row=[names[place] for place in row],
        column=[names[place] for place in column],
    )
    chart = new_chart(
        '',
        '',
        height=_FIELD_HEIGHT * number + 190,
        min_width=_FIELD_WIDTH * number + _NAMES,
        x_range=(-0.5, number - 0.5),
        y_range=(number - 0.5, -0.5),
        min_border_right=12,
    )
    lowest, highest = (float(data['value'].min()), float(data['value'].max())) if len(row) else (0.0, 1.0)
    mapper = LinearColorMapper(palette=palette, low=lowest, high=highest if highest > lowest else lowest + 1)
    fields = chart.rect('x', 'y', 0.94, 0.94, source=data, fill_color=transform('value', mapper), line_color=None)
    add_tooltips(chart, [fields], tooltips)
    for axis in (chart.xaxis, chart.yaxis):
        axis.ticker = list(range(number))
        axis.major_label_overrides = {place: _axis_label(name) for place, name in enumerate(names)}
        axis.major_label_text_font_size = '11px'
    chart.xaxis.major_label_orientation = 'vertical'
    chart.grid.visible = False
    chart.add_layout(
        ColorBar(
            color_mapper=mapper,
            title=title,
            height=10,
            width=180,
            padding=4,
            title_text_font_style='normal',
            location='top_left',
        ),
        'below',
    )
    return chart


def _axis_label(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f'{name[: _NAME_LENGTH - 1]}…'
