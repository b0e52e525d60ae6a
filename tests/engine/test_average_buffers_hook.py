from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import EpochBasedTrainLoop
from torch import nn
from torch.distributed import init_process_group

from kmcl_mm.engine import AverageBuffersHook
from kmcl_mm.engine.runner import leave_process_group


def runner_with_average():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    average = EMAHook()
    average.ema_model = ExponentialMovingAverage(model, update_buffers=True)
    return SimpleNamespace(model=model, hooks=[average]), average.ema_model


def _average(rank, folder):
    init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    torch.manual_seed(0)
    runner, average = runner_with_average()
    norms = runner.model[1], average.module[1]
    for norm, value in zip(norms, (1.0, 10.0)):
        norm.running_mean.fill_(value + rank)
        norm.running_var.copy_(torch.tensor([value, 3.0 * rank]))
        norm.num_batches_tracked.fill_(7)
    weights = [parameter.clone() for parameter in runner.model.parameters()]
    AverageBuffersHook().after_train_epoch(runner)
    for norm, value in zip(norms, (1.0, 10.0)):
        assert norm.running_mean.tolist() == [value + 0.5] * 2
        assert norm.running_var.tolist() == [value, 1.5]
        assert norm.num_batches_tracked == 7 and norm.num_batches_tracked.dtype == torch.int64
    assert average.steps == 0
    assert all(before.equal(after) for before, after in zip(weights, runner.model.parameters()))
    leave_process_group()


def test_buffers_of_two_processes(tmp_path):
    torch.multiprocessing.spawn(_average, args=(tmp_path,), nprocs=2)


@pytest.mark.parametrize('is_resumed', [False, True])
def test_saved_buffers_are_not_averaged_again(is_resumed, monkeypatch):
    """Of three equal numbers the mean may be another one."""
    calls = []
    monkeypatch.setattr('mmengine.hooks.sync_buffer_hook.all_reduce_params', lambda *args, **_: calls.append(args))
    runner, _ = runner_with_average()
    runner._resume, runner.train_loop = is_resumed, EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    hook = AverageBuffersHook()
    hook.distributed = True
    hook.before_train(runner)
    hook.before_val_epoch(runner)
    assert len(calls) == (0 if is_resumed else 1)


def test_one_process_is_left_alone():
    runner, _ = runner_with_average()
    runner.model[1].running_mean.fill_(3)
    AverageBuffersHook().after_train_epoch(runner)
    assert runner.model[1].running_mean.tolist() == [3, 3]
