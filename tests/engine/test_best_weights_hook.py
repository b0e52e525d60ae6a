"""The hook in a real training of a model of one weight, whose metric is how near the weight is to a goal."""

import errno
import os
import shutil
import socket
import subprocess

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.fileio import LocalBackend
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import DataLoader

from kmcl_mm.engine import BestWeightsHook, KMCLRunner

EMA = dict(type='EMAHook', momentum=0.5, evaluate_on_ema=True, evaluate_on_origin=True)


class OneWeight(BaseModel):
    """A weight, 0 at first, that each step moves by what the list says."""

    def __init__(self, moves):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.moves = iter(moves)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=-next(self.moves) * self.weight) if mode == 'loss' else [self.weight.detach().clone()]


class Nearness(BaseMetric):
    def __init__(self, goal):
        super().__init__()
        self.goal = goal

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        return dict(nearness=-abs(results[0].item() - self.goal), other=0.0)


def train(work_dir, moves, goal, ema=True, epochs=3, resume_from=None, **hook):
    loader = DataLoader([dict(inputs=torch.zeros(1))])
    hook = dict(dict(type='BestWeightsHook', save_best='nearness', rule='greater'), **hook)
    runner = KMCLRunner(
        model=OneWeight(moves),
        work_dir=str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        resume=resume_from is not None,
        load_from=resume_from or None,
        val_cfg=dict(),
        val_evaluator=Evaluator([Nearness(goal)]),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
        default_hooks=dict(checkpoint=hook),
        custom_hooks=[EMA] if ema else [],
        default_scope='mmpretrain',
        experiment_name='_'.join(work_dir.parts[1:]),
    )
    runner.train()
    return (
        [torch.load(path, weights_only=False) for path in work_dir.glob('best_*.pth')],
        torch.load(work_dir / f'epoch_{epochs}.pth', weights_only=False),
    )


@pytest.mark.parametrize('hook', [dict(), dict(save_best='auto')])
def test_raw_weights_are_kept_where_they_are_better(tmp_path, hook):
    """1, 2, 3; the averages 1, 1.5, 2.25 stay behind."""
    (best,), last = train(tmp_path, [1, 1, 1], goal=3, **hook)
    assert best['state_dict'] == dict(weight=3)
    assert best['meta']['weights'] == 'raw' and best['meta']['epoch'] == 3 and 'ema_state_dict' not in best
    assert last['ema_state_dict']['module.weight'] == 3 and last['state_dict']['weight'] == 2.25
    assert 'weights' not in last['meta'] and 'optimizer' in last


def test_averaged_weights_are_kept_where_they_are_better(tmp_path):
    """1, -1, 1; of the averages 1, 0, 0.5 the second is at the goal."""
    (best,), last = train(tmp_path, [1, -2, 2], goal=0)
    assert best['state_dict'] == dict(weight=0)
    assert best['meta']['weights'] == 'ema' and best['meta']['epoch'] == 2 and 'ema_state_dict' not in best
    assert last['ema_state_dict']['module.weight'] == 1 and last['state_dict']['weight'] == 0.5


def test_without_averaging_it_is_the_hosts_hook(tmp_path):
    (best,), _ = train(tmp_path, [1, 1, 1], goal=2, ema=False)
    assert best['state_dict'] == dict(weight=2) and 'weights' not in best['meta']


def test_without_a_best_checkpoint(tmp_path):
    best, last = train(tmp_path, [1, 1, 1], goal=2, save_best=None, rule=None)
    assert best == [] and 'ema_state_dict' in last
    # Also where a training goes on.
    last = tmp_path / 'epoch_3.pth'
    best, _ = train(tmp_path, [1, 1], goal=2, epochs=4, save_best=None, rule=None, resume_from=str(last))
    assert best == []


def test_a_single_metric_decides():
    with pytest.raises(ValueError, match=r"`save_best`.*one metric.*but got \['mAP', 'f1'\]"):
        BestWeightsHook(save_best=['mAP', 'f1'])


@pytest.mark.parametrize('name, expected', [('best_nearness_epoch_3', [[3]]), ('epoch_3', [[2.25], [3]])])
def test_each_set_of_weights_is_tested_once(tmp_path, monkeypatch, name, expected):
    train(tmp_path / 'train', [1, 1, 1], goal=3)
    calls = []
    monkeypatch.setattr(Nearness, 'compute_metrics', lambda self, results: calls.append(results) or dict(nearness=0.0))
    KMCLRunner(
        model=OneWeight([]),
        work_dir=str(tmp_path / 'test'),
        test_dataloader=DataLoader([dict(inputs=torch.zeros(1))]),
        test_cfg=dict(),
        test_evaluator=Evaluator([Nearness(3)]),
        load_from=str(tmp_path / f'train/{name}.pth'),
        default_hooks=dict(checkpoint=dict(type='BestWeightsHook')),
        custom_hooks=[EMA],
        default_scope='mmpretrain',
        experiment_name='_'.join(tmp_path.parts[1:]),
    ).test()
    assert calls == expected


def names(work_dir):
    return sorted(path.name for path in work_dir.iterdir() if path.is_file() and path.suffix != '.py')


def test_the_checkpoints_that_stay(tmp_path):
    train(tmp_path / 'one', [1, 1, 1], goal=3, interval=1, max_keep_ckpts=1)
    assert names(tmp_path / 'one') == ['best_nearness_epoch_3.pth', 'epoch_3.pth', 'last_checkpoint']
    train(tmp_path / 'two', [1, -2, 2], goal=0, interval=1, max_keep_ckpts=2)
    assert names(tmp_path / 'two') == ['best_nearness_epoch_2.pth', 'epoch_2.pth', 'epoch_3.pth', 'last_checkpoint']
    assert (tmp_path / 'two/last_checkpoint').read_text() == str(tmp_path / 'two/epoch_3.pth')


