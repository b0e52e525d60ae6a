import copy

import pytest
import torch
from mmengine.optim import LinearLR, OneCycleLR, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from kmcl_mm.engine import OneCycleByGroupLR

SCHEDULE = dict(eta_max=0.5, total_steps=10, pct_start=0.2, by_epoch=False)


def optimizer(paramwise_cfg=None):
    torch.manual_seed(0)
    model = nn.ModuleDict(dict(backbone=nn.Linear(2, 2), head=nn.Linear(2, 1)))
    settings = dict(optimizer=dict(type='SGD', lr=0.1))
    if paramwise_cfg:
        settings['paramwise_cfg'] = paramwise_cfg
    return model, build_optim_wrapper(model, settings)


def rates(wrapper, schedule, index=0, steps=10):
    seen = []
    for _ in range(steps):
        seen.append(wrapper.param_groups[index]['lr'])
        wrapper.step()
        schedule.step()
    return seen


def test_without_multipliers_the_rates_are_mmengines_bit_for_bit():
    ours, theirs = optimizer()[1], optimizer()[1]
    assert rates(ours, OneCycleByGroupLR(ours, **SCHEDULE)) == rates(theirs, OneCycleLR(theirs, **SCHEDULE))


def test_the_state_is_that_of_mmengines():
    """Checkpoints of one resume as the other."""
    ours, theirs = optimizer()[1], optimizer()[1]
    states = [OneCycleByGroupLR(ours, **SCHEDULE).state_dict(), OneCycleLR(theirs, **SCHEDULE).state_dict()]
    assert states[0].keys() == states[1].keys()
    assert all(states[0][name] == states[1][name] for name in states[0] if name != 'anneal_func')
    assert ours.state_dict()['param_groups'] == theirs.state_dict()['param_groups']


@pytest.mark.parametrize('multiplier', [0.1, 0.0, 3.0])
def test_a_multiplier_scales_the_whole_cycle(multiplier):
    _, wrapper = optimizer(dict(custom_keys=dict(backbone=dict(lr_mult=multiplier))))
    schedule = PARAM_SCHEDULERS.build(dict(SCHEDULE, type='OneCycleByGroupLR', optimizer=wrapper))
    _, plain = optimizer()
    expected = rates(plain, OneCycleLR(plain, **SCHEDULE))
    both = [(wrapper.param_groups[0]['lr'], wrapper.param_groups[-1]['lr'])]
    for _ in range(9):
        wrapper.step(), schedule.step()
        both.append((wrapper.param_groups[0]['lr'], wrapper.param_groups[-1]['lr']))
    assert [rate for rate, _ in both] == pytest.approx([multiplier * rate for rate in expected])
    assert [rate for _, rate in both] == expected


def test_weights_of_rate_zero_do_not_move():
    model, wrapper = optimizer(dict(custom_keys=dict(backbone=dict(lr_mult=0.0))))
    schedule = OneCycleByGroupLR(wrapper, **SCHEDULE)
    before = copy.deepcopy(model.state_dict())
    for _ in range(3):
        wrapper.update_params(model['head'](model['backbone'](torch.ones(1, 2))).sum())
        schedule.step()
    assert model['backbone'].weight.equal(before['backbone.weight'])
    assert not model['head'].weight.equal(before['head.weight'])


def test_a_warm_up_before_the_cycle_does_not_lower_it():
    """It has changed the rate by the time that the cycle is built."""
    seen = []
    for kind in (OneCycleByGroupLR, OneCycleLR):
        _, wrapper = optimizer()
        warm_up = LinearLR(wrapper, start_factor=0.1, end=5, by_epoch=False)
        cycle = kind(wrapper, **SCHEDULE, begin=5, end=15)
        seen.append([])
        for _ in range(15):
            seen[-1].append(wrapper.param_groups[0]['lr'])
            wrapper.step(), warm_up.step(), cycle.step()
    assert seen[0] == seen[1] and max(seen[0]) == pytest.approx(0.5, rel=0.05)


def test_maxima_of_groups_that_are_given_stay():
    _, wrapper = optimizer(dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
    maxima = [0.1 * (index + 1) for index in range(len(wrapper.param_groups))]
    OneCycleByGroupLR(wrapper, **dict(SCHEDULE, eta_max=maxima))
    assert [group['max_lr'] for group in wrapper.param_groups] == maxima
