import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS
from mmpretrain.structures import DataSample
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    coverage_error,
    f1_score,
    hamming_loss,
    label_ranking_average_precision_score,
    label_ranking_loss,
    roc_auc_score,
)

import kmcl_mm
from kmcl_mm.evaluation import MultiLabelTorchMetrics
from kmcl_mm.evaluation.multilabel_torchmetrics import ITEMS
from tests.metric_judges import random_case

UNKNOWN = -1
OVERALL = (
    'F1_macro',
    'F1_micro',
    'exact_match',
    'hamming_distance',
    'ranking_AP',
    'ranking_loss',
    'coverage_error',
    'calibration_error',
    'brier_score',
)


def case(seed, unknown=0.0, equal_scores=False, labels=6):
    """Scores, targets and predicted labels; labels are in all images, in none, or in some."""
    scores, target = random_case(seed, labels=labels, unknown=unknown)
    if equal_scores:
        scores = (scores * 5).round() / 5
    predicted = scores >= 0.5
    return scores, target, predicted


def calculate(scores, target, predicted, items=None):
    return MultiLabelTorchMetrics(items).calculate(scores, target, predicted)


def same(found, expected):
    return found == pytest.approx(expected, rel=1e-5, abs=1e-5, nan_ok=True)


def scikit_learn(scores, target, predicted):
    """All metrics but the calibration error, without unknown labels."""
    scores, target, predicted = scores.numpy(), target.numpy(), predicted.numpy()
    auroc, ap = roc_auc_score(target, scores, average=None), average_precision_score(target, scores, average=None)
    return {
        **{f'AUROC/{label}': 100 * value for label, value in enumerate(auroc)},
        **{f'AP/{label}': 100 * value for label, value in enumerate(ap)},
        'AUROC': 100 * roc_auc_score(target, scores, average='macro'),
        'AP': 100 * average_precision_score(target, scores, average='macro'),
        'F1_macro': 100 * f1_score(target, predicted, average='macro', zero_division=0),
        'F1_micro': 100 * f1_score(target, predicted, average='micro'),
        'exact_match': 100 * accuracy_score(target, predicted),
        'hamming_distance': 100 * hamming_loss(target, predicted),
        'ranking_AP': 100 * label_ranking_average_precision_score(target, scores),
        'ranking_loss': label_ranking_loss(target, scores),
        'coverage_error': coverage_error(target, scores),
        'brier_score': brier_score_loss(target.ravel(), scores.ravel()),
    }


def known_by_hand(scores, target, predicted):
    """The metrics over all labels, in loops over the known ones."""
    rows = [
        [tuple(entry) for entry in zip(*row) if entry[1] != UNKNOWN]
        for row in zip(scores.double().tolist(), target.tolist(), predicted.tolist())
    ]
    rows = [row for row in rows if row]
    pairs = [pair for row in rows for pair in row]
    columns = [
        [(truth, guess) for truth, guess in zip(*column) if truth != UNKNOWN]
        for column in zip(target.T.tolist(), predicted.T.tolist())
    ]
    f1 = [f1_by_hand(column) for column in columns]
    return {
        'F1_macro': 100 * sum(f1) / len(f1),
        'F1_micro': 100 * f1_by_hand([pair for column in columns for pair in column]),
        'exact_match': 100 * np.mean([all(truth == guess for _, truth, guess in row) for row in rows]),
        'hamming_distance': 100 * np.mean([truth != guess for _, truth, guess in pairs]),
        'ranking_AP': 100 * np.mean([ranking_ap_by_hand(row) for row in rows]),
        'ranking_loss': np.mean([ranking_loss_by_hand(row) for row in rows]),
        'coverage_error': np.mean([coverage_by_hand(row) for row in rows]),
        'calibration_error': calibration_error_by_hand(pairs),
        'brier_score': np.mean([(score - truth) ** 2 for score, truth, _ in pairs]),
    }


def f1_by_hand(pairs):
    right = sum(truth == guess == 1 for truth, guess in pairs)
    total = sum(truth + guess for truth, guess in pairs)
    return 2 * right / total if total else 0.0


def ranking_ap_by_hand(row):
    """Of each positive, the share of positives among the labels with at least its score."""
    positives = [score for score, truth, _ in row if truth == 1]
    shares = [
        sum(other >= score for other in positives) / sum(other >= score for other, _, _ in row) for score in positives
    ]
    return np.mean(shares) if shares else 1.0


