import os
import pickle
import subprocess
import sys
from importlib import metadata

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from kmcl_mm import host

ORIGINAL = {'mmengine': '0.10.7', 'mmcv-lite': '2.2.0', 'mmpretrain': '1.2.0'}
MAINTAINED = {'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmpretrain': '1.3.6'}


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these distributions are installed and no others."""

    def pretend(distributions):

        def version(name):
            if name not in distributions:
                raise metadata.PackageNotFoundError(name)
            return distributions[name]

        monkeypatch.setattr(host.metadata, 'version', version)

    return pretend


@pytest.mark.parametrize(
    'distributions',
    [
        ORIGINAL,
        MAINTAINED,
        dict(ORIGINAL, **{'mmcv': '2.2.0'}),
        {**ORIGINAL, 'mmengine': '0.11.0rc1'},
        {'mmengine-lite': '0.10.7', 'mmcv': '2.1.0', 'mmpretrain': '1.2.0'},
        dict(MAINTAINED, numpy='2.0'),
    ],
)
def test_a_whole_family_is_accepted(installed, distributions):
    installed(distributions)
    host.check()


@pytest.mark.parametrize(
    'distributions, message',
    [
        ({}, r'not installed: mmengine, mmcv, mmpretrain.*\n.*pip install.*onedl-mmpretrain'),
        ({'onedl-mmengine': '0.10.12'}, r'not installed: mmcv, mmpretrain\..*\n.*pip install.*onedl-mmcv'),
        ({'mmengine': '0.10.7', 'mmcv': '2.1.0'}, r'not installed: mmpretrain\..*\n.*pip install.* mmpretrain==1.2.0'),
        (
            dict(ORIGINAL, mmengine='0.10.4'),
            r'mmengine 0.10.7 or later, but 0.10.4.*\n.*pip install.* mmengine==0.10.7',
        ),
        (dict(MAINTAINED, **{'onedl-mmcv': '2.3.4'}), r'onedl-mmcv 2.3.5 or later, but 2.3.4.*\n.*onedl-mmcv>=2.3.5'),
        (
            dict(ORIGINAL, **MAINTAINED),
            r'two families.*pip uninstall -y (?=.*mmcv-lite)(?=.*onedl-mmcv).*\n.*pip install',
        ),
        (dict(MAINTAINED, mmcv='2.2.0'), r'two families.*mmcv .*onedl-mmcv'),
    ],
)
def test_what_is_wrong_comes_with_the_command_that_mends_it(installed, distributions, message):
    installed(distributions)
    with pytest.raises(ImportError, match=f'(?s){message}'):
        host.check()


def test_broken_multimodal_models_are_left_out(installed, monkeypatch):
    from mmpretrain.utils import dependency

    for version, expected in (('4.57.0', 'as it was'), ('5.0.0', False)):
        monkeypatch.setattr(dependency, 'WITH_MULTIMODAL', 'as it was')
        installed({'transformers': version})
        host.leave_out_broken_multimodal_models()
        assert dependency.WITH_MULTIMODAL == expected


class RunsCode:
    """What an attacker would put into a checkpoint."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], tuple(self.call[1:])


ATTACKS = [
    RunsCode(os.mkdir, 'pwned'),
    RunsCode(exec, 'open("pwned", "w")'),
    RunsCode(getattr, pickle.Pickler, 'dump'),
    RunsCode(getattr, HistoryBuffer, '__init__'),
    RunsCode(getattr, OneCycleParamScheduler, '__init__'),
    RunsCode(getattr, HistoryBuffer.mean, '__globals__'),
    RunsCode(getattr, [], 'append'),
]


@pytest.mark.parametrize('attack', ATTACKS)
@pytest.mark.parametrize('legacy', [False, True])
def test_a_checkpoint_that_runs_code_is_refused(tmp_path, monkeypatch, attack, legacy):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={}, extra=attack), 'bad.pth', _use_new_zipfile_serialization=not legacy)
    for load in (CheckpointLoader.load_checkpoint, lambda path: load_checkpoint(nn.Linear(1, 1), path)):
        with pytest.raises(ValueError, match='bad.pth.*could run code'):
            load('bad.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['bad.pth']
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ


def test_a_plain_pickle_that_runs_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'bad.pth').write_bytes(pickle.dumps(ATTACKS[0]))
    with pytest.raises(ValueError, match='bad.pth'):
        CheckpointLoader.load_checkpoint('bad.pth')
    assert not (tmp_path / 'pwned').exists()


