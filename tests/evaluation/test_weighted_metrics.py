import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error

from kmcl_mm.evaluation import MultiLabelF1
from kmcl_mm.evaluation.resampling import draw_weights
from kmcl_mm.evaluation.weighted_metrics import brier_scores, calibration_errors, f1_scores


@pytest.fixture(params=[0, 1])
def case(request):
    """Scores with some at the edges of bins, targets with unknown ones, and weights of resamplings."""
    random = np.random.default_rng(request.param)
    scores = random.random((60, 4)).astype(np.float32)
    scores[:4] = [[0, 1, 0.2, 0.4], [1, 1, 0.6, 0.8], [0, 0, 1 / 3, 2 / 3], [0.5, 0.5, 0.5, 0.5]]
    target = (random.random((60, 4)) < scores).astype(int)
    target[random.random((60, 4)) < 0.2] = -1
    return scores, target, draw_weights(60, resamplings=5)


def repeated(weight, *arrays):
    return [np.repeat(array, weight, axis=0) for array in arrays]


def test_calibration_error_against_torchmetrics(case):
    scores, target, weights = case
    found = calibration_errors(scores, target, weights)
    for weight, error in zip(weights, found):
        drawn, labels = repeated(weight, scores, target)
        known = labels != -1
        judge = binary_calibration_error(torch.from_numpy(drawn[known]), torch.from_numpy(labels[known]), n_bins=15)
        assert error == pytest.approx(judge.item(), abs=1e-6)


def test_brier_score_against_scikit_learn(case):
    scores, target, weights = case
    for weight, value in zip(weights, brier_scores(scores, target, weights)):
        drawn, labels = repeated(weight, scores, target)
        known = labels != -1
        assert value == pytest.approx(brier_score_loss(labels[known], drawn[known]), abs=1e-6)


def test_f1_against_the_metric(case):
    scores, target, weights = case
    found = f1_scores(scores >= 0.5, target, weights)
    for number, weight in enumerate(weights):
        drawn, labels = map(torch.from_numpy, repeated(weight, scores, target))
        judge = MultiLabelF1(thr=0.5).calculate(drawn, labels)
        assert {name: values[number] for name, values in found.items()} == pytest.approx(judge)


def test_nothing_is_known(case):
    scores, target, weights = case
    for metric in (calibration_errors, brier_scores):
        assert np.isnan(metric(scores, np.full_like(target, -1), weights)).all()