def ranking_loss_by_hand(row):
    """Share of the pairs in which a positive is not above a negative."""
    positives, negatives = ([score for score, truth, _ in row if truth == value] for value in (1, 0))
    pairs = [positive <= negative for positive in positives for negative in negatives]
    return np.mean(pairs) if pairs else 0.0


def coverage_by_hand(row):
    """Number of labels from the highest score down to that of the lowest positive."""
    positives = [score for score, truth, _ in row if truth == 1]
    return sum(score >= min(positives) for score, _, _ in row) if positives else 0


def calibration_error_by_hand(pairs, bins=15):
    members = {}
    for score, truth, _ in pairs:
        members.setdefault(int(score * bins), []).append(score - truth)
    return sum(abs(sum(differences)) for differences in members.values()) / len(pairs)


@pytest.mark.parametrize('equal_scores', [False, True])
@pytest.mark.parametrize('seed', range(5))
def test_equals_scikit_learn(seed, equal_scores):
    labels = case(seed, equal_scores=equal_scores)
    expected = scikit_learn(*labels)
    assert {labels[1].sum(dim=1).min().item(), labels[1].sum(dim=1).max().item()} == {0, 6}
    found = calculate(*labels)
    assert found.keys() == {*expected, 'calibration_error'}
    assert same({name: found[name] for name in expected}, expected)


@pytest.mark.parametrize('equal_scores', [False, True])
@pytest.mark.parametrize('unknown', [0.0, 0.3, 0.9])
@pytest.mark.parametrize('seed', range(3))
def test_unknown_labels_are_left_out(seed, unknown, equal_scores):
    """With 90 % unknown, images have no known label, or a single one."""
    labels = case(seed, unknown, equal_scores)
    if unknown == 0.9:
        assert {0, 1, 2} <= set((labels[1] != UNKNOWN).sum(dim=1).tolist())
    found = calculate(*labels)
    assert same({name: found[name] for name in OVERALL}, known_by_hand(*labels))


@pytest.mark.parametrize('seed', range(3))
def test_unknown_labels_are_left_out_of_each_label(seed):
    scores, target, predicted = case(seed, unknown=0.4)
    found = calculate(scores, target, predicted)
    for name, judge in (('AUROC', roc_auc_score), ('AP', average_precision_score)):
        expected = {}
        for label in range(6):
            is_known = target[:, label] != UNKNOWN
            expected[f'{name}/{label}'] = 100 * judge(target[is_known, label], scores[is_known, label])
        assert same({key: value for key, value in found.items() if key.startswith(f'{name}/')}, expected)
        assert same(found[name], np.mean(list(expected.values())))


@pytest.mark.parametrize('seed', range(3))
def test_equals_mlcpl_with_unknown_labels(seed):
    """Its unknown labels are nan; where it decides on labels, it takes logits and a threshold on their sigmoid."""
    judge = pytest.importorskip('mlcpl.metrics')
    scores, target, _ = case(seed, unknown=0.4)
    predicted = scores > 0.5
    theirs = target.float().masked_fill(target == UNKNOWN, math.nan)
    found = calculate(scores, target, predicted)
    for name, function in (
        ('AP', judge.partial_multilabel_average_precision),
        ('AUROC', judge.partial_multilabel_auroc),
    ):
        expected = 100 * function(scores, theirs, average='none').double()
        assert same([found[f'{name}/{label}'] for label in range(6)], expected.tolist())
        assert same(found[name], 100 * function(scores, theirs).item())
    assert same(found['exact_match'], 100 * judge.partial_multilabel_exact_match(scores.logit(), theirs).item())
    wrong = judge.partial_multilabel_hamming_distance(scores, theirs, average='micro')
    assert same(found['hamming_distance'], 100 * wrong.item())
    # Without equal scores, which it orders at random. An image without a known label is a 0 in its mean.
    is_known = (target != UNKNOWN).any(dim=1)
    loss = judge.partial_multilabel_ranking_loss(scores[is_known], theirs[is_known])
    assert same(found['ranking_loss'], loss.item())


@pytest.mark.parametrize('unknown', [0.0, 0.3])
def test_a_single_label(unknown):
    labels = case(0, unknown, labels=1)
    found = calculate(*labels)
    assert same({name: found[name] for name in OVERALL}, known_by_hand(*labels))
    assert found['ranking_AP'] == 100 and found['ranking_loss'] == 0
    assert found['AUROC'] == found['AUROC/0'] and found['AP'] == found['AP/0']