def test_the_training_state_is_loaded(tmp_path):
    buffer = HistoryBuffer([1.0, 2, 3], [1, 1, 1])
    weights = nn.Linear(2, 1).state_dict()
    saved = dict(state_dict=weights, history=dict(loss=buffer), best=buffer.mean(), step=buffer.data[1][-1])
    torch.save(saved, tmp_path / 'good.pth')
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'good.pth'))
    assert loaded['state_dict']['weight'].equal(weights['weight'])
    assert loaded['history']['loss'].statistics('mean') == 2
    assert loaded['best'] == 2 and loaded['step'] == 1


def test_the_readers_own_loading_is_left_alone(tmp_path):
    """Only what goes through MMEngine is restricted."""
    torch.save(dict(extra=Config(dict(a=1))), tmp_path / 'own.pth')
    assert torch.load(tmp_path / 'own.pth', weights_only=False)['extra'].a == 1


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04 cut short'])
def test_a_file_that_is_no_checkpoint(tmp_path, content):
    (tmp_path / 'broken.pth').write_bytes(content)
    with pytest.raises(ValueError, match='broken.pth'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'broken.pth'))


def test_a_truncated_checkpoint(tmp_path):
    torch.save(dict(state_dict=nn.Linear(100, 100).state_dict()), tmp_path / 'whole.pth')
    whole = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match='cut.pth to be a whole checkpoint'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'cut.pth'))


def test_a_missing_checkpoint():
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        CheckpointLoader.load_checkpoint('nowhere.pth')


@pytest.mark.parametrize('attack, name', [(ATTACKS[0], 'mkdir'), (ATTACKS[1], 'exec'), (ATTACKS[3], "'__init__'")])
def test_the_refusal_names_what_was_asked_for_and_does_not_advise_to_load_it(tmp_path, attack, name):
    torch.save(dict(extra=attack), tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match=rf'asks for .*{name}.*, which could run code. It was not loaded') as error:
        CheckpointLoader.load_checkpoint(str(tmp_path / 'bad.pth'))
    assert 'weights_only' not in str(error.value) and '\n' not in str(error.value)


def test_a_text_file_is_no_checkpoint(tmp_path):
    (tmp_path / 'notes.pth').write_text('mAP 85.1')
    with pytest.raises(ValueError, match='notes.pth.*is no such checkpoint'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'notes.pth'))


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


def test_a_missing_tool():
    with pytest.raises(ImportError, match='fly.py'):
        host.run_tool('fly')


def test_importing_registers_everything():
    script = """
import kmcl_mm
from mmpretrain import registry
for kind, names in dict(MODELS='KMCLHead KMCLLoss ASLLoss FrozenTIMMBackbone',
                        HOOKS='BestWeightsHook AverageLossesHook CheckLabelsHook',
                        DATASETS='CocoMultiLabel VOCMultiLabel DigitScenes',
                        TRANSFORMS='LoadCheckedImage RandomColorCutout').items():
    for name in names.split():
        assert getattr(registry, kind).get(name).__module__.startswith('kmcl_mm.'), name
"""
    subprocess.run([sys.executable, '-c', script], check=True)


def test_the_functions_are_usable_with_torch_alone():
    """No module of the folder imports more than torch, the standard library and its neighbours."""
    script = """
import sys, types
from importlib.abc import MetaPathFinder
class Refuse(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split('.')[0] in ('mmengine', 'mmcv', 'mmpretrain', 'timm', 'pycocotools', 'cv2'):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
package = types.ModuleType('kmcl_mm')
package.__path__ = [sys.argv[1]]
sys.modules['kmcl_mm'] = package
import kmcl_mm.functional
"""
    subprocess.run([sys.executable, '-c', script, os.path.dirname(host.__file__)], check=True)
