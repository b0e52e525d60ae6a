import os
import pickle

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from tests.attacks import ATTACKS


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


@pytest.fixture
def saved(tmp_path):
    """The bytes of a checkpoint."""
    torch.save(dict(state_dict=nn.Linear(100, 100).state_dict()), tmp_path / 'some.pth')
    return (tmp_path / 'some.pth').read_bytes()


def load_bytes(folder, content):
    (folder / 'some.pth').write_bytes(content)
    return CheckpointLoader.load_checkpoint(str(folder / 'some.pth'))


def test_weights_that_changed_are_refused(saved, tmp_path):
    """torch reads them without a look at the checksums."""
    weight = load_bytes(tmp_path, saved)['state_dict']['weight'].numpy().tobytes()
    position = saved.find(weight) + 20
    changed = saved[:position] + bytes([saved[position] ^ 1]) + saved[position + 1 :]
    with pytest.raises(ValueError, match='some.pth to be a whole checkpoint, but its checksums'):
        load_bytes(tmp_path, changed)


def test_names_in_an_archive_that_are_no_text(saved, tmp_path):
    changed = saved.replace(b'/data.pkl', b'/data\xff\xffkl')
    with pytest.raises(ValueError, match='some.pth to be a whole checkpoint'):
        load_bytes(tmp_path, changed)


@pytest.mark.parametrize('old, new', [(b'weight', b'we\xffght'), (b'Linear', b'Linear'), (b'_rebuild_tensor_v2', b'_')])
def test_any_error_of_reading_names_the_file(tmp_path, old, new):
    """In the format of before, which has no checksums."""
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / 'some.pth', _use_new_zipfile_serialization=False)
    content = (tmp_path / 'some.pth').read_bytes()
    if old == b'Linear':
        content = content[: len(content) // 2]
    with pytest.raises(ValueError, match='some.pth'):
        load_bytes(tmp_path, content.replace(old, new))


def test_a_configuration_in_the_training_state_is_not_run(tmp_path):
    """The host would run it to resume."""
    path = str(tmp_path / 'epoch_1.pth')
    torch.save(dict(state_dict={}, meta=dict(epoch=1, config='open("pwned", "w")')), path)
    assert CheckpointLoader.load_checkpoint(path)['meta'] == dict(epoch=1)


def test_a_full_memory_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise torch.OutOfMemoryError('CUDA out of memory')

    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict={}), path)
    monkeypatch.setattr(torch, 'load', fail)
    monkeypatch.setattr('mmengine.runner.checkpoint._safe_torch_load', fail, raising=False)
    with pytest.raises(torch.OutOfMemoryError):
        CheckpointLoader.load_checkpoint(str(path))


def test_a_switch_to_load_anything_has_no_effect(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    torch.save(dict(state_dict={}), 'good.pth')
    assert CheckpointLoader.load_checkpoint('good.pth') == dict(state_dict={})
    torch.save(dict(extra=ATTACKS[0]), 'bad.pth')
    with pytest.raises(ValueError, match='could run code'):
        CheckpointLoader.load_checkpoint('bad.pth')
    assert os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] == '1' and not (tmp_path / 'pwned').exists()
