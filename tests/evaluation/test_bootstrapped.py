import logging
import math

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.evaluator import BaseMetric, DumpResults, Evaluator
from mmengine.logging import MMLogger, print_log
from mmpretrain.evaluation import MultiLabelMetric
from mmpretrain.structures import DataSample
from sklearn.metrics import precision_score, recall_score
from torch import distributed

from kmcl_mm.engine.runner import leave_process_group
from kmcl_mm.evaluation import Bootstrapped, MultiLabelF1, MultiLabelTorchMetrics, PartialLabelAP, PerLabelAP
from kmcl_mm.evaluation.bootstrapped import groups_of
from kmcl_mm.evaluation.resampling import draw_weights

IMAGES, RESAMPLINGS = 60, 40
NAMES = ('cat', 'dog', 'bird', 'unicorn')


def drawn(seed=0, images=IMAGES):
    """Random scores and targets (N, K); one image has a bird, none a unicorn."""
    random = np.random.default_rng(seed)
    target = (random.random((images, 4)) < 0.4).astype(int)
    target[:, 2:] = 0
    target[5, 2] = 1
    return (0.3 * target + 0.7 * random.random(target.shape)).astype(np.float32), target


def samples(scores, target, indices=None):
    indices = range(len(scores)) if indices is None else indices
    pairs = ((torch.from_numpy(scores[index]), torch.from_numpy(target[index])) for index in indices)
    return [
        DataSample().set_pred_score(score).set_gt_score(truth).set_pred_label((score > 0.5).nonzero().flatten())
        for score, truth in pairs
    ]


def evaluated(metric, scores, target, **settings):
    metric = Bootstrapped(metric, resamplings=RESAMPLINGS, **settings)
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = dict(classes=NAMES)
    # In two batches.
    given = samples(scores, target)
    evaluator.process(given[:7])
    evaluator.process(given[7:])
    return evaluator.evaluate(len(scores))


def quantiles(values):
    values = [value for value in values if not math.isnan(value)]
    return np.quantile(values, 0.025), np.quantile(values, 0.975)


def plain_average_precision(scores, target):
    if not target.any():
        return math.nan
    hits = target[np.argsort(-scores, kind='stable')]
    precisions = [hits[: place + 1].mean() for place in np.flatnonzero(hits)]
    return 100 * np.mean(precisions)


def test_intervals_of_average_precisions_equal_those_of_a_plain_loop(tmp_path):
    scores, target = drawn()
    metrics = evaluated(PerLabelAP(out_dir=str(tmp_path)), scores, target, seed=3)
    found = {name: [] for name in (*NAMES, 'mean')}
    for weight in draw_weights(IMAGES, resamplings=RESAMPLINGS, seed=3)[1:]:
        chosen = [image for image in range(IMAGES) for _ in range(weight[image])]
        values = [plain_average_precision(scores[chosen, label], target[chosen, label]) for label in range(4)]
        for name, value in zip(NAMES, values):
            found[name].append(value)
        found['mean'].append(np.nanmean(values))
    # Some resamplings lack the only bird: they do not count for it.
    assert 0 < sum(map(math.isnan, found['bird'])) < RESAMPLINGS
    for name, key in (*((name, f'AP/{name}') for name in NAMES[:3]), ('mean', 'mAP')):
        low, high = quantiles(found[name])
        assert metrics[f'per-label/{key}_low'] == pytest.approx(low, rel=1e-5)
        assert metrics[f'per-label/{key}_high'] == pytest.approx(high, rel=1e-5)
    assert not any('unicorn' in name for name in metrics)
    # The table and the picture are those of all images.
    assert metrics['per-label/mAP'] == pytest.approx(
        np.mean([plain_average_precision(scores[:, k], target[:, k]) for k in range(3)]), rel=1e-5
    )
    assert {path.name for path in tmp_path.iterdir()} == {'per_label_ap.csv', 'per_label_ap.png'}


def test_intervals_of_f1_equal_scikit_learns_with_weights():
    scores, target = drawn()
    metrics = evaluated(dict(type='mmpretrain.MultiLabelF1', thr=0.5), scores, target)
    judges = dict(CP=(precision_score, 'macro'), CR=(recall_score, 'macro'), OP=(precision_score, 'micro'))
    for name, (judge, average) in judges.items():
        values = [
            100 * judge(target, scores >= 0.5, sample_weight=weight, average=average, zero_division=0)
            for weight in draw_weights(IMAGES, resamplings=RESAMPLINGS)
        ]
        assert metrics[f'multi-label/{name}'] == pytest.approx(values[0])
        ends = metrics[f'multi-label/{name}_low'], metrics[f'multi-label/{name}_high']
        assert ends == pytest.approx(quantiles(values[1:]))


@pytest.mark.parametrize(
    'metric', [PerLabelAP, PartialLabelAP, MultiLabelF1, lambda: MultiLabelMetric(thr=0.5), MultiLabelTorchMetrics]
)
def test_the_numbers_of_the_metric_are_its_own(metric):
    """Whatever it keeps of an image, and each number is followed by its interval."""
    scores, target = drawn()
    plain = Evaluator([metric()])
    plain.dataset_meta = dict(classes=NAMES)
    plain.process(samples(scores, target))
    expected = plain.evaluate(IMAGES)
    metrics = evaluated(metric(), scores, target)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=0, abs=0)
    assert list(metrics) == [f'{name}{end}' for name in expected for end in ('', '_low', '_high')]
    for name in expected:
        assert metrics[f'{name}_low'] <= metrics[f'{name}_high']


