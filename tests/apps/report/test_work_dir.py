from datetime import datetime

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from kmcl_mm.apps.report.work_dir import find_best_checkpoint, find_config, find_start, read_curves
from tests.apps.report.conftest import training_line, write_log


class Squares(BaseModel):
    """A network of one weight."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs, mode='tensor'):
        squares = (self.weight * inputs) ** 2
        return dict(loss=squares.mean()) if mode == 'loss' else [dict(score=squares)]


class Scores(BaseMetric):
    """An mAP that was chosen beforehand for each validation."""

    def __init__(self, scores):
        super().__init__(prefix='multi-label')
        self.scores = scores

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(mAP=next(self.scores))


def validation_line(step, mean_average_precision):
    return {'multi-label/mAP': mean_average_precision, 'multi-label/CF1': 1.0, 'step': step}


def test_a_resumed_training_is_one_curve(tmp_path):
    """The second start goes on after epoch 2, of which the killed one had begun to train the next."""
    write_log(tmp_path, '20260101_000000', [training_line(10), validation_line(1, 50), training_line(20, 2)])
    write_log(tmp_path, '20260101_000000_', [training_line(99)])
    lines = [validation_line(2, 60), training_line(25, 3, loss_asl=7.0), training_line(35, 3), validation_line(3, 70)]
    write_log(tmp_path, '20260102_000000', lines)
    curves = read_curves(tmp_path)
    assert curves.losses['loss_asl'].to_dict() == {10: 10.0, 20: 5.0, 25: 7.0, 35: 100 / 35}
    assert curves.mean_average_precision.to_dict() == {'multi-label/mAP': {1: 50.0, 2: 60.0, 3: 70.0}}
    assert find_start(tmp_path) == datetime(2026, 1, 2)


def test_what_is_trained_again_replaces_what_was_before(tmp_path):
    lines = [training_line(10), validation_line(1, 50), training_line(20, 2), validation_line(2, 55)]
    write_log(tmp_path, '20260101_000000', lines)
    write_log(tmp_path, '20260102_000000', [training_line(20, 2, loss_asl=3.0), validation_line(2, 66)])
    curves = read_curves(tmp_path)
    assert curves.losses['loss_asl'].to_dict() == {10: 10.0, 20: 3.0}
    assert curves.mean_average_precision['multi-label/mAP'].to_dict() == {1: 50.0, 2: 66.0}
    write_log(tmp_path, '20260103_000000', [training_line(5)])
    curves = read_curves(tmp_path)
    assert list(curves.losses.index) == [5] and curves.mean_average_precision.empty


@pytest.mark.parametrize('processor', [dict(by_epoch=False), dict()])
@pytest.mark.parametrize('by_epoch', [True, False])
def test_a_training_by_iterations_that_the_host_logs(tmp_path, processor, by_epoch):
    """The host counts the epochs of a training by iterations as well: all its validations are after epoch 0."""
    hooks = dict(logger=dict(type='LoggerHook', interval=2, log_metric_by_epoch=by_epoch), checkpoint=None)
    runner = Runner(
        Squares(),
        str(tmp_path),
        train_dataloader=DataLoader([dict(inputs=1.0)] * 4),
        val_dataloader=DataLoader([dict(inputs=1.0)]),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=6, val_interval=2),
        val_cfg=dict(),
        val_evaluator=[Scores(iter((50.0, 60.0, 70.0)))],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=hooks,
        log_processor=processor,
        experiment_name=f'{tmp_path.name}',
    )
    runner.train()
    curves = read_curves(tmp_path)
    assert list(curves.losses.index) == [2, 4, 6]
    assert curves.mean_average_precision.to_dict() == {'multi-label/mAP': {2: 50.0, 4: 60.0, 6: 70.0}}
    assert not curves.is_by_epoch


def test_a_resumed_training_by_iterations_is_one_curve(tmp_path):
    def line(step):
        return dict(loss=1.0, iter=step, step=step)

    write_log(
        tmp_path, '20260101_000000', [line(10), validation_line(0, 50), line(20), validation_line(0, 55), line(30)]
    )
    write_log(tmp_path, '20260102_000000', [validation_line(0, 60), line(25), line(30), validation_line(0, 70)])
    curves = read_curves(tmp_path)
    assert list(curves.losses.index) == [10, 20, 25, 30] and not curves.is_by_epoch
    assert curves.mean_average_precision['multi-label/mAP'].to_dict() == {10: 50.0, 20: 60.0, 30: 70.0}


def test_a_line_that_was_cut_off_and_a_loss_alone(tmp_path):
    path = tmp_path / '20260101_000000/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('{"loss": 3.0, "epoch": 1, "iter": 1, "step": 1}\n{"loss": 2.5, "epo')
    assert read_curves(tmp_path).losses['loss'].to_dict() == {1: 3.0}


def test_without_a_log(tmp_path):
    curves = read_curves(tmp_path)
    assert curves.losses.empty and curves.mean_average_precision.empty and find_start(tmp_path) is None


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match='There is no folder'):
        find_config(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match='has no configuration'):
        find_config(tmp_path)
    with pytest.raises(ValueError, match='best_.*--checkpoint'):
        find_best_checkpoint(tmp_path)
    (tmp_path / 'epoch_1.pth').touch()
    with pytest.raises(ValueError, match='Give one of epoch_1.pth with --checkpoint'):
        find_best_checkpoint(tmp_path)
    (tmp_path / 'best_mAP_epoch_1.pth').touch()
    assert find_best_checkpoint(tmp_path).name == 'best_mAP_epoch_1.pth'
