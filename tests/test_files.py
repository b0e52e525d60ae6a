import errno
import os

import pytest

from kmcl_mm.files import check_writable, remove_unfinished, written_whole


def test_a_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('old')
    with written_whole(path) as unfinished:
        unfinished.write_text('new')
        assert path.read_text() == 'old' and unfinished.suffix == '.csv'
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


def test_where_writing_fails_the_old_one_stays(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('old')
    with pytest.raises(OSError, match='No space'), written_whole(path) as unfinished:
        unfinished.write_text('ne')
        raise OSError('No space left on device')
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    'number, advice',
    [(errno.ENOSPC, 'Free some space'), (errno.EROFS, 'not read-only'), (errno.EACCES, 'Make the folder writable')],
)
def test_the_message_names_the_file_and_what_to_do(tmp_path, number, advice):
    path = tmp_path / 'a.csv'
    path.write_text('old')
    with pytest.raises(OSError, match=rf'a\.csv cannot be written.*as it was.*{advice}') as error:
        with written_whole(path) as unfinished:
            unfinished.write_text('ne')
            raise OSError(number, os.strerror(number))
    assert error.value.errno == number
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_a_full_device(tmp_path):
    """What the system itself says of a disk without space."""
    if not os.path.exists('/dev/full'):
        pytest.skip('there is no /dev/full')
    with pytest.raises(OSError, match=r'a\.csv cannot be written: No space left'):
        with written_whole(tmp_path / 'a.csv'), open('/dev/full', 'w') as full:
            full.write('new')
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder(tmp_path):
    if os.geteuid() == 0:
        pytest.skip('root writes everywhere')
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match=r'a\.csv cannot be written.*Make the folder writable'):
            with written_whole(tmp_path / 'a.csv') as unfinished:
                unfinished.write_text('new')
    finally:
        tmp_path.chmod(0o700)


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    (tmp_path / 'a.pth').write_text('whole')
    if (process := os.fork()) == 0:
        with written_whole(tmp_path / 'a.pth') as unfinished:
            unfinished.write_text('hal')
            os._exit(9)
    os.waitpid(process, 0)
    assert len(list(tmp_path.iterdir())) == 2
    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path / 'nowhere')
    assert [path.read_text() for path in tmp_path.iterdir()] == ['whole']


def test_a_file_that_can_be_written_is_left_as_it_is(tmp_path):
    path = tmp_path / 'new' / 'a.csv'
    check_writable(path)
    assert list(path.parent.iterdir()) == []
    path.write_text('old')
    check_writable(path)
    assert path.read_text() == 'old' and list(path.parent.iterdir()) == [path]


def test_a_file_in_the_place_of_the_folder_is_found_before_the_work(tmp_path):
    (tmp_path / 'table').write_text('a file')
    with pytest.raises(OSError, match=r'a\.csv cannot be written.*Name a folder where the path has a file'):
        check_writable(tmp_path / 'table' / 'a.csv')


def test_a_folder_in_the_place_of_the_file_is_found_before_the_work(tmp_path):
    with pytest.raises(IsADirectoryError, match=f'{tmp_path} cannot be written.*Name a file, not a folder'):
        check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_on_a_read_only_system_is_found_before_the_work(monkeypatch, tmp_path):
    def touch(path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(type(tmp_path), 'touch', touch)
    with pytest.raises(OSError, match=r'a\.csv cannot be written.*not read-only'):
        check_writable(tmp_path / 'a.csv')
