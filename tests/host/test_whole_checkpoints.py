import os
import pickle

import pytest
import torch
from mmengine import runner
from torch import nn

from kmcl_mm.host.whole_checkpoints import is_whole, newest_whole_checkpoint


@pytest.fixture
def work_dir(tmp_path):
    """Three epochs; the last one is named in last_checkpoint."""
    for epoch in (1, 2, 3):
        path = tmp_path / f'epoch_{epoch}.pth'
        torch.save(dict(state_dict=nn.Linear(50, 50).state_dict(), meta=dict(epoch=epoch)), path)
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


DAMAGES = [cut, zero_the_end, flip_a_bit, empty]


def test_the_last_one_is_taken(work_dir):
    assert newest_whole_checkpoint(work_dir) == str(work_dir / 'epoch_3.pth')


def test_the_host_asks_here(work_dir):
    cut(work_dir / 'epoch_3.pth')
    for module in (runner, runner.checkpoint, runner.runner):
        assert module.find_latest_checkpoint(str(work_dir)) == str(work_dir / 'epoch_2.pth')


def test_copies_of_checkpoints_are_no_training_states(work_dir):
    for name in ('epoch_1_thresholds.pth', 'epoch_1-3fa9c0de.pth', 'my_epoch_1.pth'):
        torch.save(dict(state_dict={}), work_dir / name)
    empty(work_dir / 'epoch_3.pth')
    assert newest_whole_checkpoint(work_dir) == str(work_dir / 'epoch_2.pth')


@pytest.mark.parametrize('damage', DAMAGES)
def test_the_one_before_a_damaged_one_is_taken(work_dir, damage):
    assert is_whole(work_dir / 'epoch_3.pth')
    damage(work_dir / 'epoch_3.pth')
    assert not is_whole(work_dir / 'epoch_3.pth')
    assert newest_whole_checkpoint(work_dir) == str(work_dir / 'epoch_2.pth')


def test_the_log_names_both(work_dir, monkeypatch):
    said = []
    monkeypatch.setattr('mmengine.logging.print_log', lambda message, **_: said.append(message))
    cut(work_dir / 'epoch_3.pth')
    empty(work_dir / 'epoch_2.pth')
    assert newest_whole_checkpoint(work_dir) == str(work_dir / 'epoch_1.pth')
    assert ['epoch_3.pth is not whole' in said[0], 'epoch_2.pth is not whole' in said[1]] == [True, True]
    assert len(said) == 2 and all('Resuming from' in line and 'epoch_1.pth' in line for line in said)


@pytest.mark.parametrize('content', [None, b'', b'/moved/away/epoch_3.pth', b'\xff\x00', b'a' * 5000])
def test_without_a_good_last_checkpoint_file_the_newest_is_taken(work_dir, content):
    (work_dir / 'last_checkpoint').unlink()
    if content is not None:
        (work_dir / 'last_checkpoint').write_bytes(content)
    assert newest_whole_checkpoint(work_dir) == str(work_dir / 'epoch_3.pth')


def test_none_is_whole(work_dir):
    for path in work_dir.glob('epoch_*.pth'):
        cut(path)
    with pytest.raises(
        ValueError, match='(?s)Expected a whole checkpoint.*epoch_3.pth.*epoch_1.pth.*from the beginning'
    ):
        newest_whole_checkpoint(work_dir)


def test_a_training_that_has_not_saved_yet(tmp_path):
    assert newest_whole_checkpoint(tmp_path) is None


def test_looking_runs_no_code(work_dir, monkeypatch):
    monkeypatch.chdir(work_dir)

    class RunsCode:
        def __reduce__(self):
            return os.mkdir, ('pwned',)

    (work_dir / 'epoch_3.pth').write_bytes(pickle.dumps(RunsCode()))
    torch.save(dict(extra=RunsCode()), work_dir / 'epoch_2.pth')
    newest_whole_checkpoint(work_dir)
    assert not (work_dir / 'pwned').exists()


def test_an_archive_whose_names_are_no_text_is_not_whole(work_dir):
    path = work_dir / 'epoch_3.pth'
    path.write_bytes(path.read_bytes().replace(b'/data.pkl', b'/data\xff\xffkl'))
    assert not is_whole(path)