def test_many_images_are_as_exact_as_few():
    """Calls for 1024 images, not sums over all of them."""
    scores, target, predicted = (part.repeat(60, 1) for part in case(0, unknown=0.3))
    items = ('ranking_average_precision', 'ranking_loss', 'coverage_error')
    expected = calculate(*case(0, unknown=0.3), items=items)
    assert calculate(scores, target, predicted, items=items) == pytest.approx(expected, rel=1e-6)


def test_images_without_a_known_label_change_nothing():
    labels = case(0, unknown=0.2)
    more = torch.rand(20, 6), torch.full((20, 6), UNKNOWN), torch.rand(20, 6) < 0.5
    expected = calculate(*labels)
    assert same(calculate(*(torch.cat(parts) for parts in zip(labels, more))), expected)


def test_nothing_is_known():
    found = calculate(torch.rand(3, 2), torch.full((3, 2), UNKNOWN), torch.ones(3, 2, dtype=torch.bool))
    assert found.keys() == {'AUROC', 'AP', *OVERALL}
    assert {name for name, value in found.items() if not math.isnan(value)} == {'F1_macro', 'F1_micro'}
    assert found['F1_macro'] == found['F1_micro'] == 0


def test_f1_of_a_label_that_is_neither_present_nor_predicted_counts_as_0():
    target = torch.tensor([[1, 0, -1], [1, 0, -1]])
    found = calculate(torch.rand(2, 3), target, torch.tensor([[1, 0, 1], [1, 0, 0]]) == 1)
    assert same(found['F1_macro'], 100 / 3) and found['F1_micro'] == 100


def test_images_with_all_known_labels_present_or_none():
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5]])
    for target, coverage in (([[1, 1, -1], [1, -1, 1]], 2), ([[0, 0, -1], [0, -1, 0]], 0)):
        found = calculate(scores, torch.tensor(target), scores > 0.5)
        assert (found['ranking_AP'], found['ranking_loss'], found['coverage_error']) == (100, 0, coverage)


def test_a_pair_of_equal_scores_counts_as_wrong():
    scores = torch.full((1, 3), 0.5)
    for target in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]):
        assert calculate(scores, torch.tensor([target]), scores > 0.5)['ranking_loss'] == 1


def test_scores_of_1_are_a_bin_of_their_own():
    """In bins closed at 1 the two would even out."""
    scores, target = torch.tensor([[1.0], [0.95]]), torch.tensor([[0], [1]])
    assert same(calculate(scores, target, scores > 0.5)['calibration_error'], (1 + 0.05) / 2)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_of_scores(dtype):
    scores, target, predicted = case(0, unknown=0.2)
    rounded = scores.to(dtype)
    assert calculate(rounded, target.float(), predicted) == calculate(rounded.double(), target, predicted)


def test_a_label_without_a_positive_or_negative_is_left_out_of_the_means():
    scores, target, predicted = case(0)
    target[:, 0], target[:, 1] = 0, 1
    found = calculate(scores, target, predicted, items=('auroc', 'average_precision'))
    assert found.keys() == {'AUROC', 'AP', *(f'AUROC/{k}' for k in (2, 3, 4, 5)), *(f'AP/{k}' for k in (1, 2, 3, 4, 5))}
    assert same(found['AUROC'], np.mean([found[f'AUROC/{k}'] for k in (2, 3, 4, 5)]))
    assert same(found['AP'], np.mean([found[f'AP/{k}'] for k in (1, 2, 3, 4, 5)])) and found['AP/1'] == 100


def data_samples(scores, target, predicted):
    return [
        DataSample().set_pred_score(row).set_gt_score(truth).set_pred_label(guess.nonzero().flatten())
        for row, truth, guess in zip(scores, target, predicted)
    ]


def evaluate(settings, samples, classes=tuple('abcdef')):
    evaluator = Evaluator(dict(type='mmpretrain.MultiLabelTorchMetrics', **settings))
    evaluator.dataset_meta = dict(classes=classes)
    evaluator.process(samples[:6])
    evaluator.process(samples[6:])
    return evaluator.evaluate(len(samples))