def test_images_of_a_patient_are_drawn_together():
    """Of ten patients with six equal images each, the interval is that of ten images."""
    scores, target = drawn(images=10)
    six = [np.repeat(part, 6, axis=0) for part in (scores, target)]
    patients = np.repeat(list('abcdefghij'), 6).tolist()
    metric = dict(type='mmpretrain.MultiLabelF1', thr=0.5)
    together, few, alone = (
        evaluated(metric, *six, groups=patients),
        evaluated(metric, scores, target),
        evaluated(metric, *six),
    )
    assert together == pytest.approx(few)
    widths = [m['multi-label/OF1_high'] - m['multi-label/OF1_low'] for m in (together, alone)]
    assert widths[0] > 1.5 * widths[1]


class Scans(BaseDataset):
    def __init__(self, patients):
        self.patients = patients
        super().__init__()

    def load_data_list(self):
        return [dict() if patient is None else dict(patient_id=patient) for patient in self.patients]


def test_the_data_set_names_the_patients():
    groups = groups_of(ConcatDataset([Scans(['a', '', 'a']), Scans(['b', None, 'a', 1])]))
    assert [groups.index(group) for group in groups] == [0, 1, 0, 3, 4, 0, 6]
    assert groups_of(Scans(['', ''])) is None and groups_of(Scans([None])) is None


def test_groups_of_another_number_of_images():
    with pytest.raises(ValueError, match='group for each of 60 images, but got 2'):
        evaluated(PerLabelAP(), *drawn(), groups=['a', 'b'])


class Talking(BaseMetric):
    """It has no `measure`, and says what it does."""

    default_prefix = 'mine'

    def process(self, data_batch, data_samples):
        # Some metrics replace the list.
        self.results = [*self.results, *(sample['pred_score'] for sample in data_samples)]

    def compute_metrics(self, results):
        print_log('computed', logger='current')
        mean = torch.stack(results).mean()
        return dict(mean=mean, parts=[1, 2], each=torch.ones(2), name='scores', good=True, array=mean.double().numpy())


def test_a_metric_of_ones_own_is_resampled_without_its_messages():
    logger = MMLogger.get_current_instance()
    logged = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())
    logger.addHandler(handler)
    level = logger.level
    try:
        metrics = evaluated(Talking(), *drawn())
    finally:
        logger.removeHandler(handler)
    assert logged.count('computed') == 1 and logger.level == level
    assert [name for name in metrics if name.endswith('_low')] == ['mine/mean_low', 'mine/array_low']
    assert metrics['mine/parts'] == [1, 2] and metrics['mine/name'] == 'scores'
    assert metrics['mine/mean_low'] < metrics['mine/mean'] < metrics['mine/mean_high']
    (table,) = (text for text in logged if 'intervals of 95 %' in text)
    assert 'Talking' in table and '40 resamplings of 60 images)' in table
    assert f'({metrics["mine/mean_low"]:.4g} to {metrics["mine/mean_high"]:.4g})' in table


def test_what_has_no_numbers_is_computed_once(tmp_path):
    metrics = evaluated(DumpResults(out_file_path=str(tmp_path / 'scores.pkl')), *drawn())
    assert metrics == {} and (tmp_path / 'scores.pkl').is_file()


def test_a_metric_that_no_image_decides():
    """nan remains nan."""
    scores, target = drawn()
    metrics = evaluated(PerLabelAP(), scores, np.zeros_like(target))
    assert metrics.keys() == {'per-label/mAP', 'per-label/mAP_low', 'per-label/mAP_high'}
    assert all(map(math.isnan, metrics.values()))


@pytest.mark.parametrize(
    'arguments, message',
    [(dict(metric=PerLabelAP(), resamplings=0), 'at least 1, but got 0'), (dict(metric='AP'), "but got 'AP'")],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Bootstrapped(**arguments)


DISTRIBUTED = [
    dict(
        type='mmpretrain.Bootstrapped',
        metric=dict(type=f'mmpretrain.{name}', **settings),
        resamplings=20,
        groups=[image // 2 for image in range(31)],
    )
    for name, settings in (('PerLabelAP', {}), ('MultiLabelF1', dict(thr=0.5, topk=2)))
]


def evaluate_indices(indices):
    evaluator = Evaluator(DISTRIBUTED)
    evaluator.dataset_meta = dict(classes=NAMES)
    evaluator.process(samples(*drawn(images=31), indices))
    return evaluator.evaluate(31)


def _evaluate_on_rank(rank, folder):
    distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    # As the host's DefaultSampler: in turn, and filled up with images from the beginning.
    torch.save(evaluate_indices([*range(31), 0][rank::2]), folder / f'{rank}.pt')
    leave_process_group()


def test_two_processes_give_the_numbers_of_one(tmp_path):
    torch.multiprocessing.spawn(_evaluate_on_rank, args=(tmp_path,), nprocs=2)
    expected = evaluate_indices(range(31))
    assert {'multi-label/CF1_top2_low', 'per-label/mAP_high', 'per-label/AP/cat_low'} <= expected.keys()
    for rank in range(2):
        assert torch.load(tmp_path / f'{rank}.pt') == pytest.approx(expected, rel=0, abs=0)
