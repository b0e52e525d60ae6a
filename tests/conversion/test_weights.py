import pytest
import torch

from kmcl_mm.conversion import weights_in
from kmcl_mm.engine import load_checkpoint
from tests.attacks import ATTACKS

KMCL = {'kmm.pi.weight': torch.ones(2, 3), 'encoder.body.conv1.1.bias': torch.ones(4)}
OTHER = {name: value + 1 for name, value in KMCL.items()}
OURS = {'backbone.timm_model.body.conv1.bn.bias': torch.ones(4)}


def behind(prefix, tensors):
    return {prefix + name: value for name, value in tensors.items()}


@pytest.mark.parametrize(
    'content, entry, kind, names',
    [
        (KMCL, '', 'KMCL', list(KMCL)),
        (behind('module.', KMCL), '', 'KMCL', list(KMCL)),
        (behind('module.module.', KMCL), '', 'KMCL', list(KMCL)),
        (behind('ema.module.', KMCL), '', 'KMCL', list(KMCL)),
        (dict(state_dict=behind('module.', KMCL), epoch=3), 'state_dict', 'KMCL', list(KMCL)),
        (dict(net=dict(weights=KMCL)), 'net.weights', 'KMCL', list(KMCL)),
        (dict(model={'body.conv1.0.weight': torch.ones(1)}), 'model', 'TResNet', ['body.conv1.0.weight']),
        (dict(state_dict=OURS), 'state_dict', 'kmcl_mm', list(OURS)),
    ],
)
def test_weights_are_found_wherever_they_lie(content, entry, kind, names):
    weights = weights_in(content, 'a.ckpt')
    assert (weights.entry, weights.kind, list(weights.tensors)) == (entry, kind, names)


def test_averaged_weights_go_before_others_unless_asked():
    content = dict(state_dict=KMCL, epoch=4, state_dict_ema=behind('module.', OTHER))
    averaged, asked = weights_in(content, 'a.ckpt'), weights_in(content, 'a.ckpt', entry='state_dict')
    assert averaged.entry == 'state_dict_ema' and averaged.tensors['kmm.pi.weight'][0, 0] == 2
    assert asked.entry == 'state_dict' and asked.tensors['kmm.pi.weight'][0, 0] == 1
    assert averaged.others == ['state_dict', 'epoch'] and asked.others == ['epoch', 'state_dict_ema']


def test_a_checkpoint_of_the_host_has_the_averaged_weights_in_its_state_dict():
    content = dict(ema_state_dict=dict(behind('module.', OURS), steps=torch.tensor(5)), state_dict=OURS)
    assert weights_in(content, 'a.pth').entry == 'state_dict'


@pytest.mark.parametrize(
    'content, entry, message',
    [
        (dict(fc=torch.ones(1), epoch=3), None, 'a.ckpt has no weights of a KMCL network.*but the entries fc, epoch'),
        ({}, None, 'but an empty dictionary'),
        ([1], None, 'but a list'),
        (dict(state_dict=KMCL), 'ema', r"`entry` to be one of \['state_dict'\].*but got 'ema'"),
        (dict(KMCL, epoch=3), None, 'Expected epoch in a.ckpt to be a tensor, but got int'),
        ({**KMCL, **behind('module.', KMCL)}, None, 'a.ckpt has two tensors kmm.pi.weight'),
    ],
)
def test_what_is_no_network_is_refused(content, entry, message):
    with pytest.raises(ValueError, match=message):
        weights_in(content, 'a.ckpt', entry)


@pytest.mark.parametrize('attack', ATTACKS)
def test_a_checkpoint_that_runs_code_is_refused(tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict=KMCL, extra=attack), 'bad.ckpt')
    with pytest.raises(ValueError, match='bad.ckpt.*could run code'):
        load_checkpoint('bad.ckpt')
    assert [path.name for path in tmp_path.iterdir()] == ['bad.ckpt']


def test_a_missing_checkpoint():
    with pytest.raises(FileNotFoundError, match='There is no checkpoint nowhere.ckpt'):
        load_checkpoint('nowhere.ckpt')