def test_in_the_hosts_evaluator():
    """The predicted labels are the head's, here by a threshold that the metric is not told."""
    scores, target, _ = case(0, unknown=0.2)
    predicted = scores >= torch.tensor([0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    metric = MultiLabelTorchMetrics()
    metric.dataset_meta = dict(classes=tuple('abcdef'))
    expected = metric.calculate(scores, target, predicted)
    assert {'AUROC/a', 'AP/f', *OVERALL} <= expected.keys()
    found = evaluate({}, data_samples(scores, target, predicted))
    assert found == {f'torchmetrics/{name}': value for name, value in expected.items()}
    chosen = evaluate(dict(items=['hamming_distance'], prefix='mine'), data_samples(scores, target, predicted))
    assert chosen == {'mine/hamming_distance': expected['hamming_distance']}


def test_measure_is_calculate_and_keeps_silent(monkeypatch):
    monkeypatch.setattr('kmcl_mm.evaluation.multilabel_torchmetrics.print_log', lambda *_, **__: pytest.fail('logged'))
    scores, target, predicted = case(0)
    target[:, 0] = 0
    found = MultiLabelTorchMetrics().measure(list(zip(scores, target, predicted)))
    assert found == calculate(scores, target, predicted)


def test_difficult_labels_are_unknown():
    scores, target, predicted = case(1)
    difficult = torch.rand(target.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    samples = data_samples(scores, target, predicted)
    for sample, labels, truth in zip(samples, difficult, target):
        sample.pop('gt_score')
        sample.set_gt_label(truth.nonzero().flatten())
        sample.set_field(labels.nonzero().flatten().tolist(), 'gt_label_difficult')
    expected = evaluate({}, data_samples(scores, target.masked_fill(difficult & (target == 0), UNKNOWN), predicted))
    assert evaluate({}, samples) == expected != evaluate({}, data_samples(scores, target, predicted))


@pytest.mark.parametrize(
    'items, absent, present, text',
    [
        (('auroc',), (0, 2), (5,), 'Labels without a positive: a, c; without a negative: f. '),
        (('average_precision', 'f1_macro'), (1,), (), 'Labels without a positive: b. '),
        (None, (), (3,), 'Labels without a negative: d. '),
        (None, (), (), None),
        (('f1_macro',), (0,), (1,), None),
    ],
)
def test_labels_that_the_means_leave_out_are_named(monkeypatch, items, absent, present, text):
    logged = []
    monkeypatch.setattr('kmcl_mm.evaluation.multilabel_torchmetrics.print_log', lambda line, **_: logged.append(line))
    scores, target, predicted = case(0)
    target[:, list(absent)], target[:, list(present)] = 0, 1
    evaluate(dict(items=items), data_samples(scores, target, predicted))
    assert [line.startswith(text) for line in logged] == [True] * (text is not None)


def test_an_unknown_item():
    with pytest.raises(ValueError, match="`items`.*'auroc'.*but got 'auc'"):
        METRICS.build(dict(type='MultiLabelTorchMetrics', items=('auroc', 'auc')))
    assert MultiLabelTorchMetrics().items == ITEMS


def test_wrong_arguments():
    metric, zeros = MultiLabelTorchMetrics(), torch.zeros(2, 3)
    for shapes, name in ((((2, 4), (2, 3)), 'target'), (((2, 3), (3, 3)), 'predicted')):
        with pytest.raises(ValueError, match=f'`{name}`.*but got'):
            metric.calculate(zeros, *map(torch.zeros, shapes))
    for wrong in (zeros - 0.1, zeros + 1.1, zeros / 0):
        with pytest.raises(ValueError, match=r'`scores` to be in \[0, 1\], but got'):
            metric.calculate(wrong, zeros, zeros == 1)
    metric.dataset_meta = dict(classes=('cat', 'dog'))
    with pytest.raises(ValueError, match='3 class names in the data set.*but got 2'):
        metric.calculate(zeros, zeros, zeros == 1)


def test_torchmetrics_is_imported_by_the_first_metric_that_needs_it():
    script = (
        'import sys, torch; from kmcl_mm.evaluation import MultiLabelTorchMetrics as Metric; '
        "ones = torch.ones(2, 2); Metric(['brier_score']).calculate(ones, ones, ones == 1); "
        "assert 'torchmetrics' not in sys.modules"
    )
    subprocess.run([sys.executable, '-c', script], check=True)


@pytest.mark.parametrize('size', 'ml')
def test_chest_x_rays_are_judged_by_auroc_as_well(size):
    """After the metrics of all configurations."""
    cfg, other = (kmcl_mm.get_config(f'kmcl_tresnet_{size}_{data}') for data in ('chestxray14', 'voc07'))
    auroc = dict(type='MultiLabelTorchMetrics', items=('auroc',))
    for name in ('val_evaluator', 'test_evaluator'):
        assert cfg[name] == [*other[name], auroc]
