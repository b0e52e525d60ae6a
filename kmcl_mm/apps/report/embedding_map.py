"""A two-dimensional map of the embeddings, with the images."""

import numpy as np
from bokeh.layouts import column
from bokeh.models import CDSView, ColumnDataSource, GroupFilter, LayoutDOM, Legend, LegendItem, Select
from sklearn.manifold import TSNE

from ..inference.thumbnails import as_data_uri
from .chart_style import COLORS, QUIET, add_tooltips, new_chart, read_text, script, style_legend
from .predictions import Evaluation

_SIZE, _QUALITY = 64, 60  # of the pictures
_PERPLEXITY = 30
# Fewer images have no map.
_FEWEST = 5
_OTHERS = '-1'


def place_embeddings(embeddings: np.ndarray) -> np.ndarray:
    """Embed embeddings in two dimensions by t-SNE, which keeps near neighbours together.

    Args:
        embeddings: Embeddings (D, M).

    Returns:
        Places (D, 2), always the same.

    Raises:
        ValueError: There are fewer than five embeddings.

    Example:
        >>> import numpy as np
        >>> place_embeddings(np.arange(24.).reshape(8, 3)).shape
        (8, 2)
    """
    if len(embeddings) < _FEWEST:
        raise ValueError(
            f'Expected argument `embeddings` to have at least {_FEWEST} images, but got {len(embeddings)}. Draw more '
            'images.'
        )
    perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
    return TSNE(perplexity=perplexity, init='random', random_state=0).fit_transform(embeddings)


def draw_map(evaluation: Evaluation, frequent: np.ndarray) -> dict[str, LayoutDOM]:
    """Draw one dot per drawn image, which shows the image under the pointer or at a tap.

    Args:
        evaluation: The predictions.
        frequent: Indices of the labels, most frequent first; the first ones are in colour at first.

    Returns:
        The map under the name 'map'; none if fewer than five images were drawn.
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
    # Images without a colour are drawn first, and come last in the legend.
    legend = Legend(items=[*items[1:], items[0]])
    chart.add_layout(legend)
    style_legend(chart)
    options = [('', 'the most frequent labels'), *((str(k), evaluation.labels[k]) for k in frequent.tolist())]
    choice = Select(title='Labels in colour', value='', options=options, sizing_mode='stretch_width')
    known = dict(source=source, legend=legend, frequent=in_color, names=list(evaluation.labels))
    choice.js_on_change('value', script('choose_group', **known))
    return dict(map=column(choice, chart, sizing_mode='stretch_width'))


def _listed(labels: tuple[str, ...], is_listed: np.ndarray) -> str:
    return ', '.join(labels[k] for k in np.flatnonzero(is_listed).tolist()) or 'no label'


def _group(present: list[int], in_color: list[int]) -> str:
    """The place of the colour of an image: that of its least frequent label with a colour."""
    return str(max((place for place, k in enumerate(in_color) if k in present), default=int(_OTHERS)))