@pytest.mark.parametrize('full_at', ['epoch_2.pth', 'best_nearness_epoch_2.pth'])
def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch, full_at):
    """The disk is full in the middle of a checkpoint; the message names the file, and the older ones are whole."""
    put = LocalBackend.put

    def put_half(self, content, path):
        if not str(path).endswith(full_at):
            return put(self, content, path)
        put(self, content[: len(content) // 2], path)
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(LocalBackend, 'put', put_half)
    with pytest.raises(OSError, match=rf'{full_at} cannot be written: No space left.*Free some space.*--resume'):
        train(tmp_path / 'run', [1, 1, 1], goal=3, interval=1, max_keep_ckpts=1)
    last = 1 if full_at == 'epoch_2.pth' else 2
    assert names(tmp_path / 'run') == ['best_nearness_epoch_1.pth', f'epoch_{last}.pth', 'last_checkpoint']
    assert torch.load(tmp_path / f'run/epoch_{last}.pth', weights_only=False)['meta']['epoch'] == last


@pytest.mark.parametrize('keep', [1, 2])
def test_at_any_moment_there_is_a_whole_one(tmp_path, monkeypatch, keep):
    """Before each removal of a file, the one that takes its place is there and can be read."""
    remove, seen = LocalBackend.remove, []

    def look_and_remove(self, path):
        kind = 'best' if 'best' in str(path) else 'epoch'
        others = [other for other in (tmp_path / 'run').glob(f'{kind}_*.pth') if str(other) != str(path)]
        seen.append([torch.load(other, weights_only=False)['meta']['epoch'] for other in others])
        remove(self, path)

    monkeypatch.setattr(LocalBackend, 'remove', look_and_remove)
    train(tmp_path / 'run', [1, 1, 1], goal=3, interval=1, max_keep_ckpts=keep)
    assert len(seen) == (4 if keep == 1 else 3) and all(seen)


def test_what_a_killed_training_left_is_removed_and_nothing_of_a_living_process(tmp_path):
    ended = subprocess.Popen(['true'])
    ended.wait()
    own, other = (f'.unfinished_{process}@{socket.gethostname()}@epoch_1.pth' for process in (ended.pid, os.getppid()))
    (tmp_path / 'run').mkdir()
    for name in (own, other):
        (tmp_path / 'run' / name).write_text('half')
    train(tmp_path / 'run', [1, 1, 1], goal=3, interval=1, max_keep_ckpts=1)
    assert [name for name in names(tmp_path / 'run') if name.startswith('.')] == [other]


def listing(folder):
    """The files, without logs: MMEngine's loggers of one process still write into those of earlier trainings."""
    files = [path for path in folder.rglob('*') if path.is_file() and path.suffix not in ('.log', '.json')]
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.mark.parametrize('keeps_original', [True, False])
def test_a_copy_of_a_training_goes_on_in_its_own_folder(tmp_path, keeps_original):
    """The best checkpoint so far is the copied one, and the original is not touched."""
    train(tmp_path / 'original', [1, 1, 1], goal=9)
    shutil.copytree(tmp_path / 'original', tmp_path / 'copy')
    (tmp_path / 'original').rename(tmp_path / 'moved') if not keeps_original else None
    original = tmp_path / ('original' if keeps_original else 'moved')
    before = listing(original)
    best, _ = train(tmp_path / 'copy', [1, 1, 1, 1], goal=9, epochs=4, resume_from='')
    assert [content['meta']['epoch'] for content in best] == [4]
    assert listing(original) == before
    assert (tmp_path / 'copy/last_checkpoint').read_text() == str(tmp_path / 'copy/epoch_4.pth')


def test_the_folder_of_another_training_under_the_former_path_is_left_alone(tmp_path):
    train(tmp_path / 'run', [1, 1, 1], goal=9)
    train(tmp_path / 'other', [2, 2, 2], goal=9)
    (tmp_path / 'run').rename(tmp_path / 'moved')
    (tmp_path / 'other').rename(tmp_path / 'run')
    before = listing(tmp_path / 'run')
    _, last = train(tmp_path / 'moved', [1, 1, 1, 1], goal=9, epochs=4, resume_from='')
    # Three steps of 1 and one more: not of 2.
    assert listing(tmp_path / 'run') == before and last['ema_state_dict']['module.weight'] == 4


@pytest.mark.parametrize('hook', [dict(), dict(save_best='auto')])
def test_going_on_in_another_folder_keeps_a_best_checkpoint_there(tmp_path, hook):
    """Also where none is better than the best in the folder of before."""
    train(tmp_path / 'a', [9, -1, -1], goal=9, **hook)
    before = listing(tmp_path / 'a')
    resume_from = str(tmp_path / 'a/epoch_3.pth')
    best, _ = train(tmp_path / 'b', [-1, -1], goal=9, epochs=4, resume_from=resume_from, **hook)
    assert listing(tmp_path / 'a') == before and [content['meta']['epoch'] for content in best] == [4]


def test_a_new_metric_begins_anew(tmp_path):
    """The scores of two metrics are not compared; the former best checkpoint stays."""
    train(tmp_path, [1, 1, 1], goal=9)
    best, _ = train(tmp_path, [1, 1], goal=9, epochs=4, resume_from='', save_best='other')
    assert sorted(path.name for path in tmp_path.glob('best_*')) == [
        'best_nearness_epoch_3.pth',
        'best_other_epoch_4.pth',
    ]
