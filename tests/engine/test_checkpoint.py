import errno
import os
import pickle
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from torch import nn

from kmcl_mm.engine import load_checkpoint
from kmcl_mm.engine.checkpoint import has_damage
from tests.attacks import ATTACKS


class Note:
    """A class of a user's own in a checkpoint."""

    def __init__(self, text):
        self.text = text


@pytest.fixture
def without_checksums():
    """Files as a user may have torch write them."""
    torch.serialization.set_crc32_options(False)
    yield
    torch.serialization.set_crc32_options(True)


@pytest.mark.parametrize('attack', ATTACKS)
@pytest.mark.parametrize('legacy', [False, True])
def test_a_checkpoint_that_runs_code_is_refused(tmp_path, monkeypatch, attack, legacy):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={}, extra=attack), 'bad.pth', _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match='bad.pth.*could run code'):
        load_checkpoint('bad.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['bad.pth']


def test_a_plain_pickle_that_runs_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'bad.pth').write_bytes(pickle.dumps(ATTACKS[0]))
    with pytest.raises(ValueError, match='bad.pth'):
        load_checkpoint('bad.pth')
    assert not (tmp_path / 'pwned').exists()


def test_an_attack_from_another_storage_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(extra=ATTACKS[0]), 'bad.pth')
    content = (tmp_path / 'bad.pth').read_bytes()
    monkeypatch.setattr('kmcl_mm.engine.checkpoint.get', lambda path: content)
    with pytest.raises(ValueError, match='s3://bucket/bad.pth was not loaded: it asks for .*mkdir'):
        load_checkpoint('s3://bucket/bad.pth')
    assert not (tmp_path / 'pwned').exists()


def test_a_checkpoint_of_another_storage(tmp_path, monkeypatch):
    torch.save(dict(state_dict={}, meta=dict(epoch=1, config='boom()')), tmp_path / 'good.pth')
    monkeypatch.setattr('kmcl_mm.engine.checkpoint.get', lambda path: (tmp_path / 'good.pth').read_bytes())
    assert load_checkpoint('s3://bucket/good.pth') == dict(state_dict={}, meta=dict(epoch=1))


def test_a_storage_that_is_down_is_no_damage(monkeypatch):
    def fail(path):
        raise ConnectionError('no route')

    monkeypatch.setattr('kmcl_mm.engine.checkpoint.get', fail)
    with pytest.raises(ConnectionError, match='no route'):
        load_checkpoint('https://example.org/some.pth')


def test_the_training_state_is_loaded(tmp_path):
    buffer = HistoryBuffer([1.0, 2, 3], [1, 1, 1])
    weights = nn.Linear(2, 1).state_dict()
    saved = dict(state_dict=weights, history=dict(loss=buffer), best=buffer.mean(), step=buffer.data[1][-1])
    torch.save(saved, tmp_path / 'good.pth')
    loaded = load_checkpoint(tmp_path / 'good.pth')
    assert loaded['state_dict']['weight'].equal(weights['weight'])
    assert loaded['history']['loss'].statistics('mean') == 2
    assert loaded['best'] == 2 and loaded['step'] == 1


@pytest.mark.parametrize('kind', [kind for kind in np.typecodes['All'] if kind != 'O'])
def test_arrays_and_numbers_of_every_kind(tmp_path, kind):
    """MMPose writes colours of its key points, of kind uint8, into ``dataset_meta``."""
    array = np.zeros(2, 'i4,f8') if kind == 'V' else np.arange(1, 3).astype(kind)
    torch.save(dict(meta=dict(dataset_meta=dict(colors=array, one=array[1]))), tmp_path / 'some.pth')
    meta = load_checkpoint(tmp_path / 'some.pth')['meta']['dataset_meta']
    assert meta['colors'].dtype == array.dtype and (meta['colors'] == array).all() and meta['one'] == array[1]


@pytest.mark.parametrize('array', [np.array([Note('a')]), np.zeros(1, dtype='i4,O')])
def test_an_array_of_objects_is_refused(tmp_path, array):
    torch.save(dict(extra=array), tmp_path / 'some.pth')
    with pytest.raises(ValueError, match='some.pth was not loaded'):
        load_checkpoint(tmp_path / 'some.pth')


