"""A chart of each label's average precision against its frequency."""

from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, LabelSet, Span
from bokeh.plotting import figure

from .chart_style import ACCENT, COLORS, INK, add_tooltips, new_chart
from .predictions import Evaluation
from .results import Results

# Number of labels with the lowest average precision that have their name in the chart. With more than 40 labels there
# are no names, which would cover other dots.
_NAMED, _MANY = 3, 40
# From this ratio of the highest to the lowest number of images on, their axis is logarithmic.
_WIDE = 5


def draw_frequency(evaluation: Evaluation, results: Results) -> dict[str, figure]:
    """Draw one dot per label.

    Args:
        evaluation: The predictions.
        results: Their average precision.

    Returns:
        The chart under the name 'frequency', without labels that no counted image has; none if it would be empty.
    """
    data, precision = evaluation.data, results.average_precision
    frequency = data.counts.positives
    shown = np.flatnonzero(~np.isnan(precision) & (frequency > 0))
    if not len(shown):
        return {}
    columns: dict[str, Any] = dict(
        x=frequency[shown],
        y=precision[shown],
        name=[evaluation.labels[k] for k in shown],
        positives=(evaluation.target == 1).sum(dim=0).numpy()[shown],
    )
    is_log = columns['x'].max() >= _WIDE * columns['x'].min()
    kind = dict(x_axis_type='log') if is_log else {}
    chart = new_chart(f'{data.split} images with the label', 'average precision in percent', height=360, **kind)
    if is_log:
        chart.xaxis.ticker = [step * 10**power for power in range(7) for step in (1, 2, 5)]
    chart.y_range.start, chart.y_range.end = max(0, 10 * (columns['y'].min() // 10) - 10), 103
    chart.x_range.range_padding = 0.15
    dots = chart.scatter('x', 'y', source=columns, size=10, color=COLORS[0], fill_alpha=0.6)
    tooltips = [
        ('label', '@name'),
        ('average precision', '@y{0.0} %'),
        (f'{data.split} images', '@x'),
        ('test images', '@positives'),
    ]
    add_tooltips(chart, [dots], tooltips)
    mean = Span(location=results.mean_average_precision, dimension='width', line_color=ACCENT, line_dash='dashed')
    chart.add_layout(mean)
    lowest = np.argsort(columns['y'], kind='stable')[: _NAMED if len(shown) <= _MANY else 0]
    named = ColumnDataSource({name: [values[place] for place in lowest] for name, values in columns.items()})
    style = dict(text_font_size='12px', text_color=INK, text_align='center', text_baseline='bottom', y_offset=6)
    chart.add_layout(LabelSet(x='x', y='y', text='name', source=named, **style))
    return dict(frequency=chart)
