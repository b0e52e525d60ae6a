import copy

import numpy as np
import pandas as pd
import pytest
import torch

from kmcl_mm.apps.data_check.label_counts import LabelCounts
from kmcl_mm.apps.report.kernels import Similarity
from kmcl_mm.apps.report.label_data import LabelData, frequency_order, labels_of_pairs, read_label_data
from kmcl_mm.apps.report.pair_charts import rank_correlation
from tests.apps.report.conftest import LABELS


def counts_of(present):
    together = present.T @ present
    return LabelCounts(len(present), together.diagonal(), np.full(present.shape[1], len(present)), together, present, 0)


def test_training_labels_are_counted(training, evaluation, images):
    data = read_label_data(training[1], LABELS, evaluation.dataset)
    table = pd.read_csv(images / 'train.csv')[list(LABELS)].to_numpy() == 1
    assert data.split == 'training' and not data.reason
    np.testing.assert_array_equal(data.counts.positives, table.sum(axis=0))
    np.testing.assert_array_equal(data.counts.together, table.T.astype(int) @ table)


@pytest.mark.parametrize(
    'wrap, part',
    [
        (lambda dataset: dict(type='RepeatDataset', times=3, dataset=dataset), slice(None)),
        (lambda dataset: dict(type='ClassBalancedDataset', oversample_thr=0.9, dataset=dataset), slice(None)),
        (
            lambda dataset: dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=2, dataset=dataset)]),
            slice(None),
        ),
        # A wrapper that shows a part of the images goes on doing so.
        (lambda dataset: dict(type='KFoldDataset', num_splits=3, dataset=dataset), slice(8, None)),
    ],
)
def test_each_training_image_counts_once(training, evaluation, images, wrap, part):
    cfg = copy.deepcopy(training[1])
    cfg.train_dataloader.dataset = wrap(cfg.train_dataloader.dataset)
    table = pd.read_csv(images / 'train.csv')[list(LABELS)].to_numpy()[part] == 1
    data = read_label_data(cfg, LABELS, evaluation.dataset)
    assert data.split == 'training' and data.counts.num_images == len(table)
    np.testing.assert_array_equal(data.counts.positives, table.sum(axis=0))


def test_without_training_data_the_test_labels_are_counted(training, evaluation):
    cfg = copy.deepcopy(training[1])
    cfg.train_dataloader.dataset.ann_file = 'nowhere.csv'
    data = read_label_data(cfg, LABELS, evaluation.dataset)
    assert data.split == 'test' and 'nowhere.csv' in data.reason
    np.testing.assert_array_equal(data.counts.positives, (evaluation.target == 1).sum(dim=0))
    cfg.pop('train_dataloader')
    assert 'has none' in read_label_data(cfg, LABELS, evaluation.dataset).reason


def test_labels_that_occur_together_stand_together():
    """Two groups of three labels; a label without an image is left out."""
    random = np.random.default_rng(0)
    groups = random.integers(0, 2, (200, 2))
    present = np.stack([groups[:, number % 2] for number in range(6)], axis=1) * (random.random((200, 6)) < 0.8)
    present = np.column_stack([present, np.zeros(200, int)])
    counts = counts_of(present)
    frequent = frequency_order(counts, torch.zeros(1, 7))
    assert sorted(frequent) == list(range(6)) and frequent[0] == counts.positives.argmax()
    order = labels_of_pairs(counts)
    assert sorted(order) == list(range(6))
    assert len({label % 2 for label in order[:3]}) == 1 and len({label % 2 for label in order[3:]}) == 1


def test_rank_correlation_of_the_two_pictures():
    present = np.random.default_rng(1).integers(0, 2, (50, 5))
    counts = counts_of(present)
    share = torch.from_numpy((counts.conditional + counts.conditional.T) / 2)
    data = LabelData('test', counts, '')
    order = list(range(5))
    assert rank_correlation(data, Similarity(-share, share**3), order) > 0.999
    assert rank_correlation(data, Similarity(share, -share), order) < -0.999
    assert rank_correlation(data, Similarity(share, torch.ones(5, 5)), order) is None
    assert rank_correlation(data, Similarity(share, share), [0, 1]) is None
