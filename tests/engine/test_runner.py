"""Whole trainings of a model of one convolution, in one process and in two."""

import os
import socket
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, MODELS, RUNNERS
from torch import distributed, nn
from torch.utils.data import Dataset

from kmcl_mm.engine import KMCLRunner
from kmcl_mm.engine.checkpoint import has_damage
from kmcl_mm.engine.runner import leave_process_group
from tests.attacks import ATTACKS


@MODELS.register_module()
class OneConvolution(BaseModel):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = nn.Conv2d(2, 3, 3)
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode='tensor'):
        features = self.convolution(inputs)
        return dict(loss=features.square().mean()) if mode == 'loss' else list(features)


@DATASETS.register_module()
class FourImages(Dataset):
    def __init__(self, names=('a', 'b')):
        self.metainfo = dict(classes=names)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(index)))


def config(work_dir, epochs=2, **settings):
    cfg = dict(
        runner_type='KMCLRunner',
        model=dict(type='OneConvolution'),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=1,
            num_workers=0,
            persistent_workers=True,
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='FourImages'),
            sampler=dict(type='DefaultSampler', shuffle=True),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
        randomness=dict(seed=0),
        default_scope='mmpretrain',
        # MMEngine keeps logs of the process by this name.
        experiment_name='_'.join(Path(work_dir).parts[1:]),
    )
    return Config(dict(cfg, **settings))


def train(work_dir, **settings):
    runner = RUNNERS.build(config(work_dir, **settings))
    runner.train()
    return runner


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']['convolution.weight']


def log(work_dir):
    return ''.join(path.read_text() for path in Path(work_dir).glob('*/*.log'))


@pytest.fixture(autouse=True)
def _without_a_gpu(monkeypatch):
    """Also for the processes that a test starts."""
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    if torch.cuda.is_available():
        for name in ('kmcl_mm.engine.runner', 'mmengine.runner.runner'):
            monkeypatch.setattr(f'{name}.get_device', lambda: 'cpu')


@pytest.fixture(scope='module')
def three_epochs(tmp_path_factory):
    """The weights of an undisturbed training."""
    work_dir = tmp_path_factory.mktemp('undisturbed')
    train(work_dir, epochs=3)
    return weights(work_dir / 'epoch_3.pth')


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def test_resuming_goes_on_from_the_newest_whole_checkpoint(tmp_path, three_epochs):
    """It names both, and ends as if nothing had happened."""
    train(tmp_path, epochs=2)
    cut(tmp_path / 'epoch_2.pth')
    runner = train(tmp_path, epochs=3, resume=True)
    assert weights(tmp_path / 'epoch_3.pth').equal(three_epochs) and runner.iter == 12
    message = f'The checkpoint {tmp_path / "epoch_2.pth"} is corrupt. Resuming from {tmp_path / "epoch_1.pth"} instead.'
    (line,) = (line for line in log(tmp_path).splitlines() if message in line)
    assert 'ERROR' in line


def test_the_checksums_are_read_once(tmp_path):
    train(tmp_path, epochs=1)
    with (
        mock.patch('kmcl_mm.engine.runner.has_damage', wraps=has_damage) as to_load,
        mock.patch('kmcl_mm.engine.whole_checkpoints.has_damage', wraps=has_damage) as to_resume,
    ):
        train(tmp_path, epochs=2, resume=True)
        assert (to_load.call_count, to_resume.call_count) == (0, 1)
        train(tmp_path, epochs=2, load_from=str(tmp_path / 'epoch_1.pth'))
        assert (to_load.call_count, to_resume.call_count) == (1, 1)


def test_resuming_where_none_is_whole(tmp_path):
    train(tmp_path, epochs=1)
    cut(tmp_path / 'epoch_1.pth')
    with pytest.raises(ValueError, match='No checkpoint in .* can be read: .*epoch_1.pth.*from the beginning'):
        train(tmp_path, resume=True)


@pytest.mark.parametrize('content', [None, b'/moved/away/epoch_3.pth', b'\xff\x00'])
def test_resuming_a_training_that_has_not_saved_begins_it(tmp_path, content):
    if content is not None:
        (tmp_path / 'last_checkpoint').write_bytes(content)
    assert train(tmp_path, epochs=1, resume=True).epoch == 1