def test_settings_come_as_plain_dicts(tmp_path):
    settings = ConfigDict(head=dict(thr=0.5, losses=[dict(weight=1.0)]), classes=('a', 'b'))
    torch.save(dict(meta=dict(dataset_meta=settings)), tmp_path / 'some.pth')
    loaded = load_checkpoint(tmp_path / 'some.pth')['meta']['dataset_meta']
    assert loaded == dict(head=dict(thr=0.5, losses=[dict(weight=1.0)]), classes=('a', 'b'))
    assert {type(part) for part in (loaded, loaded['head'], loaded['head']['losses'][0])} == {dict}


def test_a_class_of_the_user_is_allowed_as_the_message_says(tmp_path, monkeypatch):
    torch.save(dict(extra=Note('mine')), tmp_path / 'some.pth')
    with pytest.raises(ValueError, match='some.pth was not loaded: it asks for .*Note.*If you trust') as error:
        load_checkpoint(tmp_path / 'some.pth')
    advice = [line.strip() for line in str(error.value).splitlines()[1:]]
    assert advice == [f'from {__name__} import Note', 'torch.serialization.add_safe_globals([Note])']
    before = torch.serialization.get_safe_globals()
    try:
        exec('\n'.join(['import torch', *advice]))
        for _ in range(2):
            assert load_checkpoint(tmp_path / 'some.pth')['extra'].text == 'mine'
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def test_what_the_user_has_allowed_stays_allowed(tmp_path):
    """Also where the package allows it too."""
    torch.save(dict(array=np.zeros(2)), tmp_path / 'some.pth')
    before = torch.serialization.get_safe_globals()
    try:
        torch.serialization.add_safe_globals([Note, np.ndarray, np.dtype])
        allowed = set(torch.serialization.get_safe_globals())
        load_checkpoint(tmp_path / 'some.pth')
        assert set(torch.serialization.get_safe_globals()) == allowed
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def test_files_without_checksums(tmp_path, without_checksums):
    torch.save(dict(state_dict=nn.Linear(100, 100).state_dict()), tmp_path / 'some.pth')
    with zipfile.ZipFile(tmp_path / 'some.pth') as archive:
        assert archive.testzip() is not None
    assert not has_damage(tmp_path / 'some.pth')
    assert load_checkpoint(tmp_path / 'some.pth')['state_dict']['weight'].shape == (100, 100)


def test_files_in_the_older_format(tmp_path):
    saved = dict(state_dict=nn.Linear(2, 1).state_dict(), meta=dict(epoch=1, array=np.zeros(2, np.uint8)))
    torch.save(saved, tmp_path / 'some.pth', _use_new_zipfile_serialization=False)
    assert not has_damage(tmp_path / 'some.pth')
    assert load_checkpoint(tmp_path / 'some.pth')['meta']['epoch'] == 1


def test_many_threads_load_at_once(tmp_path):
    """torch has one list of safe classes for all of them."""
    for number in range(8):
        torch.save(dict(number=number, best=np.float64(number)), tmp_path / f'{number}.pth')
    allowed, environment = set(torch.serialization.get_safe_globals()), dict(os.environ)
    begin = threading.Barrier(8)

    def load(number):
        begin.wait()
        return [load_checkpoint(tmp_path / f'{number}.pth') for _ in range(20)]

    with ThreadPoolExecutor(8) as threads:
        for number, loaded in enumerate(threads.map(load, range(8))):
            assert loaded == [dict(number=number, best=number)] * 20
    assert set(torch.serialization.get_safe_globals()) == allowed and dict(os.environ) == environment


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04 cut short'])
def test_a_file_that_is_no_checkpoint(tmp_path, content):
    (tmp_path / 'broken.pth').write_bytes(content)
    with pytest.raises(ValueError, match='broken.pth'):
        load_checkpoint(tmp_path / 'broken.pth')


def test_a_truncated_checkpoint(tmp_path):
    torch.save(dict(state_dict=nn.Linear(100, 100).state_dict()), tmp_path / 'whole.pth')
    whole = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match='cut.pth cannot be read as a checkpoint.*Use an earlier'):
        load_checkpoint(tmp_path / 'cut.pth')


def test_a_missing_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.pth.*it starts from'):
        load_checkpoint('nowhere.pth')
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        load_checkpoint(tmp_path)


