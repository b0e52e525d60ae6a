import errno
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from kmcl_mm import host
from kmcl_mm.config import load_config


def test_pretrained_weights_are_left_out():
    backbone = dict(type='TIMMBackbone', model_name='tresnet_m', pretrained=True)
    cfg = Config(dict(model=dict(backbone=dict(backbone, checkpoint_path='somewhere.pth'))))
    host.leave_out_pretrained_weights(cfg)
    assert cfg.model.backbone == dict(backbone, pretrained=False, checkpoint_path='')
    cfg = Config(dict(model=dict(backbone=dict(type='ResNet', depth=50))))
    host.leave_out_pretrained_weights(cfg)
    assert cfg.model.backbone == dict(type='ResNet', depth=50)


def amp_config(**settings):
    return Config(
        dict(
            optim_wrapper=dict(
                type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16', optimizer=dict(type='Adam')
            ),
            **settings,
        )
    )


def test_without_a_gpu_mixed_precision_is_left_out(monkeypatch):
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    cfg = amp_config()
    host.fit_to_machine(cfg)
    assert cfg.optim_wrapper == dict(type='OptimWrapper', optimizer=dict(type='Adam'))


def test_with_a_gpu_nothing_changes(monkeypatch):
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cuda')
    cfg = amp_config(launcher='pytorch')
    host.fit_to_machine(cfg)
    assert cfg.to_dict() == amp_config(launcher='pytorch').to_dict()


def test_without_a_gpu_other_launchers_are_refused(monkeypatch):
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    with pytest.raises(ValueError, match='--launcher.*none or pytorch.*but got slurm'):
        host.fit_to_machine(Config(dict(launcher='slurm')))


def _leave_with_a_cycle(rank, folder):
    distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    network = DistributedDataParallel(nn.Linear(2, 1))
    network.runner = SimpleNamespace(model=network)
    network(torch.ones(1, 2)).sum().backward()
    del network
    host.leave_process_group()
    threads = {path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')}
    assert not distributed.is_initialized()
    assert not any('gloo' in name for name in threads), threads


@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='the threads are listed on Linux alone')
def test_no_thread_of_the_process_group_outlives_it(tmp_path):
    """One that lets go of a tensor while Python ends aborts the process."""
    torch.multiprocessing.spawn(_leave_with_a_cycle, args=(tmp_path,), nprocs=2)


def test_a_missing_tool():
    with pytest.raises(ImportError, match='fly.py'):
        host.run_tool('fly', load_config)


def test_a_folder_that_cannot_be_written_to(monkeypatch):
    def main():
        raise PermissionError(errno.EACCES, 'Permission denied', '/runs')

    tool = SimpleNamespace(merge_args=None, main=main)
    monkeypatch.setattr('kmcl_mm.host.launch._load_tool', lambda name: tool)
    with pytest.raises(SystemExit, match='^/runs cannot be written or read: Permission.*Take another --work-dir'):
        host.run_tool('train', load_config)
