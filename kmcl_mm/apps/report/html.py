"""The HTML page of the report."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from bokeh.embed import components
from bokeh.models import LayoutDOM
from bokeh.resources import Resources
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from ...files import atomic_write
from .curve_charts import draw_losses, draw_mean_average_precision
from .embedding_map import draw_map
from .examples import mistakes, uncertain_images
from .frequency_chart import draw_frequency
from .label_data import frequency_order, labels_of_pairs
from .pair_charts import draw_cooccurrence, draw_similarity, rank_correlation
from .precision_recall_chart import draw_precision_recall
from .predictions import Evaluation
from .reliability_chart import draw_reliability, reliability
from .results import Results, measure
from .threshold_chart import draw_thresholds, threshold_curves
from .work_dir import find_start, read_curves

# The parts of Bokeh's library that the charts use, included in the page.
_BOKEH = Resources(mode='inline', components=['bokeh', 'bokeh-widgets'])
# Example images of each kind.
_EXAMPLES = 12
# The score in percent that the page takes as an example of what scores mean.
_SCORE = 70


class Pairs(NamedTuple):
    """The charts of pairs of labels.

    Attributes:
        charts: The charts by name; 'similarity' only for a head with kernels.
        num_labels: Number of labels in them.
        correlation: Rank correlation of co-occurrence and similarity of kernels, or None.
    """

    charts: dict[str, LayoutDOM]
    num_labels: int
    correlation: Any


def write_report(config_name: str, checkpoint: Path, work_dir: Path, evaluation: Evaluation, out: Path) -> None:
    """Write the report as one HTML page that needs no other file.

    Args:
        config_name: Name of the configuration, for the page.
        checkpoint: The checkpoint.
        work_dir: The folder of the training, whose logs have the curves.
        evaluation: The checkpoint's predictions.
        out: The file to write; it is written atomically.
    """
    results = measure(evaluation)
    frequent = frequency_order(evaluation.data.counts, evaluation.target)
    curves = read_curves(work_dir)
    found = reliability(evaluation.scores, evaluation.target)
    pairs = draw_pairs(evaluation)
    losses = draw_losses(curves)
    wrong, missed = mistakes(evaluation, _EXAMPLES)
    charts = {
        **losses,
        **draw_mean_average_precision(curves),
        **draw_frequency(evaluation, results),
        **draw_precision_recall(evaluation, frequent, results),
        **draw_thresholds(threshold_curves(evaluation, frequent)),
        **draw_reliability(found),
        **pairs.charts,
        **draw_map(evaluation, frequent),
    }
    for name, chart in charts.items():
        chart.name = name
    chart_script, places = components(charts)
    html = (
        _environment()
        .get_template('report.html')
        .render(
            bokeh=Markup(_BOKEH.render()),
            chart_script=Markup(chart_script),
            charts={name: Markup(place) for name, place in places.items()},
            losses=list(losses),
            config_name=config_name,
            checkpoint_name=checkpoint.name,
            start=find_start(work_dir),
            evaluation=evaluation,
            results=results,
            data=evaluation.data,
            example=found.at(_SCORE) if len(found.bins) else None,
            pairs=pairs,
            rows=_label_rows(evaluation, results),
            only_tested=[evaluation.labels[k] for k in frequent if evaluation.data.counts.positives[k] == 0],
            wrong=wrong,
            missed=missed,
            uncertain=uncertain_images(evaluation, _EXAMPLES),
        )
    )
    with atomic_write(out) as unfinished:
        unfinished.write_text(html, encoding='utf-8', errors='backslashreplace')


def _environment() -> Environment:
    """Templates of this folder, with escaping of all texts."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests['nan'] = math.isnan
    return environment


def draw_pairs(evaluation: Evaluation) -> Pairs:
    """Draw the charts of pairs of the most frequent labels.

    Args:
        evaluation: The predictions.

    Returns:
        The charts; none if fewer than two labels occur.
    """
    data, order = evaluation.data, labels_of_pairs(evaluation.data.counts)
    if not order:
        return Pairs({}, 0, None)
    charts = dict(cooccurrence=draw_cooccurrence(data, evaluation.labels, order))
    correlation = None
    if evaluation.kernels is not None:
        similarity = evaluation.kernels.similarity()
        charts['similarity'] = draw_similarity(similarity, [evaluation.labels[k] for k in order])
        correlation = rank_correlation(data, similarity, order)
    return Pairs(charts, len(order), correlation)


def _label_rows(evaluation: Evaluation, results: Results) -> list[tuple]:
    """Name, counted images, test images and average precision of each label, by increasing average precision."""
    positives = (evaluation.target == 1).sum(dim=0).tolist()
    counted, precision = evaluation.data.counts.positives.tolist(), results.average_precision.tolist()
    rows = zip(evaluation.labels, counted, positives, precision)
    return sorted(rows, key=lambda row: (math.isnan(row[3]), row[3]))
