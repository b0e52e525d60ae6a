"""Resumed trainings of a model of one convolution, with other settings than before."""

import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from tests.engine.test_runner import config, log, train

SGD = dict(optimizer=dict(type='SGD', lr=0.1))


def one_cycle(epochs=2, eta_max=0.1, **settings):
    return dict(type='OneCycleLR', eta_max=eta_max, end=epochs, by_epoch=True, convert_to_iter_based=True, **settings)


@HOOKS.register_module()
class Rates(Hook):
    """Keeps the rate and the momentum of each step."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append(runner.optim_wrapper.get_lr()['lr'][0])


def rates(runner):
    return next(hook for hook in runner.hooks if isinstance(hook, Rates)).seen


def rates_of_torch(epochs, eta_max=0.1):
    """The rates of a whole cycle of four steps an epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, eta_max, 4 * epochs, cycle_momentum=False)
    seen = []
    for _ in range(4 * epochs):
        seen.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step() if len(seen) < 4 * epochs else None
    return seen


def run(work_dir, **settings):
    settings = {'param_scheduler': one_cycle(), 'optim_wrapper': SGD, 'custom_hooks': [dict(type='Rates')], **settings}
    return train(work_dir, **settings)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Two epochs of a schedule of two."""
    folder = tmp_path_factory.mktemp('trained') / 'run'
    assert rates(run(folder)) == pytest.approx(rates_of_torch(2))
    return folder / 'epoch_2.pth'


def resume(trained, work_dir, **settings):
    return run(work_dir, resume=True, load_from=str(trained), **settings)


LOADER = config('', epochs=1).train_dataloader


@pytest.mark.parametrize(
    'settings, line',
    [
        (dict(epochs=4, param_scheduler=one_cycle(4)), 'OneCycleLR total_steps: 8 in the checkpoint, 16 in'),
        (dict(epochs=3), r'train_cfg.max_epochs \(the schedule ends after 2\): 2 in the checkpoint, 3 in'),
        (dict(param_scheduler=one_cycle(eta_max=0.2)), 'OneCycleLR eta_max: 0.1 in the checkpoint, 0.2 in'),
        (dict(param_scheduler=one_cycle(pct_start=0.5)), 'OneCycleLR schedule_phases: '),
        (dict(param_scheduler=dict(type='LinearLR')), 'param_scheduler: others in the checkpoint, LinearLR in'),
        (dict(train_dataloader=dict(LOADER, batch_size=2)), r'steps per epoch .*: 4 in the checkpoint, 2 in'),
        (dict(randomness=dict(seed=7)), 'randomness.seed: 0 in the checkpoint, 7 in'),
        (
            dict(optim_wrapper=dict(optimizer=dict(SGD['optimizer'], weight_decay=0.5))),
            'optimizer weight_decay of 1 of 1 groups: 0 in the checkpoint, 0.5 in',
        ),
        (
            dict(custom_hooks=[dict(type='Rates'), dict(type='EMAHook')]),
            r'averaged weights \(EMAHook\): none in the checkpoint, some in',
        ),
    ],
)
def test_other_settings_are_named_before_the_first_step(trained, tmp_path, settings, line):
    with pytest.raises(ValueError, match=f'(?s)epoch_2.pth was trained with other settings.*{line}.*resume_schedule='):
        resume(trained, tmp_path, **settings)
    assert not list(tmp_path.glob('*.pth'))


def test_the_schedule_of_the_configuration_goes_on_where_the_epochs_lead_to(trained, tmp_path):
    settings = dict(epochs=4, param_scheduler=one_cycle(4, eta_max=0.3), randomness=dict(seed=7))
    runner = resume(trained, tmp_path, resume_schedule='config', **settings)
    assert rates(runner) == pytest.approx(rates_of_torch(4, 0.3)[8:])
    assert runner.seed == 7
    assert 'those of the config count' in log(tmp_path)
    # A second time nothing differs.
    assert rates(resume(tmp_path / 'epoch_3.pth', tmp_path, **settings)) == pytest.approx(rates_of_torch(4, 0.3)[12:])


def test_another_batch_size_counts_epochs(trained, tmp_path):
    settings = dict(epochs=4, train_dataloader=dict(LOADER, batch_size=2), param_scheduler=one_cycle(4))
    runner = resume(trained, tmp_path, resume_schedule='config', **settings)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 8, cycle_momentum=False)
    expected = [schedule.get_last_lr()[0] for _ in range(8) if optimizer.step() or schedule.step() or True]
    assert rates(runner) == pytest.approx(expected[3:7])
    assert runner.iter == 8


def test_the_schedule_of_the_checkpoint_goes_on(trained, tmp_path):
    settings = dict(epochs=3, param_scheduler=one_cycle(3), randomness=dict(seed=7))
    runner = resume(trained, tmp_path, resume_schedule='checkpoint', **settings)
    assert rates(runner) == pytest.approx(rates_of_torch(2)[-1:] * 4)
    assert runner.seed == 0


def test_options_of_the_optimizer_are_those_that_count(trained, tmp_path):
    optimizer = dict(SGD['optimizer'], weight_decay=0.5)
    for choice, expected in (('checkpoint', 0), ('config', 0.5)):
        runner = resume(
            trained, tmp_path / choice, epochs=3, resume_schedule=choice, optim_wrapper=dict(optimizer=optimizer)
        )
        assert runner.optim_wrapper.param_groups[0]['weight_decay'] == expected


def test_without_the_hook_raw_weights_go_on(tmp_path):
    with_average = [dict(type='Rates'), dict(type='EMAHook', momentum=0.5)]
    raw = run(tmp_path, custom_hooks=with_average).model.convolution.weight
    saved = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    assert not raw.equal(saved['state_dict']['convolution.weight'])
    resumed = resume(tmp_path / 'epoch_2.pth', tmp_path / 'resumed', resume_schedule='checkpoint')
    assert resumed.model.convolution.weight.equal(raw)


def test_a_choice_that_does_not_exist(trained, tmp_path):
    with pytest.raises(ValueError, match='`resume_schedule` to be one of .*checkpoint.*config.*but got .*new'):
        resume(trained, tmp_path, resume_schedule='new')


def test_a_schedule_of_another_kind_cannot_go_on(trained, tmp_path):
    with pytest.raises(ValueError, match='another kind than `param_scheduler`, and cannot go on'):
        resume(trained, tmp_path, resume_schedule='checkpoint', param_scheduler=dict(type='LinearLR'))
    settings = dict(epochs=3, resume_schedule='config', param_scheduler=dict(type='MultiStepLR', milestones=[1]))
    assert rates(resume(trained, tmp_path, **settings)) == pytest.approx([0.01] * 4)


@pytest.mark.parametrize(
    'settings',
    [
        dict(optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1))),
        dict(
            optim_wrapper=dict(
                optimizer=dict(SGD['optimizer'], weight_decay=0.0), paramwise_cfg=dict(bias_decay_mult=0.0)
            )
        ),
    ],
)
def test_another_optimizer_cannot_go_on(trained, tmp_path, settings):
    with pytest.raises(ValueError, match='another optimizer or other groups of parameters.*load_from'):
        resume(trained, tmp_path, resume_schedule='config', **settings)


def test_the_progress_of_a_schedule_is_no_setting(tmp_path):
    """ReduceOnPlateau counts in its state, and cannot be stepped without metrics."""
    plateau = dict(param_scheduler=dict(type='ReduceOnPlateauLR', monitor='loss', patience=3, end=9))
    run(tmp_path, **plateau)
    content = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    content['param_schedulers'][0].update(best=0.5, num_bad_epochs=2, cooldown_counter=1)
    torch.save(content, tmp_path / 'later.pth')
    assert resume(tmp_path / 'later.pth', tmp_path, epochs=3, **plateau).param_schedulers[0].num_bad_epochs == 2
    plateau['param_scheduler']['patience'] = 4
    with pytest.raises(ValueError, match='ReduceOnPlateauLR patience: 3 in the checkpoint, 4 in'):
        resume(tmp_path / 'later.pth', tmp_path, epochs=3, **plateau)
    settings = dict(plateau, epochs=3, resume_schedule='config')
    assert resume(tmp_path / 'later.pth', tmp_path, **settings).param_schedulers[0].patience == 4


@pytest.mark.parametrize('left_out', ['optimizer', 'message_hub', 'meta', 'param_schedulers'])
def test_a_checkpoint_of_weights_cannot_be_resumed(trained, tmp_path, left_out):
    content = torch.load(trained, weights_only=False)
    del content[left_out]
    torch.save(content, tmp_path / 'weights.pth')
    missing = 'epoch, iter' if left_out == 'meta' else left_out
    with pytest.raises(ValueError, match=rf'weights.pth has weights, but no state.*\({missing} missing\).*load_from'):
        resume(tmp_path / 'weights.pth', tmp_path)