@pytest.mark.parametrize(
    'settings',
    [dict(_use_new_zipfile_serialization=False), dict(without_checksums=True)],
    ids=['older format', 'without checksums'],
)
def test_resuming_from_valid_files_of_other_kinds(tmp_path, three_epochs, settings):
    train(tmp_path, epochs=1)
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    torch.serialization.set_crc32_options(not settings.pop('without_checksums', False))
    try:
        torch.save(saved, tmp_path / 'epoch_1.pth', **settings)
    finally:
        torch.serialization.set_crc32_options(True)
    train(tmp_path, epochs=3, resume=True)
    assert weights(tmp_path / 'epoch_3.pth').equal(three_epochs) and 'corrupt' not in log(tmp_path)


@pytest.mark.parametrize('door', ['resume', 'automatic resume', 'load_from'])
def test_a_checkpoint_that_runs_code_is_refused(tmp_path, monkeypatch, door):
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict={}, meta={}, extra=ATTACKS[1]), bad)
    settings = dict(resume=door != 'load_from', load_from=None if door == 'automatic resume' else str(bad))
    with pytest.raises(ValueError, match=f'{bad} was not loaded.*could run code'):
        train(tmp_path, **settings)
    assert not (tmp_path / 'pwned').exists()


@pytest.mark.parametrize('resume', [False, True])
def test_a_damaged_checkpoint_that_was_named_is_refused(tmp_path, resume, monkeypatch):
    train(tmp_path, epochs=1)
    path = tmp_path / 'epoch_1.pth'
    content = bytearray(path.read_bytes())
    content[content.find(weights(path).numpy().tobytes()) + 5] ^= 1
    path.write_bytes(content)
    monkeypatch.setenv('HOME', str(tmp_path))
    for name in (str(path), '~/epoch_1.pth'):
        with pytest.raises(ValueError, match='epoch_1.pth is corrupt: checksums do not match'):
            train(tmp_path, load_from=name, resume=resume)


def test_a_missing_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint nowhere.pth'):
        train(tmp_path, load_from='nowhere.pth')


def test_resuming_runs_no_configuration_of_the_checkpoint(tmp_path):
    train(tmp_path, epochs=1)
    state = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    state['meta']['config'] = f'open({str(tmp_path / "pwned")!r}, "w")'
    torch.save(state, tmp_path / 'epoch_1.pth')
    assert train(tmp_path, resume=True).epoch == 2
    assert not (tmp_path / 'pwned').exists()


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    train(tmp_path, epochs=1)
    former = (tmp_path / 'epoch_1.pth').read_bytes()
    put = LocalBackend.put

    def put_half(self, content, path):
        put(self, content[: len(content) // 2], path)
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalBackend, 'put', put_half)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, epochs=1)
    assert (tmp_path / 'epoch_1.pth').read_bytes() == former
    assert not [path.name for path in tmp_path.iterdir() if 'unfinished' in path.name]


def test_another_storage_writes_its_files_itself(tmp_path, monkeypatch):
    """Named by the address, or by the arguments of the storage."""
    runner = RUNNERS.build(config(tmp_path))
    written = []
    monkeypatch.setattr(Runner, 'save_checkpoint', lambda self, folder, name, *_, **__: written.append((folder, name)))
    runner.save_checkpoint('s3://bucket', 'epoch_1.pth')
    runner.save_checkpoint('bucket', 'epoch_1.pth', backend_args=dict(backend='http'))
    runner.save_checkpoint('bucket', 'epoch_1.pth', dict(backend='http'))
    assert written == [('s3://bucket', 'epoch_1.pth'), ('bucket', 'epoch_1.pth'), ('bucket', 'epoch_1.pth')]


def test_the_weights_are_laid_out_channels_last(tmp_path):
    runner = RUNNERS.build(config(tmp_path, channels_last=True))
    weight = runner.model.convolution.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    assert runner.model(torch.zeros(1, 2, 5, 5))[0][None].is_contiguous(memory_format=torch.channels_last)
    assert RUNNERS.build(config(tmp_path)).model.convolution.weight.is_contiguous()


def test_the_layout_changes_no_numbers(tmp_path, three_epochs):
    train(tmp_path, epochs=3, channels_last=True)
    torch.testing.assert_close(weights(tmp_path / 'epoch_3.pth'), three_epochs)


