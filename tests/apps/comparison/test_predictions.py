import copy
import os

import numpy as np
import pandas as pd
import pytest

from kmcl_mm.apps.comparison import compare, find_run, predict_test_images
from kmcl_mm.apps.report.predictions import evaluate
from kmcl_mm.config import load_config
from tests.apps.report.conftest import LABELS, best


def test_predictions_are_those_of_the_report(training):
    folder, cfg = training
    shuffled = copy.deepcopy(cfg)
    shuffled.test_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    found = predict_test_images(shuffled, best(folder), 'cpu')
    report = evaluate(copy.deepcopy(cfg), best(folder), max_images=2)
    assert found.labels == LABELS and found.images == report.names and found.groups is None
    np.testing.assert_array_equal(found.scores, report.scores.numpy())
    np.testing.assert_array_equal(found.target, report.target.numpy())
    assert (found.target == -1).any()


def test_trainings_of_two_heads_are_compared(training, linear_training):
    predictions = []
    for folder in (training[0], linear_training[0]):
        config, checkpoint = find_run(folder)
        predictions.append(predict_test_images(load_config(config), checkpoint))
    comparison = compare(*predictions, resamplings=10)
    assert [row.label for row in comparison.labels] != [] and comparison.absent == ['absent']
    assert comparison.images == 24


def test_the_data_set_names_the_patients(training, images, tmp_path):
    folder, cfg = training
    table = pd.read_csv(images / 'val.csv')
    table['patient'] = [f'p{number // 4}' for number in range(len(table))]
    table.to_csv(tmp_path / 'patients.csv', index=False)
    cfg = copy.deepcopy(cfg)
    cfg.test_dataloader.dataset.update(ann_file=str(tmp_path / 'patients.csv'), patient_column='patient')
    groups = predict_test_images(cfg, best(folder)).groups
    assert [groups.index(group) for group in groups] == [4 * (number // 4) for number in range(24)]


def test_no_test_data(training):
    folder, cfg = training
    cfg = copy.deepcopy(cfg)
    cfg.test_dataloader = None
    with pytest.raises(ValueError, match='no `test_dataloader`'):
        predict_test_images(cfg, best(folder))


def test_files_of_a_run(tmp_path):
    for number, name in enumerate(('old.py', 'new.py', 'best_a.pth', 'best_b.pth', 'epoch_3.pth')):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (number, number))
    config = tmp_path / 'new.py'
    assert find_run(tmp_path) == (config, tmp_path / 'best_b.pth')
    assert find_run(tmp_path / 'epoch_3.pth') == (config, tmp_path / 'epoch_3.pth')


@pytest.mark.parametrize(
    'files, path, message',
    [
        ([], 'none', 'There is no folder or checkpoint .*none; the path starts from /'),
        (['epoch_3.pth'], 'epoch_3.pth', r'has no configuration \(\*.py\)'),
        (['a.py', 'epoch_3.pth'], '.', r'has no best checkpoint \(best_\*.pth\). Give a checkpoint in it instead'),
    ],
)
def test_missing_files(tmp_path, files, path, message):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message):
        find_run(tmp_path / path)
