"""Charts of the training: losses and mAP."""

from itertools import cycle
from typing import Any

import pandas as pd
from bokeh.plotting import figure

from .chart_style import COLORS, add_tooltips, new_chart, style_legend
from .work_dir import Curves

_LOSSES = dict(
    loss='Loss',
    loss_asl='Asymmetric classification loss',
    loss_reconstruction='Reconstruction loss',
    loss_contrastive='Contrastive loss',
)


def draw_losses(curves: Curves) -> dict[str, figure]:
    """Draw a chart for each loss.

    Args:
        curves: The curves.

    Returns:
        Charts by the name of the loss in the log; none if nothing was logged.
    """
    losses = curves.losses
    charts = {}
    for name, color in zip(losses.columns if len(losses) else (), cycle(COLORS)):
        chart = new_chart('iteration', _LOSSES.get(name, name), height=240)
        _draw_curve(chart, losses[name], color, 'iteration', '0.0000')
        charts[name] = chart
    return charts


def draw_mean_average_precision(curves: Curves) -> dict[str, figure]:
    """Draw a chart of the mAP at each validation.

    Args:
        curves: The curves.

    Returns:
        The chart under the name 'mAP'; none without a validation.
    """
    scores = curves.mean_average_precision
    if scores.empty:
        return {}
    unit = 'epoch' if curves.is_by_epoch else 'iteration'
    chart = new_chart(unit, 'mAP in percent', height=260)
    for name, color in zip(scores.columns, cycle(COLORS)):
        _draw_curve(chart, scores[name].dropna(), color, unit, '0.00', legend_label=_describe(name, scores))
    style_legend(chart)
    return dict(mAP=chart)


def _describe(name: str, scores: pd.DataFrame) -> str:
    """The name of a metric without a common prefix, and with its kind of weights where there are two."""
    prefixes = {column.rpartition('/')[0] for column in scores}
    short = name.rpartition('/')[2] if len(prefixes) == 1 else name
    if name.endswith('_origin'):
        return f'{short.removesuffix("_origin")}, raw weights'
    return f'{short}, averaged weights' if f'{name}_origin' in scores else short


def _draw_curve(chart: figure, values: pd.Series, color: str, unit: str, digits: str, **settings: Any) -> None:
    chart.xaxis.ticker.min_interval = 1
    data = dict(x=values.index.to_numpy(), y=values.to_numpy())
    line = chart.line('x', 'y', source=data, color=color, line_width=2, **settings)
    marks = chart.scatter('x', 'y', source=line.data_source, color=color, size=5, **settings)
    tooltips = [(unit, '@x'), (settings.get('legend_label', 'value'), f'@y{{{digits}}}')]
    add_tooltips(chart, [marks], tooltips)