@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'mmengine.AmpOptimWrapper', AmpOptimWrapper])
def test_without_a_gpu_mixed_precision_is_left_out(tmp_path, kind):
    settings = dict(
        type=kind, loss_scale='dynamic', dtype='float16', optimizer=dict(type='Adam'), accumulative_counts=2
    )
    runner = RUNNERS.build(config(tmp_path))
    wrapper = runner.build_optim_wrapper(settings)
    assert type(wrapper) is OptimWrapper and wrapper._accumulative_counts == 2
    assert 'WARNING - There is no GPU: training without mixed precision.' in log(tmp_path)
    assert settings['type'] is kind and settings['dtype'] == 'float16'


def test_with_a_gpu_nothing_changes(tmp_path, monkeypatch):
    runner = RUNNERS.build(config(tmp_path))
    monkeypatch.setattr('kmcl_mm.engine.runner.get_device', lambda: 'cuda')
    monkeypatch.setattr(Runner, 'build_optim_wrapper', lambda self, wrapper: wrapper)
    monkeypatch.setattr(Runner, 'wrap_model', lambda self, settings, model: settings)
    amp = dict(type='AmpOptimWrapper', loss_scale='dynamic', optimizer=dict(type='Adam'))
    assert runner.build_optim_wrapper(amp) is amp
    monkeypatch.setattr(runner, '_distributed', True)
    assert runner.wrap_model(None, runner.model) is None


def test_without_a_gpu_other_launchers_are_refused(tmp_path):
    with pytest.raises(ValueError, match='--launcher must be none or pytorch, but got slurm'):
        RUNNERS.build(config(tmp_path, launcher='slurm'))
    assert not distributed.is_initialized()


def test_without_a_gpu_processes_wait_as_long_as_the_configuration_says(tmp_path):
    class Stopped(Exception):
        pass

    settings = dict(launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=77)))
    with mock.patch('torch.distributed.init_process_group', side_effect=Stopped) as init, pytest.raises(Stopped):
        RUNNERS.build(config(tmp_path, **settings))
    init.assert_called_once_with('gloo', timeout=timedelta(seconds=77))


def test_no_workers_are_not_persistent():
    settings = config('runs').train_dataloader
    loader = KMCLRunner.build_dataloader(settings)
    assert loader.num_workers == 0 and not loader.persistent_workers and settings.persistent_workers
    assert KMCLRunner.build_dataloader(dict(settings, num_workers=1)).persistent_workers
    assert KMCLRunner.build_dataloader(loader) is loader


def test_a_training_of_too_few_steps(tmp_path):
    """Of five steps the learning rate would rise for one."""
    schedule = dict(type='OneCycleLR', eta_max=0.1, total_steps=5, pct_start=0.2)
    with pytest.raises(ValueError, match='too short.*train_cfg.max_epochs'):
        train(tmp_path, param_scheduler=schedule)


@pytest.mark.parametrize('module', ['huggingface_hub.errors', 'urllib.error', 'httpx'])
def test_weights_that_cannot_be_fetched(tmp_path, monkeypatch, module):
    error = type('Offline', (Exception,), dict(__module__=module))('no route')
    monkeypatch.setattr(Runner, 'build_model', mock.Mock(side_effect=error))
    with pytest.raises(ConnectionError, match='cannot be fetched: no route\n.*checkpoint_path=FILE'):
        RUNNERS.build(config(tmp_path))


def test_another_error_of_the_model_stays_as_it_is(tmp_path):
    with pytest.raises(TypeError, match='layers'):
        RUNNERS.build(config(tmp_path, model=dict(type='OneConvolution', layers=3)))


