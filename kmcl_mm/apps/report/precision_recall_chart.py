"""Curves of precision against recall, one per label."""

import numpy as np
from bokeh.layouts import column
from bokeh.models import LayoutDOM, Legend, LegendItem, Select
from sklearn.metrics import precision_recall_curve
from torch import Tensor

from ...checks import UNKNOWN
from .chart_style import COLORS, INK, QUIET, add_tooltips, new_chart, script, style_legend
from .predictions import Evaluation
from .results import Results

# Points of a curve, at most.
_PLACES = 150


def draw_precision_recall(evaluation: Evaluation, frequent: np.ndarray, results: Results) -> dict[str, LayoutDOM]:
    """Draw a curve for each label that a test image has, with a field to bring one to the front.

    Args:
        evaluation: The predictions.
        frequent: Indices of the labels, most frequent first; the first ones are in colour.
        results: The labels' average precision.

    Returns:
        The chart under the name 'precision_recall'; none if no test image has a label.
    """
    occurring = [k for k in frequent if not np.isnan(results.average_precision[k])]
    if not occurring:
        return {}
    chart = new_chart('recall in percent', 'precision in percent', height=400)
    chart.x_range.start, chart.x_range.end, chart.y_range.start, chart.y_range.end = 0, 101, 0, 103
    titles = [f'{evaluation.labels[k]} ({results.average_precision[k]:.1f})' for k in occurring]
    lines = []
    for number, k in enumerate(occurring):
        recall, precision = precision_recall_places(evaluation.scores[:, k], evaluation.target[:, k])
        data = dict(
            recall=recall.astype(np.float32),
            precision=precision.astype(np.float32),
            name=[evaluation.labels[k]] * len(recall),
        )
        look = dict(color=COLORS[number], line_width=2) if number < len(COLORS) else dict(color=QUIET, level='underlay')
        lines.append(chart.line('recall', 'precision', source=data, **look))
    nothing: dict[str, list] = dict(recall=[], precision=[], name=[])
    chosen = chart.line('recall', 'precision', source=nothing, color=INK, line_width=4, visible=False)
    tooltips = [('label', '@name'), ('precision', '@precision{0.0} %'), ('recall', '@recall{0.0} %')]
    add_tooltips(chart, [*lines, chosen], tooltips, line_policy='nearest')
    items = [LegendItem(label=dict(value=title), renderers=[line]) for title, line in zip(titles, lines[: len(COLORS)])]
    if len(lines) > len(COLORS):
        items.append(LegendItem(label=dict(value='other labels'), renderers=lines[len(COLORS) :]))
    item = LegendItem(label=dict(value=''), renderers=[chosen], visible=False)
    chart.add_layout(Legend(items=[*items, item]))
    style_legend(chart)
    options = [('', 'none'), *((str(number), evaluation.labels[k]) for number, k in enumerate(occurring))]
    choice = Select(title='Label in front', value='', options=options, sizing_mode='stretch_width')
    choice.js_on_change('value', script('choose_label', lines=lines, chosen=chosen, item=item, titles=titles))
    return dict(precision_recall=column(choice, chart, sizing_mode='stretch_width'))


def precision_recall_places(scores: Tensor, target: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Points of the curve of one label, spread evenly over the images that have it.

    Args:
        scores: Scores (N,).
        target: Targets (N,): 1 present, at least once; 0 absent; -1 unknown, which is left out.

    Returns:
        Recall and precision in percent, by increasing recall; at each recall the highest precision.

    Example:
        The label is on the images with the highest and the third score.

        >>> import torch
        >>> target = torch.tensor([1, 0, 1, 0])
        >>> recall, precision = precision_recall_places(torch.tensor([.9, .8, .4, .2]), target)
        >>> recall.tolist(), precision.round(1).tolist()
        ([0.0, 50.0, 100.0], [100.0, 100.0, 66.7])
    """
    is_known = (target != UNKNOWN).numpy()
    precision, recall, _ = precision_recall_curve(target.numpy()[is_known] == 1, scores.double().numpy()[is_known])
    # Of equal recalls the last has the highest threshold.
    recall, first = np.unique(recall[::-1], return_index=True)
    precision = precision[::-1][first]
    kept = np.unique(np.linspace(0, len(recall) - 1, _PLACES).round().astype(int))
    return 100 * recall[kept], 100 * precision[kept]
