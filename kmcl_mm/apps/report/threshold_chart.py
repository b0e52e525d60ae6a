"""Precision, recall and F1 at all thresholds, averaged and per label."""

from typing import NamedTuple

import numpy as np
import torch
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, LayoutDOM, Select, Span
from torch import Tensor

from ...checks import UNKNOWN
from ...evaluation import MultiLabelF1
from ...evaluation.multilabel_f1 import precision_recall_f1_of_labels
from ...functional.thresholds import fit_thresholds
from .chart_style import ACCENT, COLORS, INK, add_tooltips, new_chart, script, style_legend
from .predictions import Evaluation

_GRID = np.linspace(0, 1, 101)
_MEASURES = ('precision', 'recall', 'F1')


class ThresholdCurves(NamedTuple):
    """Precision, recall and F1 of one label, or of an average, at the thresholds 0, 0.01 to 1.

    Attributes:
        title: The name of the label, or of the average.
        values: Percentages (3, 101); precision is nan where nothing is predicted.
        current: The checkpoint's threshold, or None.
        best: The threshold with the highest F1 on these images, or None if F1 is always 0.
    """

    title: str
    values: np.ndarray
    current: float | None
    best: float | None


def threshold_curves(evaluation: Evaluation, order: np.ndarray) -> list[ThresholdCurves]:
    """Compute the curves averaged over labels and over predictions, and those of single labels.

    Args:
        evaluation: The predictions.
        order: Indices of the labels in the order of their curves; those without a test image are left out.

    Returns:
        The curves.
    """
    scores, target = evaluation.scores, evaluation.target_at_thresholds
    averages = [MultiLabelF1(thr=threshold, topk=None).calculate(scores, target) for threshold in _GRID]
    current = evaluation.thresholds
    common = float(current[0]) if current is not None and (current == current[0]).all() else None
    # Unknown labels count as not predicted.
    highest = scores.masked_fill(target == UNKNOWN, -1).amax(dim=0)
    grid = torch.from_numpy(_GRID).to(scores.dtype)
    is_predicted = (highest.unsqueeze(1) >= grid).numpy()
    curves = []
    for title, letter in (('All labels, averaged over labels', 'C'), ('All labels, all predictions alike', 'O')):
        values = np.array([[row[f'{letter}{measure}'] for row in averages] for measure in ('P', 'R', 'F1')])
        curves.append(_curves(title, values, np.any(is_predicted, axis=0), common, _GRID[values[2].argmax()]))
    by_label = np.stack([_percentages(scores >= threshold, target) for threshold in grid], axis=-1)
    best = fit_thresholds(scores, target, default=0.5).numpy()
    occurs = (target == 1).any(dim=0).numpy()
    for k in order[occurs[order]]:
        own = None if current is None else float(current[k])
        curves.append(_curves(evaluation.labels[k], by_label[:, k], is_predicted[k], own, best[k]))
    return curves


def _curves(
    title: str, values: np.ndarray, is_predicted: np.ndarray, current: float | None, best: float
) -> ThresholdCurves:
    """The curves of percentages (3, 101), in which division by 0 gave 0."""
    precision, recall, f1 = values
    values = np.stack([np.where(is_predicted, precision, np.nan), recall, f1])
    return ThresholdCurves(title, values, current, float(best) if f1.any() else None)


def _percentages(predicted: Tensor, target: Tensor) -> np.ndarray:
    """Precision, recall and F1 (3, K) of each label."""
    return np.stack([part.numpy() for part in precision_recall_f1_of_labels(predicted, target)])


def draw_thresholds(curves: list[ThresholdCurves]) -> dict[str, LayoutDOM]:
    """Draw a chart of one of the curves, with a field to choose which.

    Args:
        curves: The curves; the first one is shown at first.

    Returns:
        The chart under the name 'thresholds'.
    """
    chart = new_chart('threshold', 'percent', height=340)
    chart.x_range.start, chart.x_range.end, chart.y_range.start, chart.y_range.end = 0, 1, 0, 103
    shown = ColumnDataSource(dict(threshold=_GRID, **dict(zip(_MEASURES, curves[0].values.astype(np.float32)))))
    for measure, color in zip(_MEASURES, COLORS):
        chart.line('threshold', measure, source=shown, color=color, line_width=2, legend_label=measure)
    style_legend(chart, columns=3)
    tooltips = [('threshold', '@threshold{0.00}'), *((measure, f'@{measure}{{0.0}} %') for measure in _MEASURES)]
    add_tooltips(chart, chart.renderers[-1:], tooltips, mode='vline')
    lines = {}
    for name, color, dash in (('current', INK, 'solid'), ('best', ACCENT, 'dashed')):
        place = getattr(curves[0], name)
        lines[name] = Span(
            location=place or 0, dimension='height', line_color=color, line_dash=dash, visible=place is not None
        )
        chart.add_layout(lines[name])
    choice = Select(
        title='Label',
        value='0',
        options=[(str(number), curve.title) for number, curve in enumerate(curves)],
        sizing_mode='stretch_width',
    )
    known = dict(
        values=[curve.values.round(2).tolist() for curve in curves],
        currents=[curve.current for curve in curves],
        bests=[curve.best for curve in curves],
    )
    choice.js_on_change('value', script('choose_thresholds', shown=shown, measures=list(_MEASURES), **lines, **known))
    return dict(thresholds=column(choice, chart, sizing_mode='stretch_width'))