@pytest.mark.parametrize(
    'variable, launcher',
    [('WORLD_SIZE', 'pytorch'), ('SLURM_STEP_NUM_TASKS', 'slurm'), ('OMPI_COMM_WORLD_SIZE', 'mpi')],
)
def test_several_processes_without_a_launcher_are_refused(tmp_path, monkeypatch, variable, launcher):
    monkeypatch.setenv(variable, '2')
    with pytest.raises(ValueError, match=f'2 processes were started.*Add --launcher {launcher}; or unset {variable}'):
        train(tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(variable, '1')
    train(tmp_path, epochs=1)


@pytest.mark.parametrize('settings', [True, dict(backend='eager', dynamic=False)])
def test_a_compiled_network_trains_the_same(tmp_path, monkeypatch, settings):
    """Judged by torch's count of what it compiles."""
    if settings is True:
        # The default backend needs a C++ compiler, and half a minute.
        monkeypatch.setattr(torch, 'compile', partial(torch.compile, backend='eager'))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = train(tmp_path / 'compiled', epochs=1, compile=settings).model
    assert torch._dynamo.utils.counters['stats']['calls_captured'] > 0
    plain = train(tmp_path / 'plain', epochs=1, compile=False).model
    torch.testing.assert_close(compiled.state_dict(), plain.state_dict())


def test_scaling_the_rate_needs_the_number_of_images(tmp_path):
    with pytest.raises(ValueError, match='auto_scale_lr.base_batch_size'):
        train(tmp_path, auto_scale_lr=dict(enable=True))
    schedule = dict(type='OneCycleByGroupLR', eta_max=0.1, total_steps=10, by_epoch=False)
    settings = dict(auto_scale_lr=dict(enable=True, base_batch_size=4), param_scheduler=schedule)
    assert train(tmp_path, epochs=1, **settings).optim_wrapper.param_groups[0]['max_lr'] == pytest.approx(0.025)


@pytest.mark.parametrize(
    'changes',
    [
        dict(auto_scale_lr=dict(enable=True, base_batch_size=4)),
        dict(
            optim_wrapper=dict(
                optimizer=dict(type='Adam', lr=0.1),
                paramwise_cfg=dict(custom_keys=dict(convolution=dict(lr_mult=0.0))),
            )
        ),
    ],
)
def test_rates_that_mmengines_one_cycle_would_undo_are_refused(tmp_path, changes):
    settings = dict(eta_max=0.1, total_steps=10, by_epoch=False)
    with pytest.raises(ValueError, match='OneCycleLR sets one rate.*OneCycleByGroupLR'):
        train(tmp_path, param_scheduler=dict(settings, type='OneCycleLR'), **changes)
    train(tmp_path / 'scales', epochs=1, param_scheduler=dict(settings, type='OneCycleByGroupLR'), **changes)
    train(tmp_path / 'no_scales', epochs=1, param_scheduler=dict(settings, type='OneCycleLR'))


NAMES = {
    'as saved': lambda content: content,
    'weights alone': lambda content: content['state_dict'],
    'of several processes': lambda content: dict(state_dict=_renamed(content, 'module.')),
    'compiled': lambda content: _renamed(content, '_orig_mod.'),
    'compiled, of several processes': lambda content: dict(model=_renamed(content, 'module._orig_mod.'), epoch=3),
}


def _renamed(content, prefix):
    return {f'{prefix}{name}': value for name, value in content['state_dict'].items()}


@pytest.mark.parametrize('ema', [[], [dict(type='EMAHook')]], ids=['alone', 'averaged'])
@pytest.mark.parametrize('change', NAMES.values(), ids=NAMES)
def test_weights_are_found_by_any_name(tmp_path, change, ema):
    train(tmp_path, epochs=1)
    torch.save(change(torch.load(tmp_path / 'epoch_1.pth', weights_only=False)), tmp_path / 'some.pth')
    # No step changes them.
    settings = dict(load_from=str(tmp_path / 'some.pth'), optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)))
    assert (
        train(tmp_path / 'next', epochs=1, custom_hooks=ema, **settings)
        .model.convolution.weight.cpu()
        .equal(weights(tmp_path / 'epoch_1.pth'))
    )


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda tensors: {'other.weight': torch.ones(1)}, 'some.pth has no weights of'),
        (lambda tensors: dict(tensors, other=torch.ones(1)), '1 tensors differ, such as other'),
        (lambda tensors: dict(unused=tensors['unused']), '2 tensors differ, such as convolution.weight'),
        (lambda tensors: dict(tensors, unused=torch.ones(2)), '1 tensors differ, such as unused'),
        (lambda tensors: dict(tensors, unused=tensors['unused'] / 0), 'unused in .*some.pth is not finite'),
    ],
)
def test_what_fits_nowhere_is_refused(tmp_path, change, message):
    train(tmp_path, epochs=1)
    content = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    torch.save(dict(state_dict=change(content['state_dict'])), tmp_path / 'some.pth')
    with pytest.raises(ValueError, match=message):
        train(tmp_path / 'next', load_from=str(tmp_path / 'some.pth'))


