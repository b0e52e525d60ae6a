from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, brier_score_loss, precision_recall_fscore_support
from torchmetrics.functional.classification import binary_calibration_error

from kmcl_mm.apps.calibration.gains import Gain, as_table, gains, label_table
from kmcl_mm.apps.calibration.prediction_rule import Judged, PredictionRule
from kmcl_mm.evaluation import MultiLabelF1
from kmcl_mm.evaluation.resampling import Interval, draw_weights
from tests.apps.calibration.drawn import LABELS, drawn_images

NAMES = ('crack', 'rust', 'leak', 'a long name', 'e')


@pytest.fixture(scope='module')
def images():
    """Some unknown labels, of which a half are difficult and count as absent at thresholds."""
    images = drawn_images(60, seed=1, unknown=0.3)
    difficult = (images.target == -1) & (torch.arange(60).unsqueeze(1) % 2 == 0)
    return replace(images, target_at_thresholds=images.target.masked_fill(difficult, 0))


@pytest.fixture(scope='module')
def before(images):
    return PredictionRule(None, torch.full((LABELS,), 0.8, dtype=torch.float64)).judge(images)


@pytest.fixture(scope='module')
def after(images):
    """Other scores in another order, and other predictions."""
    noise = torch.randn(images.logits.shape, generator=torch.Generator().manual_seed(5))
    scores = (0.6 * images.logits - 1 + noise).sigmoid()
    return Judged(scores.numpy(), (scores >= torch.linspace(0.2, 0.6, LABELS)).numpy())


def judge(images, judged, places):
    """The metrics of some images, by scikit-learn, torchmetrics, and the metric that trainings use."""
    scores, target = judged.scores[places], images.target.numpy()[places]
    known = target != -1
    precisions = []
    for label in range(LABELS):
        of_label = target[:, label][known[:, label]]
        if (of_label == 1).any():
            precisions.append(average_precision_score(of_label, scores[:, label][known[:, label]]))
    error = binary_calibration_error(torch.from_numpy(scores[known]), torch.from_numpy(target[known]), n_bins=15)
    predicted = torch.from_numpy(judged.predicted[places])
    # Of predictions as scores, at any threshold between.
    f1 = MultiLabelF1(thr=0.5).calculate(predicted.float(), images.target_at_thresholds[places])
    return {
        'mAP': 100 * np.mean(precisions),
        'calibration error': error.item(),
        'Brier score': brier_score_loss(target[known], scores[known]),
        'CF1': f1['CF1'],
        'OF1': f1['OF1'],
    }


def test_metrics_before_and_after(images, before, after):
    found = gains(images, before, after, resamplings=10)
    everything = np.arange(60)
    judges = [judge(images, judged, everything) for judged in (before, after)]
    assert [gain.metric for gain in found] == list(judges[0])
    for metric, old, new, difference in found:
        assert old == pytest.approx(judges[0][metric], abs=1e-5)
        assert new == pytest.approx(judges[1][metric], abs=1e-5)
        assert difference.value == pytest.approx(judges[1][metric] - judges[0][metric], abs=1e-5)
        assert difference.value != 0


@pytest.mark.parametrize('size', [1, 5])
def test_intervals_are_those_of_resampled_patients(images, before, after, size):
    """Patients have one image each, or five. Average precisions of drawn copies depend on their order, so not these."""
    patients = [f'patient {place // size}' for place in range(60)]
    found = gains(replace(images, patients=patients), before, after, resamplings=40)
    differences = {gain.metric: [] for gain in found}
    for weights in draw_weights(60 // size, resamplings=40)[1:]:
        places = np.repeat(np.arange(60), np.repeat(weights, size))
        old, new = (judge(images, judged, places) for judged in (before, after))
        for metric, values in differences.items():
            values.append(new[metric] - old[metric])
    for gain in found[1:]:
        low, high = np.quantile(differences[gain.metric], [0.025, 0.975])
        assert (gain.difference.low, gain.difference.high) == pytest.approx((low, high), abs=1e-5)
    assert found[0].difference.low < found[0].difference.value < found[0].difference.high


def test_the_same_twice_gains_nothing(images, before):
    for gain in gains(images, before, before, resamplings=20):
        assert gain.before == gain.after and gain.difference == (0, 0, 0)


def test_labels_that_no_image_has(images, before, after):
    target = images.target.clone()
    target[:, 3] = 0
    found = gains(replace(images, target=target, target_at_thresholds=target), before, after, resamplings=20)
    assert all(np.isfinite([gain.before, gain.after, *gain.difference]).all() for gain in found)
    nothing = torch.zeros_like(target)
    found = gains(replace(images, target=nothing, target_at_thresholds=nothing), before, after, resamplings=20)
    assert np.isnan(found[0].before) and found[1].after > 0
    assert 'nan' in as_table(found)


def test_the_table_has_percentages_and_fractions():
    found = [
        Gain('mAP', 85.0, 84.4, Interval(-0.6, -1.25, 0.05)),
        Gain('calibration error', 0.21, 0.0123, Interval(-0.1977, -0.2, -0.19)),
        Gain('CF1', 0.5, 1.0, Interval(0.5, 0.25, 0.75)),
        Gain('OF1', 7.25, 100.0, Interval(92.75, 90.0, 95.0)),
    ]
    head, *rows = as_table(found).splitlines()
    assert head.split() == ['before', 'after', 'difference', '(95', '%)']
    assert [row.split() for row in rows] == [
        ['mAP', '85.00', '84.40', '-0.60', '(-1.25', 'to', '+0.05)'],
        ['calibration', 'error', '0.2100', '0.0123', '-0.1977', '(-0.2000', 'to', '-0.1900)'],
        ['CF1', '0.50', '1.00', '+0.50', '(+0.25', 'to', '+0.75)'],
        ['OF1', '7.25', '100.00', '+92.75', '(+90.00', 'to', '+95.00)'],
    ]
    # The numbers end below the names of their columns.
    for line in (head, *rows):
        assert line[27] != ' ' and line[28] == ' ' and line[36] != ' ' and line[37:40] == '   '


def test_precision_recall_and_f1_of_each_label(images, before, after):
    head, *rows = label_table(NAMES, images, before, after).splitlines()
    assert head.split() == ['precision', 'recall', 'F1'] and len(rows) == LABELS
    for label, (name, row) in enumerate(zip(NAMES, rows)):
        assert row.startswith(f'{name:11}  ')
        truth = images.target_at_thresholds.numpy()[:, label]
        expected = []
        for judged in (before, after):
            known = truth != -1
            expected.append(
                precision_recall_fscore_support(
                    truth[known], judged.predicted[known, label], average='binary', zero_division=0
                )[:3]
            )
        texts = [f'{100 * old:.1f} -> {100 * new:.1f}' for old, new in zip(*expected)]
        assert ' '.join(row.removeprefix(name).split()) == ' '.join(texts)
