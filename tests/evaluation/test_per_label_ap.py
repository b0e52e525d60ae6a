import csv
import math
from collections import OrderedDict

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmpretrain.structures import DataSample
from sklearn.metrics import average_precision_score

from kmcl_mm.evaluation import PartialLabelAP, PerLabelAP
from tests.conftest import golden_cases
from tests.metric_judges import our_ap, random_case, torchmetrics_ap

NAMES = ('cat', 'dog', 'bird', 'unicorn')


def metric(**settings):
    result = PerLabelAP(**settings)
    result.dataset_meta = dict(classes=NAMES)
    return result


def batch(images=50, seed=0):
    """Random scores and targets; no image has a unicorn."""
    generator = torch.Generator().manual_seed(seed)
    target = (torch.rand(images, 4, generator=generator) < 0.3).long()
    target[:, 3] = 0
    return torch.rand(images, 4, generator=generator), target


@golden_cases('metrics')
def test_equals_the_published_numbers(golden):
    target = golden['in/target']
    if golden.settings['difficult']:  # there -1 is absent, and 0 difficult
        target = torch.where(target == 1, 1, -1 - target)
    metrics = PerLabelAP().calculate(golden['in/scores'], target)
    average_precision = [metrics[f'AP/{label}'] for label in range(golden.settings['K'])]
    published = golden['out/ap'] if golden['out/ap'].max() > 1 else 100 * golden['out/ap']
    torch.testing.assert_close(torch.tensor(average_precision), published.float(), rtol=1e-6, atol=1e-4)
    assert metrics['mAP'] == pytest.approx(golden['out/map'].item(), abs=1e-4)


@pytest.mark.parametrize('seed', range(5))
def test_equals_scikit_learn(seed):
    scores, target = batch(seed=seed)
    metrics = metric().calculate(scores, target)
    for label, name in enumerate(NAMES[:3]):
        expected = 100 * average_precision_score(target[:, label], scores[:, label])
        assert metrics[f'AP/{name}'] == pytest.approx(expected, abs=1e-4)


def test_a_label_that_no_image_has_is_left_out():
    scores, target = batch()
    metrics = metric().calculate(scores, target)
    assert 'AP/unicorn' not in metrics
    assert metrics['mAP'] == pytest.approx(sum(metrics[f'AP/{name}'] for name in NAMES[:3]) / 3)


def test_no_label_at_all():
    metrics = metric().calculate(torch.rand(3, 4), torch.zeros(3, 4, dtype=torch.long))
    assert metrics.keys() == {'mAP'} and math.isnan(metrics['mAP'])


@pytest.mark.parametrize('seed', range(5))
def test_equals_torchmetrics_with_unknown_labels(seed):
    scores, target = random_case(seed, unknown=0.2)
    assert our_ap(scores, target) == pytest.approx(torchmetrics_ap(scores, target), rel=1e-5)


def test_unknown_and_difficult_labels_leave_the_image_out():
    scores, target = batch()
    more, _ = batch(seed=1)
    samples = [DataSample().set_pred_score(row).set_gt_score(truth) for row, truth in zip(scores, target)]
    samples += [DataSample().set_pred_score(row).set_gt_score(torch.full((4,), -1)) for row in more[:5]]
    samples += [
        DataSample(metainfo=dict(gt_label_difficult=[0, 1, 2, 3]))
        .set_pred_score(row)
        .set_gt_score(torch.zeros(4).long())
        for row in more[5:]
    ]
    evaluator = Evaluator(dict(type='mmpretrain.PerLabelAP'))
    evaluator.dataset_meta = dict(classes=NAMES)
    evaluator.process(samples)
    expected = {f'per-label/{name}': value for name, value in metric().calculate(scores, target).items()}
    assert evaluator.evaluate(len(samples)) == pytest.approx(expected)


def test_a_label_that_is_unknown_in_all_images():
    scores, target = batch()
    target[:, 1] = -1
    metrics = metric().calculate(scores, target)
    assert metrics.keys() == {'AP/cat', 'AP/bird', 'mAP'}
    # The mean of MMPretrain counts it as 0, as a label that no image has.
    assert PartialLabelAP.calculate(scores, target) == pytest.approx((metrics['AP/cat'] + metrics['AP/bird']) / 4)


def test_table_and_files(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr('kmcl_mm.evaluation.per_label_ap.print_log', lambda text, **_: logged.append(text))
    scores, target = batch()
    result = metric(out_dir=str(tmp_path / 'new')).compute_metrics(list(zip(scores, target)))
    assert all(name in logged[0] for name in NAMES) and 'without a positive: unicorn' in logged[0]
    with (tmp_path / 'new/per_label_ap.csv').open() as file:
        rows = {row['label']: row for row in csv.DictReader(file)}
    assert float(rows['cat']['average_precision']) == pytest.approx(result['AP/cat'])
    assert rows['cat']['positives'] == str(target[:, 0].sum().item()) and rows['unicorn']['positives'] == '0'
    assert (tmp_path / 'new/per_label_ap.png').read_bytes().startswith(b'\x89PNG')


def test_files_go_beside_the_log_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(MMLogger, '_instance_dict', OrderedDict())
    MMLogger.get_instance('per_label_ap', log_file=str(tmp_path / 'run.log'))
    metric().compute_metrics(list(zip(*batch())))
    assert (tmp_path / 'per_label_ap.csv').is_file() and (tmp_path / 'per_label_ap.png').is_file()


def test_wrong_number_of_class_names():
    with pytest.raises(ValueError, match='Expected 3 class names.*but got 4'):
        metric().calculate(torch.rand(2, 3), torch.ones(2, 3).long())
