"""The hook in real trainings of a small network, one batch of which gives a loss that is not finite."""

import functools
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapperDict
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch import distributed, nn
from torch.utils.data import DataLoader

from kmcl_mm.engine import FiniteLossHook, finite_loss_hook
from kmcl_mm.engine.runner import leave_process_group

GOOD = [0.5, 2.0, -1.0]


class Network(BaseModel):
    """A norm layer, whose buffers see each batch, and a weight."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.linear = nn.BatchNorm1d(2), nn.Linear(2, 1)
        self.seen = []

    def forward(self, inputs, data_samples=None, mode='loss'):
        output = self.linear(self.norm(inputs)).float()
        self.seen.append({name: part.detach().clone() for name, part in self.named_parameters()})
        return dict(loss_asl=output.square().sum(), loss_contrastive=(output * inputs[:, :1].exp()).sum())


def batch(value):
    """Two images; the second has a feature of this value."""
    samples = [DataSample(metainfo=dict(img_path=f'images/{name}_{value}.jpg')) for name in ('first', 'second')]
    return dict(inputs=torch.tensor([[0.1, 0.2], [value, -0.3]]), data_samples=samples)


def train(work_dir, values, network=None, optim_wrapper=None, **settings):
    """One epoch over batches of these values, with averaged weights and a checkpoint after each."""
    runner = Runner(
        network or Network(),
        str(work_dir),
        train_dataloader=DataLoader([batch(value) for value in values], collate_fn=lambda batches: batches[0]),
        train_cfg=dict(by_epoch=False, max_iters=len(values)),
        optim_wrapper=optim_wrapper or dict(optimizer=dict(type='Adam', lr=0.1)),
        default_hooks=dict(
            finite_loss=dict(type='FiniteLossHook', **settings),
            checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False),
        ),
        custom_hooks=[dict(type='EMAHook', momentum=0.5, update_buffers=True)],
        default_scope='mmpretrain',
        experiment_name=work_dir.name,
        log_level='ERROR',
    )
    runner.train()
    return runner


@pytest.mark.parametrize('value', [math.inf, math.nan, 1e3])
def test_stop_names_parts_iteration_and_images(tmp_path, value):
    """A feature of 1e3 overflows in the contrast alone: its exponential is infinite, its norm is not."""
    with pytest.raises(FloatingPointError) as error:
        train(tmp_path, [*GOOD, value])
    message = str(error.value)
    assert 'Iteration 4: ' in message and 'loss_contrastive is ' in message
    assert ('loss_asl' in message) == (value != 1e3)
    assert f'images/first_{value}.jpg\n' in message and f'images/second_{value}.jpg\n' in message
    assert '--cfg-options default_hooks.finite_loss.action=skip' in message


def test_stop_leaves_the_last_good_checkpoint(tmp_path):
    with pytest.raises(FloatingPointError):
        train(tmp_path, [*GOOD, math.nan])
    assert {path.name for path in tmp_path.glob('*.pth')} == {'iter_1.pth', 'iter_2.pth', 'iter_3.pth'}
    checkpoint = torch.load(tmp_path / 'iter_3.pth', weights_only=False)
    for part in ('state_dict', 'ema_state_dict'):
        assert all(tensor.isfinite().all() for tensor in checkpoint[part].values())


@pytest.mark.parametrize('value', [math.inf, math.nan, 1e3])
def test_skip_trains_as_if_the_batch_were_not_there(tmp_path, value):
    """Weights, buffers and the optimiser's state."""
    with_it, without = tmp_path / 'with', tmp_path / 'without'
    skipped = train(with_it, [GOOD[0], value, *GOOD[1:]], action='skip')
    plain = train(without, GOOD, action='skip')
    torch.testing.assert_close(skipped.model.state_dict(), plain.model.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(
        skipped.optim_wrapper.optimizer.state_dict(), plain.optim_wrapper.optimizer.state_dict(), rtol=0, atol=0
    )
    averaged = torch.load(with_it / 'iter_4.pth', weights_only=False)
    assert all(tensor.isfinite().all() for tensor in averaged['state_dict'].values())
    assert all(tensor.isfinite().all() for tensor in averaged['ema_state_dict'].values())


def test_skip_says_what_it_skips(tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr('kmcl_mm.engine.finite_loss_hook.print_log', lambda text, **_: messages.append(text))
    train(tmp_path, [GOOD[0], 1e3, GOOD[1]], action='skip')
    (message,) = messages
    assert message.startswith('Iteration 2: loss_contrastive is ') and 'images/second_1000.0.jpg' in message


@pytest.mark.parametrize('values, stops', [([math.nan] * 2 + GOOD, False), ([math.nan] * 3, True)])
def test_too_many_skips_stop(tmp_path, values, stops):
    if stops:
        with pytest.raises(FloatingPointError, match='2 batches before it were skipped'):
            train(tmp_path, values, action='skip', max_skips=2)
    else:
        train(tmp_path, values * 2, action='skip', max_skips=2)


@pytest.mark.parametrize('position', [0, 1, 2])
def test_accumulated_gradients_do_without_a_bad_batch(tmp_path, position):
    """The next batch takes its place in the step."""
    accumulate = dict(optimizer=dict(type='Adam', lr=0.1), accumulative_counts=2)
    values = [*GOOD, GOOD[0]]
    skipped = train(
        tmp_path / 'with',
        [*values[:position], math.nan, *values[position:]],
        optim_wrapper=dict(accumulate),
        action='skip',
    )
    plain = train(tmp_path / 'without', values, optim_wrapper=dict(accumulate), action='skip')
    torch.testing.assert_close(skipped.model.state_dict(), plain.model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize('counts', [2, 3])
@pytest.mark.parametrize('number', [3, 4, 5])
@pytest.mark.parametrize('position', range(6))
def test_no_accumulated_gradient_is_left_over(tmp_path, counts, number, position):
    """The last step has as many batches as there are, also where the last batch is the bad one."""
    accumulate = dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=counts)
    values = [0.5, -0.25, 1.0, 0.75, -0.5][:number]
    if position > number:
        return
    bad = [*values[:position], math.nan, *values[position:]]
    skipped = train(tmp_path / 'with', bad, optim_wrapper=dict(accumulate), action='skip')
    plain = train(tmp_path / 'without', values, optim_wrapper=dict(accumulate), action='skip')
    torch.testing.assert_close(skipped.model.state_dict(), plain.model.state_dict(), rtol=1e-6, atol=1e-7)
    assert all(weight.grad is None for weight in skipped.model.parameters())


def test_clipped_gradients_of_a_bad_batch_move_nothing(tmp_path):
    """Clipping by value makes an infinite gradient finite: looking at the gradients would be too late."""
    clip = dict(optimizer=dict(type='SGD', lr=0.1), clip_grad=dict(type='value', clip_value=1.0))
    skipped = train(tmp_path / 'with', [GOOD[0], 1e3], optim_wrapper=dict(clip), action='skip')
    plain = train(tmp_path / 'without', GOOD[:1], optim_wrapper=dict(clip), action='skip')
    torch.testing.assert_close(skipped.model.state_dict(), plain.model.state_dict(), rtol=0, atol=0)


def test_a_number_that_is_no_loss_may_be_anything(tmp_path):
    class WithAccuracy(Network):
        def forward(self, *args, **kwargs):
            return dict(super().forward(*args, **kwargs), accuracy=torch.tensor(math.nan))

    for action in ('stop', 'skip'):
        assert train(tmp_path / action, GOOD, WithAccuracy(), action=action).iter == len(GOOD)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    """The losses were finite so far: it is the step that broke the weights."""
    broken = dict(optimizer=dict(type='SGD', lr=math.inf))
    with pytest.raises(FloatingPointError, match=r'finite weights.*The checkpoint is not written.*eta_max'):
        train(tmp_path, GOOD, optim_wrapper=broken)
    assert not list(tmp_path.glob('*.pth'))


def test_a_state_dict_may_hold_more_than_tensors():
    """A module's extra state may be anything."""
    state_dict = dict(weight=torch.ones(1), _extra_state=dict(version=2))
    FiniteLossHook().before_save_checkpoint(None, dict(state_dict=state_dict))
    state_dict['weight'] = torch.tensor([math.inf])
    with pytest.raises(FloatingPointError, match='weight'):
        FiniteLossHook().before_save_checkpoint(None, dict(state_dict=state_dict))


def test_the_losses_are_waited_for_once_an_iteration(monkeypatch):
    """Each `bool` or `item` of a tensor is a wait where it is on a GPU."""
    waits = []
    for name in ('__bool__', 'item', '__float__', 'tolist'):
        wait = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda self, wait=wait: waits.append(1) or wait(self))
    losses = {f'loss_{part}': torch.tensor(1.0) for part in 'abcd'}
    FiniteLossHook().after_train_iter(SimpleNamespace(iter=0), 0, outputs=losses)
    assert len(waits) == 1


def test_the_model_and_the_optimiser_are_left_as_they_came(tmp_path):
    runner = train(tmp_path, GOOD, action='skip')
    assert 'parse_losses' not in vars(runner.model) and 'update_params' not in vars(runner.optim_wrapper)


def test_the_scaler_skips_an_overflow_and_the_average_does_not_see_it(tmp_path, monkeypatch):
    """Mixed precision on a CPU: scaled by 3e38 the first gradients overflow, until the scale has come down."""
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', functools.partial(torch.amp.GradScaler, 'cpu'))
    network = Network()
    before = {name: part.detach().clone() for name, part in network.named_parameters()}
    optim_wrapper = dict(
        type='AmpOptimWrapper',
        dtype='bfloat16',
        loss_scale=dict(init_scale=3e38, backoff_factor=1e-30),
        optimizer=dict(type='Adam', lr=0.1),
    )
    train(tmp_path, GOOD * 2, network, optim_wrapper)
    for name, weight in before.items():
        torch.testing.assert_close(network.seen[1][name], weight, rtol=0, atol=0)
    checkpoints = [torch.load(tmp_path / f'iter_{step}.pth', weights_only=False) for step in (1, 6)]
    # The host stores the averaged weights as the state_dict.
    for name, weight in before.items():
        torch.testing.assert_close(checkpoints[0]['state_dict'][name], weight, rtol=0, atol=0)
        assert not checkpoints[1]['state_dict'][name].equal(weight)
    assert all(tensor.isfinite().all() for checkpoint in checkpoints for tensor in checkpoint['state_dict'].values())


def _train_on_rank(rank, folder):
    distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    messages = []
    finite_loss_hook.print_log = lambda text, **_: messages.append(text)
    values = [GOOD[0], math.nan if rank else GOOD[1], GOOD[2]]
    for action in ('skip', 'stop'):
        network = MMDistributedDataParallel(Network(), broadcast_buffers=False)
        try:
            train(folder / f'{action}{rank}', values, network, action=action)
        except FloatingPointError as error:
            messages.append(str(error))
        if action == 'skip':
            torch.save(network.module.state_dict(), folder / f'{rank}.pt')
    torch.save(messages, folder / f'messages{rank}.pt')
    leave_process_group()


def test_all_processes_skip_or_stop_together(tmp_path):
    torch.multiprocessing.spawn(_train_on_rank, args=(tmp_path,), nprocs=2)
    first, second = (torch.load(tmp_path / f'{rank}.pt') for rank in range(2))
    for name in ('linear.weight', 'linear.bias', 'norm.weight'):
        assert first[name].isfinite().all()
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
    assert first['norm.num_batches_tracked'] == second['norm.num_batches_tracked'] == 2
    for rank, what in enumerate(('a loss of another process is not finite', 'loss_contrastive is nan')):
        skipped, stopped = torch.load(tmp_path / f'messages{rank}.pt')
        assert what in skipped and 'This batch is skipped' in skipped
        assert what in stopped and 'The training stops here' in stopped
        assert {path.name for path in (tmp_path / f'stop{rank}').glob('*.pth')} <= {'iter_1.pth'}


@pytest.mark.parametrize('settings, name', [(dict(action='ignore'), 'action'), (dict(max_skips=0), 'max_skips')])
def test_wrong_settings(settings, name):
    with pytest.raises(ValueError, match=f'`{name}`.*but got'):
        FiniteLossHook(**settings)


def test_several_optimisers_cannot_be_skipped():
    runner = SimpleNamespace(optim_wrapper=OptimWrapperDict())
    with pytest.raises(ValueError, match='one optimiser.*OptimWrapperDict.*action="stop"'):
        FiniteLossHook('skip').before_train(runner)
