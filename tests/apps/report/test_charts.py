"""Charts of many labels, and of few."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from bokeh.embed import components
from bokeh.models import LinearColorMapper

from kmcl_mm.apps.report.curve_charts import draw_losses, draw_mean_average_precision
from kmcl_mm.apps.report.embedding_map import draw_map, place_embeddings
from kmcl_mm.apps.report.frequency_chart import draw_frequency
from kmcl_mm.apps.report.html import draw_pairs
from kmcl_mm.apps.report.kernels import Similarity
from kmcl_mm.apps.report.label_data import LabelData, frequency_order
from kmcl_mm.apps.report.pair_charts import draw_similarity
from kmcl_mm.apps.report.precision_recall_chart import draw_precision_recall
from kmcl_mm.apps.report.predictions import Evaluation
from kmcl_mm.apps.report.reliability_chart import draw_reliability, reliability
from kmcl_mm.apps.report.results import measure
from kmcl_mm.apps.report.threshold_chart import draw_thresholds, threshold_curves
from kmcl_mm.apps.report.work_dir import Curves
from tests.apps.report.test_label_data import counts_of


class Drawn:
    """Grey images."""

    def __getitem__(self, place):
        return dict(inputs=torch.full((3, 8, 8), 128, dtype=torch.uint8))


def drawn_evaluation(num_labels, num_images=300):
    """Scores that tell the labels, roughly, and no kernels."""
    random = np.random.default_rng(0)
    target = (random.random((num_images, num_labels)) < np.linspace(0.02, 0.4, num_labels)).astype(int)
    scores = np.clip(0.4 * target + 0.6 * random.random(target.shape), 0, 1)
    return Evaluation(
        labels=tuple(f'label {k}' for k in range(num_labels)),
        trained='',
        dataset=Drawn(),
        data=LabelData('test', counts_of(target), ''),
        names=tuple(f'image {place}' for place in range(num_images)),
        scores=torch.from_numpy(scores),
        target=torch.from_numpy(target),
        target_at_thresholds=torch.from_numpy(target),
        predicted=torch.from_numpy(scores >= 0.5),
        thresholds=np.full(num_labels, 0.5),
        indecision=np.zeros(num_images),
        entropy=None,
        drawn=np.arange(0, num_images, 10),
        embeddings=random.random((num_images // 10, 4)),
        kernels=None,
        is_calibrated=False,
        voters=0,
    )


@pytest.mark.parametrize('num_labels', [1, 2, 85])
def test_charts_of_few_and_of_many_labels(num_labels):
    evaluation = drawn_evaluation(num_labels)
    frequent, results = frequency_order(evaluation.data.counts, evaluation.target), measure(evaluation)
    pairs = draw_pairs(evaluation)
    assert pairs.num_labels == {1: 0, 2: 2, 85: 30}[num_labels] and len(pairs.charts) == (num_labels > 1)
    charts = {
        **draw_frequency(evaluation, results),
        **draw_precision_recall(evaluation, frequent, results),
        **draw_thresholds(threshold_curves(evaluation, frequent)),
        **draw_reliability(reliability(evaluation.scores, evaluation.target)),
        **draw_map(evaluation, frequent),
        **pairs.charts,
    }
    script, places = components(charts)
    assert len(places) == 5 + (num_labels > 1)
    assert len(script) < 1e6


def test_labels_that_only_test_images_have_are_drawn():
    """Labels 0 and 2 are on no training image; label 2 is on more test images."""
    evaluation = drawn_evaluation(4)
    trained = (evaluation.target * torch.tensor([0, 1, 0, 1])).numpy()
    evaluation = replace(evaluation, data=LabelData('training', counts_of(trained), ''))
    order, results = frequency_order(evaluation.data.counts, evaluation.target), measure(evaluation)
    assert order.tolist() == [3, 1, 2, 0]
    names = ['label 3', 'label 1', 'label 2', 'label 0']
    select, _ = draw_precision_recall(evaluation, order, results)['precision_recall'].children
    assert [name for _, name in select.options] == ['none', *names]
    assert [curve.title for curve in threshold_curves(evaluation, order)[2:]] == names
    select, _ = draw_map(evaluation, order)['map'].children
    assert [name for _, name in select.options][1:] == names
    dots = draw_frequency(evaluation, results)['frequency'].renderers[0].data_source.data
    assert dots['name'] == ['label 1', 'label 3']


@pytest.mark.parametrize('coefficient', [0.3, 0.9999])
def test_kernels_that_are_all_alike_have_a_scale(coefficient):
    """The lowest colour and the highest are apart, in the 32 bits of the values as well."""
    alike = Similarity(torch.ones(3, 3), torch.full((3, 3), coefficient, dtype=torch.float64))
    scale = draw_similarity(alike, ['a', 'b', 'c']).select_one(LinearColorMapper)
    assert np.float32(scale.low) < np.float32(scale.high)
    assert scale.low == pytest.approx(coefficient)


def test_each_curve_of_many_is_drawn():
    names = [f'loss_{number}' for number in range(8)]
    losses = pd.DataFrame({name: [2.0, 1.0] for name in names}, index=[10, 20])
    scores = pd.DataFrame({f'{name}/mAP': [50.0, 60.0] for name in names}, index=[1, 2])
    curves = Curves(losses, scores, True)
    assert list(draw_losses(curves)) == names
    (chart,) = draw_mean_average_precision(curves).values()
    assert [item.label.value for item in chart.legend[0].items] == list(scores.columns)


def test_the_map_keeps_neighbours_together():
    """Two groups far from each other stay two groups; the places are the same each time."""
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(40, 8)) + 20 * (np.arange(40) % 2)[:, None]
    places = place_embeddings(embeddings)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (distances.argmin(axis=1) % 2 == np.arange(40) % 2).all()
    np.testing.assert_array_equal(places, place_embeddings(embeddings))
    with pytest.raises(ValueError, match='at least 5 images, but got 4'):
        place_embeddings(embeddings[:4])


def test_embeddings_that_are_all_alike_have_a_map():
    assert np.isfinite(place_embeddings(np.ones((10, 3)))).all()
