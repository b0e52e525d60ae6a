import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.evaluation import AveragePrecision
from mmpretrain.structures import DataSample
from sklearn.metrics import average_precision_score

from kmcl_mm.evaluation import PartialLabelAP
from tests.metric_judges import random_case


def samples(scores, target, difficult=None):
    found = []
    for number, (row, labels) in enumerate(zip(scores, target)):
        sample = DataSample().set_pred_score(row)
        if difficult is None:
            sample.set_gt_score(labels)
        else:
            sample.set_gt_label((labels == 1).nonzero().flatten())
            sample.set_field(difficult[number].nonzero().flatten().tolist(), 'gt_label_difficult')
        found.append(sample)
    return found


def evaluate(metric, data_samples):
    evaluator = Evaluator(metric)
    evaluator.process(data_samples)
    return evaluator.evaluate(len(data_samples))


@pytest.mark.parametrize('average', ['macro', None])
@pytest.mark.parametrize('unknown', [0.0, 0.3])
def test_it_is_mmpretrains_where_that_works(average, unknown):
    scores, target = random_case(0, unknown=unknown)
    expected, found = (
        evaluate(dict(type=f'mmpretrain.{name}', average=average), samples(scores, target))
        for name in ('AveragePrecision', 'PartialLabelAP')
    )
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6)


def test_difficult_labels_are_left_out_as_in_mmpretrains_metric_of_voc():
    scores, target = random_case(1)
    difficult = torch.rand(target.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    expected, found = (
        evaluate(dict(type=f'mmpretrain.{name}'), samples(scores, target, difficult))
        for name in ('VOCAveragePrecision', 'PartialLabelAP')
    )
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_label_that_is_unknown_in_all_images_counts_as_0():
    scores, target = random_case(2)
    target[:, 1] = -1
    with pytest.raises(IndexError):
        AveragePrecision.calculate(scores, target)
    known = [label for label in range(target.shape[1]) if label != 1]
    expected = sum(average_precision_score(target[:, k].numpy(), scores[:, k].numpy()) for k in known)
    found = PartialLabelAP.calculate(scores, target)
    assert found.item() == pytest.approx(100 * expected / target.shape[1], abs=1e-4)


def test_nothing_is_known():
    assert PartialLabelAP.calculate(torch.rand(3, 2), -torch.ones(3, 2)) == 0
