"""A map of the embeddings in two dimensions, with the images."""

from typing import Dict, List, Tuple

import numpy as np
from bokeh.layouts import column
from bokeh.models import CDSView, ColumnDataSource, GroupFilter, LayoutDOM, Legend, LegendItem, Select
from sklearn.manifold import TSNE

from .evaluation import Evaluation
from .pictures import as_data_uri
from .style import COLORS, QUIET, add_tooltips, new_chart, read_text, script, style_legend

_SIZE, _QUALITY = 64, 60  # of the pictures
_PERPLEXITY = 30
# With fewer images there is nothing to map.
_FEWEST = 5
_OTHERS = '-1'


def place_embeddings(embeddings: np.ndarray) -> np.ndarray:
    """Place embeddings on a plane by t-SNE, so that near neighbours stay near each other.

    Args:
        embeddings: Embeddings (D, M).

    Returns:
        Places (D, 2), the same each time.

    Raises:
        ValueError: There are fewer than five embeddings.

    Example:
        >>> import numpy as np
        >>> place_embeddings(np.arange(24.).reshape(8, 3)).shape
        (8, 2)
    """
    if len(embeddings) < _FEWEST:
        raise ValueError(
            f'Expected argument `embeddings` to hold at least {_FEWEST} images, but got {len(embeddings)}. Draw more '
            'of them.'
        )
    perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
    return TSNE(perplexity=perplexity, init='random', random_state=0).fit_transform(embeddings)


def draw_map(evaluation: Evaluation, frequent: np.ndarray) -> Dict[str, LayoutDOM]:
    """A dot for each drawn image; the image is shown where the pointer is on it or a finger taps it.

    Args:
        evaluation: The predictions.
        frequent: Indices of the labels, the most frequent first; as many as there are colours are in colour at first.

    Returns:
        The map under the name 'map'; none where fewer than five images were drawn.
    """
    if len(evaluation.drawn) < _FEWEST:
        return {}
    in_color = [int(k) for k in frequent[: len(COLORS)]]
    places = place_embeddings(evaluation.embeddings)
    target, predicted = evaluation.target.numpy()[evaluation.drawn] == 1, evaluation.predicted.numpy()[evaluation.drawn]
    present = [np.flatnonzero(row).tolist() for row in target]
    source = ColumnDataSource(
        dict(
            x=places[:, 0].astype(np.float32),
            y=places[:, 1].astype(np.float32),
            name=[evaluation.names[place] for place in evaluation.drawn],
            labels=[_listed(evaluation.labels, row) for row in target],
            found=[_listed(evaluation.labels, row) for row in predicted],
            picture=[as_data_uri(evaluation.thumbnail(place, _SIZE, _QUALITY)) for place in evaluation.drawn.tolist()],
            present=present,
            group=[_group(labels, in_color) for labels in present],
        )
    )
    chart = new_chart('', '', height=480, tools='pan,wheel_zoom,box_zoom,reset', toolbar_location='above')
    chart.axis.visible = chart.grid.visible = False
    chart.toolbar.logo = None
    items = []
    groups = [
        (_OTHERS, 'other images', QUIET),
        *((str(n), evaluation.labels[k], COLORS[n]) for n, k in enumerate(in_color)),
    ]
    for group, name, color in groups:
        view = CDSView(filter=GroupFilter(column_name='group', group=group))
        dots = chart.scatter(
            'x', 'y', source=source, view=view, size=7, color=color, fill_alpha=0.7, line_color='white'
        )
        items.append(LegendItem(label=dict(value=name), renderers=[dots]))
    add_tooltips(chart, chart.renderers, read_text('tooltip.html'))
    # Other images are drawn below the others, and stand behind them in the legend.
    legend = Legend(items=[*items[1:], items[0]])
    chart.add_layout(legend)
    style_legend(chart)
    options = [('', 'the most frequent labels'), *((str(k), evaluation.labels[k]) for k in frequent.tolist())]
    choice = Select(title='Labels in colour', value='', options=options, sizing_mode='stretch_width')
    known = dict(source=source, legend=legend, frequent=in_color, names=list(evaluation.labels))
    choice.js_on_change('value', script('choose_group', **known))
    return dict(map=column(choice, chart, sizing_mode='stretch_width'))


def _listed(labels: Tuple[str, ...], is_listed: np.ndarray) -> str:
    return ', '.join(labels[k] for k in np.flatnonzero(is_listed).tolist()) or 'no label'


def _group(present: List[int], in_color: List[int]) -> str:
    """The least frequent of the labels in colour that an image has, as the place of its colour."""
    return str(max((place for place, k in enumerate(in_color) if k in present), default=int(_OTHERS)))
