"""Resuming with the settings of the checkpoint or with those of the configuration."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from mmengine.hooks import EMAHook
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..checks import check_choice
from ..errors import listed, shorten
from .seeded_epochs_hook import SAMPLER_SEED_KEY

# What goes on when a training is resumed.
CHOICES = ('checkpoint', 'config')

# What of a schedule's state changes from step to step (the last three: of ReduceOnPlateau), or follows from the rates
# of the optimizer.
_PROGRESS = (
    'last_step',
    '_global_step',
    '_last_value',
    'base_values',
    'verbose',
    'best',
    'num_bad_epochs',
    'cooldown_counter',
)
# Options that tell one kind of optimizer from another.
_KINDS = ('betas', 'momentum')
_KIND_OF_SCHEDULE = 'param_scheduler'


def prepare_to_resume(runner: Runner, checkpoint: dict[str, Any], path: str) -> None:
    """Compare the settings that a checkpoint brings with those of the configuration, and let the chosen ones count.

    MMEngine takes the schedule with its number of steps, the options of the optimizer and the seed from a checkpoint,
    without a word. Here a training stops where the configuration has others, unless its ``resume_schedule`` says which
    count: 'checkpoint', or 'config', which goes on at the place in the configuration's schedule that the epochs so far
    (in a training by iterations, the iterations) lead to.

    Args:
        runner: The runner, with its optimizer and schedules as the configuration has them.
        checkpoint: The checkpoint that is about to be resumed from, changed in place.
        path: Its path, for messages.

    Raises:
        ValueError: The checkpoint holds no state of a training, or its settings are others.
    """
    choice = runner.cfg.get('resume_schedule')
    if choice is not None:
        check_choice('resume_schedule', choice, CHOICES)
    _check_state(runner, checkpoint, path)
    differences = list(_differences(runner, checkpoint))
    if not differences:
        return
    lines = [f'{name}: {old} in the checkpoint, {new} in the configuration' for name, old, new in differences]
    found = '\n    '.join([f'{path} was trained with other settings than the configuration has:', *lines])
    if choice is None:
        raise ValueError(
            f'{found}\nSay which count: --cfg-options resume_schedule=checkpoint, or resume_schedule=config, which '
            'goes on in the schedule of the configuration where the epochs so far lead to.'
        )
    runner.logger.warning(f'{found}\nresume_schedule: those of the {choice} count.')
    if choice == 'config':
        _use_configuration(runner, checkpoint)
    elif any(name == _KIND_OF_SCHEDULE for name, *_ in differences):
        raise ValueError(
            f'The schedule in {path} is of another kind than `param_scheduler`, and cannot go on. Use '
            'resume_schedule=config, or the `param_scheduler` that it was trained with.'
        )
    if 'ema_state_dict' in checkpoint and not _averages(runner):
        raw = checkpoint.pop('ema_state_dict')
        checkpoint['state_dict'] = {name: raw[f'module.{name}'] for name in checkpoint['state_dict']}


def _check_state(runner: Runner, checkpoint: dict[str, Any], path: str) -> None:
    """Refuse a checkpoint without a state to go on from, or with that of another optimizer."""
    meta = checkpoint.get('meta') or {}
    needed = ['message_hub', 'optimizer', *(['param_schedulers'] if runner.param_schedulers else [])]
    missing = [name for name in ('epoch', 'iter') if name not in meta]
    missing += [name for name in needed if name not in checkpoint]
    if missing:
        raise ValueError(
            f'{path} has weights, but no state of a training to resume ({listed(missing)} missing). Resume from an '
            'epoch_*.pth, or start a new training from these weights with load_from.'
        )
    old, new = (part.get('param_groups') for part in (checkpoint['optimizer'], runner.optim_wrapper.state_dict()))
    if old is None or new is None:
        # Several optimizers.
        return
    kinds = [{name for name in _KINDS if name in groups[0]} for groups in (old, new)]
    if len(old) != len(new) or kinds[0] != kinds[1]:
        raise ValueError(
            f'{path} is of a training with another optimizer or other groups of parameters ({len(old)} in the '
            f'checkpoint, {len(new)} in the configuration). Resume with its optim_wrapper.optimizer and paramwise_cfg, '
            'or start a new training from these weights with load_from.'
        )


def _differences(runner: Runner, checkpoint: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Name, value in the checkpoint and value in the configuration of each setting that differs."""
    info, meta = checkpoint['message_hub'].get('runtime_info', {}), checkpoint['meta']
    if isinstance(runner.train_loop, EpochBasedTrainLoop) and info.get('max_epochs'):
        steps = info.get('max_iters', 0) // info['max_epochs'], len(runner.train_dataloader)
        if steps[0] != steps[1]:
            yield 'steps per epoch (images, batch size, processes)', *map(str, steps)
        ends = [schedule.end if schedule.by_epoch else schedule.end / steps[1] for schedule in _schedules(runner)]
        if info['max_epochs'] < runner.max_epochs and ends and max(ends) < runner.max_epochs:
            yield (
                f'train_cfg.max_epochs (the schedule ends after {max(ends):g})',
                *map(str, (info['max_epochs'], runner.max_epochs)),
            )
    seeds = meta.get('seed'), runner._randomness_cfg.get('seed')
    if None not in seeds and seeds[0] != seeds[1]:
        yield 'randomness.seed', *map(str, seeds)
    if ('ema_state_dict' in checkpoint) != _averages(runner):
        yield 'averaged weights (EMAHook)', *(('some', 'none') if 'ema_state_dict' in checkpoint else ('none', 'some'))
    of_schedules = list(_differences_of_schedules(_schedules(runner), checkpoint.get('param_schedulers') or []))
    yield from of_schedules
    groups = checkpoint['optimizer'].get('param_groups') or []
    yield from _differences_of_groups(runner, groups, with_rates=not of_schedules)


