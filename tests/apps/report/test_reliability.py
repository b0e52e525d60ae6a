"""Calibration of the scores: the diagram, the numbers, and what the page says."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error

from kmcl_mm.apps.report.html import write_report
from kmcl_mm.apps.report.predictions import evaluate
from kmcl_mm.apps.report.reliability_chart import draw_reliability, reliability
from kmcl_mm.apps.report.results import measure
from kmcl_mm.engine.fitted import save_fitted
from kmcl_mm.functional.calibration import Regression
from kmcl_mm.modules.calibration import Calibration
from kmcl_mm.modules.kernel_memory import KernelMemory
from tests.apps.report.conftest import LABELS, best


def drawn(seed, exponent=2.0):
    """Scores (50, 6) and targets, some of which are unknown; present less often than the scores say."""
    random = np.random.default_rng(seed)
    scores = random.random((50, 6)).astype(np.float32)
    target = (random.random(scores.shape) < scores**exponent).astype(int)
    target[random.random(scores.shape) < 0.2] = -1
    return torch.from_numpy(scores), torch.from_numpy(target)


def known(scores, target):
    is_known = target != -1
    return scores[is_known], target[is_known]


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_the_bins_equal_scikit_learn(seed, dtype):
    scores, target = drawn(seed)
    scores = scores.to(dtype)
    # A gap: bins without pairs are left out.
    target[(scores > 0.4) & (scores < 0.6)] = -1
    found = reliability(scores, target)
    values, labels = known(scores, target)
    shares, means = calibration_curve(labels, values, n_bins=15, strategy='uniform')
    assert len(found.bins) == len(shares) < 15
    np.testing.assert_allclose(found.shares, 100 * shares)
    np.testing.assert_allclose(found.scores, 100 * means, rtol=1e-5)
    np.testing.assert_array_equal(found.pairs, np.histogram(values, 15, (0, 1))[0][found.bins])
    assert found.pairs.sum() == len(labels)


def test_scores_at_the_edges_of_bins():
    """0 is in the first bin, 1 in the last, and an edge in the bin above it, as in the calibration error."""
    edges = torch.linspace(0, 1, 16)[[0, 3, 15]]
    found = reliability(edges.view(1, 3), torch.tensor([[0, 1, 1]]))
    assert found.bins.tolist() == [0, 3, 14] and found.shares.tolist() == [0, 100, 100]


@pytest.mark.parametrize('seed', range(3))
def test_the_results_equal_other_libraries_and_the_diagram(evaluation, seed):
    scores, target = drawn(seed)
    results = measure(replace(evaluation, scores=scores, target=target, names=('image',) * 50, thresholds=None))
    values, labels = known(scores, target)
    judge = binary_calibration_error(values, labels, n_bins=15, norm='l1')
    assert results.calibration_error == pytest.approx(judge.item(), abs=1e-6)
    assert results.brier_score == pytest.approx(brier_score_loss(labels, values), abs=1e-6)
    found = reliability(scores, target)
    differences = np.average(np.abs(found.scores - found.shares), weights=found.pairs)
    assert differences / 100 == pytest.approx(results.calibration_error, abs=1e-6)


def test_the_example_is_the_nearest_bin():
    scores = torch.tensor([[0.1, 0.68, 0.68, 0.68, 0.9]])
    found = reliability(scores, torch.tensor([[0, 1, 0, 1, 1]]))
    assert found.at(70) == pytest.approx((68, 200 / 3, 3), abs=1e-4)
    assert found.at(0) == pytest.approx((10, 0, 1), abs=1e-4)


def test_a_dot_for_each_bin_and_the_more_pairs_the_larger():
    scores, target = drawn(0)
    scores[:, 0] = 0.01
    chart = draw_reliability(reliability(scores, target))['reliability']
    diagonal, _, dots = chart.renderers
    assert diagonal.data_source.data['x'] == diagonal.data_source.data['y'] == [0, 100]
    data = dots.data_source.data
    assert data['bin'][0] == '0.0 to 6.7 %' and data['bin'][-1] == '93.3 to 100.0 %' and len(data['bin']) == 15
    np.testing.assert_array_equal(np.argsort(data['pairs'], kind='stable'), np.argsort(data['size'], kind='stable'))
    assert data['size'].argmax() == 0 and data['size'].max() == 24 and data['size'].min() > 6


def test_a_single_pair_has_a_dot():
    chart = draw_reliability(reliability(torch.tensor([[0.5]]), torch.tensor([[1]])))['reliability']
    assert chart.renderers[2].data_source.data['size'].tolist() == [24]


def test_no_known_pair(evaluation, training, tmp_path):
    unknown = torch.full_like(evaluation.target, -1)
    nothing = replace(evaluation, target=unknown, target_at_thresholds=unknown)
    assert np.isnan([measure(nothing).calibration_error, measure(nothing).brier_score]).all()
    assert draw_reliability(reliability(nothing.scores, nothing.target)) == {}
    page = page_of(nothing, training, tmp_path)
    assert 'No label of a test image is known' in page
    assert 'calibration error' not in page and 'tools/calibrate.py calibrates it' not in page


def page_of(evaluation, training, tmp_path):
    """The part of the page about the scores, and the words about the thresholds before it; in one line."""
    folder, _ = training
    out = tmp_path / 'page.html'
    write_report('small', best(folder), folder, evaluation, out)
    page = out.read_text(encoding='utf-8')
    assert '<li><a href="#reliability">' in page
    (part,) = re.findall('<h2 id="thresholds">.*?<h2 id="pairs">', page, flags=re.DOTALL)
    assert 'tools/calibrate.py fits thresholds' in part and 'fit_thresholds' not in page
    return ' '.join(part.split())


def test_the_page_of_a_checkpoint_that_is_not_calibrated(evaluation, training, tmp_path):
    assert not evaluation.is_calibrated and evaluation.voters == 0
    page = page_of(evaluation, training, tmp_path)
    assert 'This checkpoint is not calibrated. tools/calibrate.py calibrates it' in page
    assert 'This checkpoint is calibrated' not in page
    results = measure(evaluation)
    assert f'The calibration error is {results.calibration_error:.4f}: ' in page
    assert f'by {100 * results.calibration_error:.1f} percentage points on average' in page
    assert f'label, is {results.brier_score:.4f}.' in page


def test_the_page_says_what_a_score_means(evaluation, training, tmp_path):
    scores = torch.full_like(evaluation.scores, 0.02)
    scores[:, 0] = 0.69
    target = torch.zeros_like(evaluation.target)
    target[:9, 0] = 1
    page = page_of(replace(evaluation, scores=scores, target=target), training, tmp_path)
    assert 'Of the pairs that were given a score of about 69 %, 37.5 % do have the label (24 pairs).' in page


@pytest.fixture
def calibration():
    """Make a calibration of the small network, in which this many training images vote."""

    def make(voters):
        generator = torch.Generator().manual_seed(0)
        biases = torch.linspace(-1, 1, 4)
        if not voters:
            return Calibration(Regression(torch.tensor([0.5]), biases))
        memories = [
            KernelMemory.of(torch.randn(voters, width, generator=generator), neighbours=2) for width in (96, 128)
        ]
        target = torch.randint(0, 2, (voters, 4), generator=generator)
        return Calibration(
            Regression(torch.tensor([0.5, 0.2, 0.1]), biases), memories, target, [f'{n}.png' for n in range(voters)]
        )

    return make


@pytest.mark.parametrize(
    'voters, words', [(0, 'is calibrated.'), (7, 'is calibrated, with votes of 7 training images.')]
)
def test_the_page_of_a_calibrated_checkpoint(evaluation, training, tmp_path, calibration, voters, words):
    folder, cfg = training
    path = tmp_path / 'calibrated.pth'
    save_fitted(torch.load(best(folder), weights_only=False), LABELS, path, calibration=calibration(voters))
    calibrated = evaluate(copy.deepcopy(cfg), path, max_images=12)
    assert calibrated.is_calibrated and calibrated.voters == voters
    if not voters:
        expected = (0.5 * evaluation.scores.logit() + torch.linspace(-1, 1, 4)).sigmoid()
        torch.testing.assert_close(calibrated.scores, expected, atol=1e-5, rtol=1e-4)
    page = page_of(calibrated, training, tmp_path)
    assert f'This checkpoint {words}' in page and 'calibrates it' not in page