def test_a_path_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(dict(state_dict={}), tmp_path / 'some.pth')
    assert load_checkpoint('~/some.pth') == dict(state_dict={})


@pytest.mark.parametrize('attack, name', [(ATTACKS[0], 'mkdir'), (ATTACKS[1], 'exec'), (ATTACKS[3], "'__init__'")])
def test_the_refusal_names_what_was_asked_for_and_does_not_advise_to_load_it(tmp_path, attack, name):
    torch.save(dict(extra=attack), tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match=rf'was not loaded: it asks for .*{name}.*, which could run code') as error:
        load_checkpoint(tmp_path / 'bad.pth')
    assert 'weights_only' not in str(error.value) and '\n' not in str(error.value)


def test_a_text_file_is_no_checkpoint(tmp_path):
    (tmp_path / 'notes.pth').write_text('mAP 85.1')
    with pytest.raises(ValueError, match='notes.pth.*is no checkpoint of torch'):
        load_checkpoint(tmp_path / 'notes.pth')


@pytest.fixture
def saved(tmp_path):
    """The bytes of a checkpoint."""
    torch.save(dict(state_dict=nn.Linear(100, 100).state_dict()), tmp_path / 'some.pth')
    return (tmp_path / 'some.pth').read_bytes()


def load_bytes(folder, content):
    (folder / 'some.pth').write_bytes(content)
    return load_checkpoint(folder / 'some.pth')


def test_weights_that_changed_are_refused(saved, tmp_path):
    """torch reads them without a look at the checksums."""
    weight = load_bytes(tmp_path, saved)['state_dict']['weight'].numpy().tobytes()
    position = saved.find(weight) + 20
    changed = saved[:position] + bytes([saved[position] ^ 1]) + saved[position + 1 :]
    with pytest.raises(ValueError, match='some.pth is corrupt: checksums do not match'):
        load_bytes(tmp_path, changed)


def test_names_in_an_archive_that_are_no_text(saved, tmp_path):
    changed = saved.replace(b'/data.pkl', b'/data\xff\xffkl')
    with pytest.raises(ValueError, match='some.pth is corrupt'):
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
    """MMEngine would run it to resume."""
    torch.save(dict(state_dict={}, meta=dict(epoch=1, config='open("pwned", "w")')), tmp_path / 'epoch_1.pth')
    assert load_checkpoint(tmp_path / 'epoch_1.pth')['meta'] == dict(epoch=1)


MACHINE = [
    torch.OutOfMemoryError('CUDA out of memory'),
    MemoryError(),
    PermissionError(errno.EACCES, 'Permission denied'),
    OSError(errno.EMFILE, 'Too many open files'),
    OSError(errno.EIO, 'Input/output error'),
    ConnectionResetError(errno.ECONNRESET, 'Connection reset'),
]


@pytest.mark.parametrize('error', MACHINE, ids=repr)
@pytest.mark.parametrize('where', ['torch.load', 'zipfile.ZipFile.testzip', 'kmcl_mm.engine.checkpoint.open'])
def test_trouble_of_the_machine_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch, error, where):
    def fail(*args, **kwargs):
        raise error

    torch.save(dict(state_dict={}), tmp_path / 'epoch_1.pth')
    monkeypatch.setattr(where, fail, raising=False)
    with pytest.raises(type(error)) as raised:
        load_checkpoint(tmp_path / 'epoch_1.pth')
    assert raised.value is error


@pytest.mark.skipif(sys.platform == 'win32' or os.geteuid() == 0, reason='root may read everything')
def test_a_file_that_may_not_be_read(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'epoch_1.pth')
    (tmp_path / 'epoch_1.pth').chmod(0)
    with pytest.raises(PermissionError):
        load_checkpoint(tmp_path / 'epoch_1.pth')


def test_a_switch_to_load_anything_has_no_effect(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    torch.save(dict(state_dict={}), 'good.pth')
    assert load_checkpoint('good.pth') == dict(state_dict={})
    torch.save(dict(extra=ATTACKS[0]), 'bad.pth')
    with pytest.raises(ValueError, match='could run code'):
        load_checkpoint('bad.pth')
    assert os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] == '1' and not (tmp_path / 'pwned').exists()