def test_resuming_for_other_labels_is_refused(tmp_path):
    train(tmp_path, epochs=1)
    other = config('', train_dataloader=config('').train_dataloader)
    other.train_dataloader.dataset = dict(type='FourImages', names=('b', 'a'))
    with pytest.raises(ValueError, match=r"epoch_1.pth was trained for the labels \['a', 'b'\].*in another order"):
        train(tmp_path, resume=True, train_dataloader=other.train_dataloader)


def _train_in_two(rank, folder, port):
    """What each of two processes sees of a training that goes on from the newest whole checkpoint."""
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    settings = dict(
        launcher='pytorch',
        channels_last=True,
        find_unused_parameters=True,
        optim_wrapper=dict(type='AmpOptimWrapper', optimizer=dict(type='Adam', lr=0.1)),
        # It began in one process, with twice the steps an epoch.
        resume_schedule='checkpoint',
    )
    with (
        mock.patch('kmcl_mm.engine.runner.has_damage', wraps=has_damage) as to_load,
        mock.patch('kmcl_mm.engine.whole_checkpoints.has_damage', wraps=has_damage) as to_resume,
    ):
        runner = train(folder / 'run', epochs=3, resume=True, **settings)
        resumed = to_load.call_count, to_resume.call_count
        # A wrapper written for a GPU.
        settings['model_wrapper_cfg'] = dict(device_ids=[rank], find_unused_parameters=True)
        train(folder / 'loaded', epochs=1, load_from=str(folder / 'run/epoch_3.pth'), **settings)
    weight = runner.model.module.convolution.weight
    seen = dict(
        wrapper=type(runner.model) is MMDistributedDataParallel,
        backend=distributed.get_backend(),
        last=weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous(),
        unused=runner.model.find_unused_parameters,
        amp=isinstance(runner.optim_wrapper, AmpOptimWrapper),
        iterations=runner.iter,
        weight=weight.detach().contiguous(),
        checksums=[resumed, (to_load.call_count, to_resume.call_count)],
    )
    # torch ends gloo's threads with the last object that holds the group, such as one in a cycle of references.
    runner.model.runner = SimpleNamespace(model=runner.model)
    del runner
    leave_process_group()
    seen.update(
        initialized=distributed.is_initialized(),
        threads=[path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')],
    )
    torch.save(seen, folder / f'{rank}.pt')


@pytest.fixture(scope='module')
def seen_by_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp('two')
    train(folder / 'run', epochs=2)
    cut(folder / 'run/epoch_2.pth')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    with mock.patch.dict(os.environ, CUDA_VISIBLE_DEVICES=''):
        torch.multiprocessing.spawn(_train_in_two, args=(folder, port), nprocs=2)
    return SimpleNamespace(folder=folder, ranks=[torch.load(folder / f'{rank}.pt') for rank in range(2)])


def test_two_processes_train_without_a_gpu(seen_by_two):
    first, second = seen_by_two.ranks
    for seen in (first, second):
        assert seen['wrapper'] and seen['backend'] == 'gloo' and not seen['amp'] and seen['unused']
    assert first['weight'].equal(second['weight'])
    assert 'training without mixed precision' in log(seen_by_two.folder / 'run')


def test_two_processes_go_on_from_the_newest_whole_checkpoint(seen_by_two):
    """Of four iterations each in the first epoch two are left to each of two processes."""
    assert [seen['iterations'] for seen in seen_by_two.ranks] == [4 + 2 * 2] * 2
    text = log(seen_by_two.folder / 'run')
    assert text.count('epoch_2.pth is corrupt. Resuming from') == 1


def test_only_the_first_process_reads_checksums(seen_by_two):
    """To resume, of the broken file, which has none, and of the one before it; to load, of that file."""
    first, second = seen_by_two.ranks
    assert first['checksums'] == [(0, 1), (1, 1)] and second['checksums'] == [(0, 0), (0, 0)]


def test_inside_the_wrapper_weights_are_channels_last(seen_by_two):
    assert all(seen['last'] for seen in seen_by_two.ranks)


@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='the threads are listed on Linux alone')
def test_no_thread_of_the_process_group_outlives_it(seen_by_two):
    """One that lets go of a tensor while Python ends aborts the process."""
    for seen in seen_by_two.ranks:
        assert not seen['initialized']
        assert not any('gloo' in name for name in seen['threads']), seen['threads']
