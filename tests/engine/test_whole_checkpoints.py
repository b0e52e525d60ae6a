import errno
import os
import pickle

import pytest
import torch
from torch import nn

from kmcl_mm.engine.whole_checkpoints import newest_whole_checkpoint


def save(path, **settings):
    torch.save(dict(state_dict=nn.Linear(50, 50).state_dict(), meta=dict(epoch=1)), path, **settings)


@pytest.fixture
def work_dir(tmp_path):
    """Three epochs; the last one is named in last_checkpoint."""
    for epoch in (1, 2, 3):
        path = tmp_path / f'epoch_{epoch}.pth'
        save(path)
        os.utime(path, (epoch, epoch))
    torch.save(dict(state_dict={}), tmp_path / 'best_mAP_epoch_3.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    return tmp_path


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def zero_the_end(path):
    """As a file may be after a power cut."""
    content = path.read_bytes()
    path.write_bytes(content[:1000] + bytes(len(content) - 1000))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    weights = torch.load(path)['state_dict']['weight'].numpy().tobytes()
    content[content.find(weights) + 20] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b'')


def write_text(path):
    path.write_text('mAP 85.1')


def write_names_that_are_no_text(path):
    path.write_bytes(path.read_bytes().replace(b'/data.pkl', b'/data\xff\xffkl'))


def cut_in_the_older_format(path):
    save(path, _use_new_zipfile_serialization=False)
    cut(path)


DAMAGES = [cut, zero_the_end, flip_a_bit, empty, write_text, write_names_that_are_no_text, cut_in_the_older_format]


def test_the_last_one_is_taken(work_dir):
    assert newest_whole_checkpoint(work_dir) == (str(work_dir / 'epoch_3.pth'), [])
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))
    assert newest_whole_checkpoint(work_dir) == (str(work_dir / 'epoch_1.pth'), [])


def test_copies_of_checkpoints_are_no_training_states(work_dir):
    for name in ('epoch_1_thresholds.pth', 'epoch_1-3fa9c0de.pth', 'my_epoch_1.pth'):
        torch.save(dict(state_dict={}), work_dir / name)
    empty(work_dir / 'epoch_3.pth')
    assert newest_whole_checkpoint(work_dir)[0] == str(work_dir / 'epoch_2.pth')


@pytest.mark.parametrize('damage', DAMAGES)
def test_the_one_before_a_damaged_one_is_taken(work_dir, damage):
    damage(work_dir / 'epoch_3.pth')
    assert newest_whole_checkpoint(work_dir) == (str(work_dir / 'epoch_2.pth'), [str(work_dir / 'epoch_3.pth')])


def test_a_file_in_the_older_format_is_whole(work_dir):
    save(work_dir / 'epoch_3.pth', _use_new_zipfile_serialization=False)
    assert newest_whole_checkpoint(work_dir) == (str(work_dir / 'epoch_3.pth'), [])


def test_a_file_without_checksums_is_whole(work_dir):
    torch.serialization.set_crc32_options(False)
    try:
        save(work_dir / 'epoch_3.pth')
    finally:
        torch.serialization.set_crc32_options(True)
    assert newest_whole_checkpoint(work_dir) == (str(work_dir / 'epoch_3.pth'), [])
    cut(work_dir / 'epoch_3.pth')
    assert newest_whole_checkpoint(work_dir)[0] == str(work_dir / 'epoch_2.pth')


def test_all_broken_ones_before_it_are_named(work_dir):
    cut(work_dir / 'epoch_3.pth')
    empty(work_dir / 'epoch_2.pth')
    expected = str(work_dir / 'epoch_1.pth'), [str(work_dir / f'epoch_{epoch}.pth') for epoch in (3, 2)]
    assert newest_whole_checkpoint(work_dir) == expected


@pytest.mark.parametrize('content', [None, b'', b'/moved/away/epoch_3.pth', b'\xff\x00', b'a' * 5000])
def test_without_a_good_last_checkpoint_file_the_newest_is_taken(work_dir, content):
    (work_dir / 'last_checkpoint').unlink()
    if content is not None:
        (work_dir / 'last_checkpoint').write_bytes(content)
    assert newest_whole_checkpoint(work_dir) == (str(work_dir / 'epoch_3.pth'), [])


def test_another_storage_looks_after_its_files(work_dir):
    (work_dir / 'last_checkpoint').write_text('s3://bucket/former/epoch_3.pth')
    assert newest_whole_checkpoint(work_dir, 's3://bucket/run') == ('s3://bucket/run/epoch_3.pth', [])
    assert newest_whole_checkpoint(work_dir / 'none', 's3://bucket/run') == (None, [])


def test_none_is_whole(work_dir):
    paths = list(work_dir.glob('epoch_*.pth'))
    for path in paths:
        cut(path)
    path, broken = newest_whole_checkpoint(work_dir)
    assert path is None and sorted(broken) == sorted(map(str, paths))


def test_a_training_that_has_not_saved_yet(tmp_path):
    assert newest_whole_checkpoint(tmp_path) == (None, [])


@pytest.mark.parametrize('legacy', [False, True])
def test_trouble_of_the_machine_is_not_taken_for_damage(work_dir, monkeypatch, legacy):
    """Else a training would silently go on from an older checkpoint."""

    def fail(*args, **kwargs):
        raise OSError(errno.EMFILE, 'Too many open files')

    save(work_dir / 'epoch_3.pth', _use_new_zipfile_serialization=not legacy)
    monkeypatch.setattr(torch, 'load', fail)
    monkeypatch.setattr('kmcl_mm.engine.checkpoint.open', fail, raising=False)
    with pytest.raises(OSError, match='Too many open files'):
        newest_whole_checkpoint(work_dir)


def test_looking_runs_no_code(work_dir, monkeypatch):
    monkeypatch.chdir(work_dir)

    class RunsCode:
        def __reduce__(self):
            return os.mkdir, ('pwned',)

    (work_dir / 'epoch_3.pth').write_bytes(pickle.dumps(RunsCode()))
    torch.save(dict(extra=RunsCode()), work_dir / 'epoch_2.pth')
    newest_whole_checkpoint(work_dir)
    assert not (work_dir / 'pwned').exists()
