"""The converter on the command line."""

import runpy
import sys

import pytest
import torch
from mmengine.runner import load_checkpoint

import kmcl_mm
from tests.attacks import ATTACKS
from tests.conftest import ROOT
from tests.conversion.conftest import DIGITS
from tests.conversion.published import backbone_checkpoint

TOOL = ROOT / 'tools/model_converters/reference_to_kmcl.py'
CONFIG = ROOT / f'configs/{DIGITS}.py'


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """Run the tool in an empty folder with IN already there, and return what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(content, *options, fails=False):
        torch.save(content, 'in.ckpt')
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, options)])
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as exit:
            assert fails and exit.code == 2
        else:
            assert not fails
        captured = capsys.readouterr()
        return captured.err if fails else captured.out

    return run


def test_a_whole_model(convert, published, tmp_path):
    output = convert(dict(state_dict=published, epoch=3), 'in.ckpt', 'folder/out.pth', '--config', CONFIG)
    assert 'a KMCL network, in state_dict' in output and 'python tools/test.py CONFIG folder/out.pth' in output
    assert [path.name for path in (tmp_path / 'folder').iterdir()] == ['out.pth']
    model = kmcl_mm.get_model(DIGITS)
    written = load_checkpoint(model, 'folder/out.pth', strict=True)
    assert written['meta']['converted_from']['file'] == 'in.ckpt'
    assert model.head.logits.weight.equal(published['kmm.pi.weight'])


def test_a_backbone_to_train_from(convert, published):
    output = convert(dict(model=backbone_checkpoint(published)), 'in.ckpt', 'out.pth', '--config', CONFIG)
    assert 'head.fc.weight' in output and 'left out: a classifier' in output
    assert '--cfg-options model.backbone.pretrained=False load_from=out.pth' in output
    model = kmcl_mm.get_model(DIGITS)
    before = model.head.logits.weight.clone()
    load_checkpoint(model, 'out.pth', strict=False)
    assert model.backbone.timm_model.body.conv1.conv.weight.equal(published['encoder.body.conv1.0.weight'])
    assert model.head.logits.weight.equal(before)


def test_a_dry_run_prints_the_map_and_writes_nothing(convert, published, tmp_path):
    for options in (['--dry-run'], ['out.pth', '--dry-run']):
        output = convert(published, 'in.ckpt', *options, '--config', CONFIG)
        assert all(name in output for name in published) and 'Nothing was written.' in output
    assert [path.name for path in tmp_path.iterdir()] == ['in.ckpt']


@pytest.mark.parametrize('attack', ATTACKS)
def test_a_checkpoint_that_runs_code_is_refused(convert, published, tmp_path, attack):
    assert 'could run code' in convert(
        dict(state_dict=published, extra=attack), 'in.ckpt', 'out.pth', '--config', CONFIG, fails=True
    )
    assert [path.name for path in tmp_path.iterdir()] == ['in.ckpt']


def test_a_failure_leaves_what_was_there(convert, published, tmp_path, monkeypatch):
    convert(published, 'in.ckpt', '--dry-run', '--config', CONFIG)
    (tmp_path / 'out.pth').write_bytes(b'before')

    def save(content, path):
        path.write_bytes(b'half')
        raise OSError('no space left')

    monkeypatch.setattr(torch, 'save', save)
    monkeypatch.setattr(sys, 'argv', [str(TOOL), 'in.ckpt', 'out.pth', '--config', str(CONFIG)])
    with pytest.raises(OSError, match='no space left'):
        runpy.run_path(str(TOOL), run_name='__main__')
    assert (tmp_path / 'out.pth').read_bytes() == b'before'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['in.ckpt', 'out.pth']


@pytest.mark.parametrize(
    'options, message',
    [
        (['in.ckpt'], 'OUT is needed, unless with --dry-run'),
        (['in.ckpt', './in.ckpt'], 'OUT must be another file than IN'),
        (['in.ckpt', 'out.pth', '--cfg-options', 'a=1'], '--cfg-options needs --config'),
        (['nowhere.ckpt', 'out.pth'], 'There is no checkpoint nowhere.ckpt'),
        (
            ['in.ckpt', 'out.pth', '--config', 'nowhere.py'],
            'There is no configuration nowhere.py',
        ),
        (['in.ckpt', 'out.pth', '--entry', 'ema'], "`entry` to be one of ['']"),
        (['in.ckpt', 'out.pth'], 'in.ckpt has a TResNet unknown to timm'),
    ],
)
def test_what_is_wrong_on_the_command_line(convert, published, tmp_path, options, message):
    assert message in convert(published, *options, fails=True)
    assert [path.name for path in tmp_path.iterdir()] == ['in.ckpt']
