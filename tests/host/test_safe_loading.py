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
