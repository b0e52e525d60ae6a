"""Trainings with augmentation and drop path, killed after an epoch and resumed, equal undisturbed ones bit for bit."""

from types import SimpleNamespace

import torch
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import RandomSampler

from kmcl_mm.engine import SeededEpochsHook
from tests.kill_training import differences, finish, results, short_config, start


def config(work_dir, workers, seeded=True, **settings):
    cfg = short_config(work_dir, workers, scenes=24, epochs=3, **settings)
    if not seeded:
        cfg.default_hooks.pop('seeded_epochs')
    return cfg


def killed_and_resumed(tmp_path, name, workers, kill_in, **settings):
    cfg, dying = (config(tmp_path / name, workers, **settings) for _ in range(2))
    dying.custom_hooks.append(dict(type='DieInIteration', iteration=kill_in))
    assert finish(start(dying)) == -9
    assert finish(start(cfg, resume=True)) == 0
    return results(tmp_path / name, 3)


def whole(tmp_path, name, workers, **settings):
    assert finish(start(config(tmp_path / name, workers, **settings))) == 0
    return results(tmp_path / name, 3)


def test_another_sampler_is_left_alone(monkeypatch):
    """It may take an image more than once in an epoch, which would be augmented alike each time."""
    said = []
    monkeypatch.setattr('kmcl_mm.engine.seeded_epochs_hook.print_log', lambda message, **_: said.append(message))
    loader = SimpleNamespace(dataset=SimpleNamespace(), sampler=RandomSampler(range(3), replacement=True))
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    runner = SimpleNamespace(train_loop=loop, train_dataloader=loader, epoch=0)
    hook = SeededEpochsHook()
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    hook.before_train_iter(runner, 0)
    assert vars(loader.dataset) == {} and 'sampler' in said[0]


def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path):
    """Three iterations an epoch; killed in the second and in the third epoch, on none and on two workers."""
    expected = whole(tmp_path, 'whole', 0)
    compared = [name for name in expected if 'ema_state_dict' in name or 'optimizer' in name]
    assert len(compared) > 100
    assert differences(expected, whole(tmp_path, 'workers', 2)) == []
    assert differences(expected, killed_and_resumed(tmp_path, 'killed_0', 0, kill_in=4)) == []
    assert differences(expected, killed_and_resumed(tmp_path, 'killed_2', 2, kill_in=7)) == []


def test_without_the_hook_it_ends_differently(tmp_path):
    """What the comparison is worth."""
    expected = whole(tmp_path, 'whole', 0, seeded=False)
    assert differences(expected, killed_and_resumed(tmp_path, 'killed', 0, kill_in=4, seeded=False))


def test_a_seed_that_was_drawn_goes_on(tmp_path):
    """Without `randomness.seed` the host draws one; the order of the images goes on with it after resuming."""
    settings = {'randomness.seed': None}
    resumed = killed_and_resumed(tmp_path, 'drawn', 0, kill_in=4, **settings)
    seed = torch.load(tmp_path / 'drawn/epoch_3.pth', weights_only=False)['meta']['seed']
    assert differences(whole(tmp_path, 'given', 0, **{'randomness.seed': seed}), resumed) == []
