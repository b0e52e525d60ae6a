"""Charts of many labels, and of few."""

import numpy as np
import pytest
import torch
from bokeh.embed import components

from kmcl_mm.report.embedding_map import draw_map, place_embeddings
from kmcl_mm.report.evaluation import Evaluation
from kmcl_mm.report.frequency_chart import draw_frequency
from kmcl_mm.report.label_data import LabelData, frequency_order
from kmcl_mm.report.page import draw_pairs
from kmcl_mm.report.precision_recall_chart import draw_precision_recall
from kmcl_mm.report.results import measure
from kmcl_mm.report.threshold_chart import draw_thresholds, threshold_curves
from tests.report.test_label_data import counts_of


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
        **draw_map(evaluation, frequent),
        **pairs.charts,
    }
    script, places = components(charts)
    assert len(places) == 4 + (num_labels > 1)
    assert len(script) < 1e6


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