def _differences_of_schedules(schedules: list, states: Any) -> Iterator[tuple[str, ...]]:
    if not isinstance(states, list):
        return
    own = [schedule.state_dict() for schedule in schedules]
    if [sorted(state) for state in own] != [sorted(state) for state in states]:
        kinds = [type(schedule).__name__ for schedule in schedules]
        yield _KIND_OF_SCHEDULE, 'others', listed(kinds) or 'none'
        return
    for schedule, new, old in zip(schedules, own, states):
        settings = sorted(new.keys() - set(_PROGRESS))
        values = {name: [getattr(state[name], '__name__', state[name]) for state in (old, new)] for name in settings}
        other = [name for name, (before, now) in values.items() if before != now]
        # What is private follows from the others, or else has to do.
        for name in [name for name in other if not name.startswith('_')] or other:
            yield f'{type(schedule).__name__} {name.strip("_")}', *map(_text, values[name])


def _differences_of_groups(runner: Runner, states: list[dict[str, Any]], with_rates: bool) -> Iterator[tuple[str, ...]]:
    groups = runner.optim_wrapper.state_dict().get('param_groups') or []
    scheduled = {schedule.param_name for schedule in _schedules(runner)}
    if 'momentum' in scheduled:
        scheduled.add('betas')
    if not with_rates:
        # What the schedules that differ have put there.
        scheduled |= {f'{end}_{name}' for end in ('initial', 'max', 'min') for name in scheduled}
    for name in sorted({name for group in groups for name in group} - {'params', *scheduled}):
        pairs = [(old[name], new[name]) for old, new in zip(states, groups) if name in old and name in new]
        other = [pair for pair in pairs if pair[0] != pair[1]]
        if other:
            yield f'optimizer {name} of {len(other)} of {len(groups)} groups', *map(_text, other[0])


def _use_configuration(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Put the configuration's settings into a checkpoint, with the schedules where they would be by now."""
    meta, info = checkpoint['meta'], checkpoint['message_hub'].get('runtime_info', {})
    if runner._randomness_cfg.get('seed') is not None and meta.pop('seed', None) != runner.seed:
        info.pop(SAMPLER_SEED_KEY, None)
    # ReduceOnPlateau steps by the metrics of the epochs so far, which are not known any more.
    schedules = [schedule for schedule in _schedules(runner) if not getattr(schedule, 'need_step_args', False)]
    by_epoch = [schedule for schedule in schedules if schedule.by_epoch]
    by_step = [schedule for schedule in schedules if not schedule.by_epoch]
    with warnings.catch_warnings():
        # That no step of the optimizer lies between two of a schedule.
        warnings.simplefilter('ignore')
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            meta['iter'] = meta['epoch'] * len(runner.train_dataloader)
            for _ in range(meta['epoch']):
                _step(by_step, len(runner.train_dataloader))
                _step(by_epoch, 1)
        else:
            _step(by_step, meta['iter'])
    if _schedules(runner):
        checkpoint['param_schedulers'] = [schedule.state_dict() for schedule in _schedules(runner)]
    own = runner.optim_wrapper.state_dict().get('param_groups')
    if own is not None:
        state = checkpoint['optimizer']
        state['param_groups'] = [dict(new, params=old['params']) for old, new in zip(state['param_groups'], own)]


def _step(schedules: Iterable[Any], times: int) -> None:
    for _ in range(times):
        for schedule in schedules:
            schedule.step()


def _schedules(runner: Runner) -> list:
    """The schedules of a training with one optimizer."""
    return runner.param_schedulers if isinstance(runner.param_schedulers, list) else []


def _averages(runner: Runner) -> bool:
    return any(isinstance(hook, EMAHook) for hook in runner.hooks)


def _text(value: Any) -> str:
    return f'{value:g}' if isinstance(value, float) else shorten(str(value))
