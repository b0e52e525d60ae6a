import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from kmcl_mm.evaluation import MultiLabelF1
from tests.conftest import golden_cases
from tests.metric_judges import random_case, scikit_learn_f1, torchmetrics_f1


@golden_cases('metrics')
def test_equals_the_published_numbers(golden):
    """There -1 is absent and 0 difficult, which counts as absent in these metrics."""
    target = (golden['in/target'] == 1).long()
    metrics = MultiLabelF1(thr=golden.settings['threshold'], topk=3).calculate(golden['in/scores'], target)
    for name, value in metrics.items():
        published = golden[f'out/{name.replace("_top3", "_3")}'].item()
        assert value == pytest.approx(100 * published, abs=1e-6), name


@pytest.mark.parametrize('topk', [None, 1, 2, 9])
@pytest.mark.parametrize('seed', range(5))
def test_equals_scikit_learn(topk, seed):
    scores, target = random_case(seed)
    expected = scikit_learn_f1(scores, target, 0.6, topk)
    metrics = MultiLabelF1(thr=0.6, topk=topk).calculate(scores, target)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize('seed', range(5))
def test_equals_torchmetrics_with_unknown_labels(seed):
    scores, target = random_case(seed, unknown=0.2)
    metrics = MultiLabelF1(thr=0.6, topk=None).calculate(scores, target)
    assert metrics == pytest.approx(torchmetrics_f1(scores, target, 0.6), rel=1e-5)


def test_unknown_labels_count_neither_as_right_nor_as_wrong():
    scores, target = torch.rand(30, 4), torch.randint(0, 2, (30, 4))
    known = MultiLabelF1(thr=0.5, topk=None)
    expected = known.calculate(scores, target)
    more_scores, unknown = torch.rand(20, 4), torch.full((20, 4), -1)
    assert known.calculate(torch.cat([scores, more_scores]), torch.cat([target, unknown])) == expected


def test_an_unknown_label_takes_no_place_of_the_highest():
    metrics = MultiLabelF1(thr=0.5, topk=1).calculate(torch.tensor([[0.9, 0.8]]), torch.tensor([[-1, 1]]))
    assert metrics['OP_top1'] == metrics['OR_top1'] == 100


def test_a_threshold_for_each_label():
    scores = torch.tensor([[0.3, 0.3], [0.7, 0.7]])
    metrics = MultiLabelF1(thr=[0.2, 0.8], topk=None).calculate(scores, torch.tensor([[1, 0], [1, 1]]))
    assert metrics['OP'] == 100 and metrics['OR'] == pytest.approx(200 / 3)


def test_nothing_predicted_and_nothing_true():
    metrics = MultiLabelF1(thr=0.8).calculate(torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.long))
    assert set(metrics.values()) == {0.0}


def test_in_the_hosts_evaluator():
    scores, target = torch.rand(10, 4), torch.randint(0, 2, (10, 4))
    samples = [DataSample().set_pred_score(row).set_gt_score(truth) for row, truth in zip(scores, target)]
    indices = [
        DataSample().set_pred_score(row).set_gt_label(truth.nonzero()[:, 0]) for row, truth in zip(scores, target)
    ]
    expected = {
        f'multi-label/{name}': value for name, value in MultiLabelF1(thr=0.8, topk=3).calculate(scores, target).items()
    }
    for data_samples in (samples, indices):
        evaluator = Evaluator(dict(type='mmpretrain.MultiLabelF1', thr=0.8, topk=3))
        evaluator.process(data_samples[:6])
        evaluator.process(data_samples[6:])
        assert evaluator.evaluate(10) == expected


def test_without_a_threshold_the_labels_that_the_head_predicts_count():
    """Here by a threshold for each label, which the metric is not told; judged by that of thresholds."""
    scores, target = torch.rand(10, 4), torch.randint(0, 2, (10, 4))
    thr = [0.2, 0.5, 0.8, 1.0]
    samples = [
        DataSample().set_pred_score(row).set_gt_score(truth).set_pred_label(torch.where(row >= torch.tensor(thr))[0])
        for row, truth in zip(scores, target)
    ]
    evaluator = Evaluator(dict(type='mmpretrain.MultiLabelF1', topk=2))
    evaluator.process(samples)
    expected = MultiLabelF1(thr=thr, topk=2).calculate(scores, target)
    assert evaluator.evaluate(10) == {f'multi-label/{name}': value for name, value in expected.items()}
    with pytest.raises(ValueError, match='`thr`.* to be a threshold.*but got None'):
        MultiLabelF1().calculate(scores, target)


@pytest.mark.parametrize('thr, text', [(0.5, '0.5,'), ([0.25, 0.5, 0.75, 1], '0.25 to 1,'), (None, None)])
def test_a_threshold_of_its_own_is_named(monkeypatch, thr, text):
    logged = []
    monkeypatch.setattr('kmcl_mm.evaluation.multilabel_f1.print_log', lambda line, **_: logged.append(line))
    sample = DataSample().set_pred_score(torch.rand(4)).set_gt_score(torch.ones(4)).set_pred_label([1])
    evaluator = Evaluator(dict(type='mmpretrain.MultiLabelF1', thr=thr))
    evaluator.process([sample])
    evaluator.evaluate(1)
    assert [text in line for line in logged] == [True] * (thr is not None)


@pytest.mark.parametrize(
    'settings, name',
    [(dict(thr=1.5), 'thr'), (dict(thr=[0.5, -1]), 'thr'), (dict(thr=[[0.5]]), 'thr'), (dict(topk=0), 'topk')],
)
def test_wrong_settings(settings, name):
    with pytest.raises(ValueError, match=f'`{name}`.*but got'):
        MultiLabelF1(**settings)


def test_wrong_shapes():
    with pytest.raises(ValueError, match=r'`target`.*\(2, 3\).*but got \(2, 4\)'):
        MultiLabelF1(thr=0.8).calculate(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match='`thr`.*3, one for each label, but got 2'):
        MultiLabelF1(thr=[0.5, 0.5]).calculate(torch.zeros(2, 3), torch.zeros(2, 3))
