import errno
import os
import socket
import stat
import subprocess
import sys

import pytest

from kmcl_mm.files import atomic_write, check_writable, remove_unfinished


def test_a_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('old')
    with atomic_write(path) as unfinished:
        unfinished.write_text('new')
        assert path.read_text() == 'old' and unfinished.suffix == '.csv'
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


def test_where_writing_fails_the_old_one_stays(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('old')
    with pytest.raises(OSError, match='No space'), atomic_write(path) as unfinished:
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
    with pytest.raises(OSError, match=rf'a\.csv cannot be written.*is unchanged.*{advice}') as error:
        with atomic_write(path) as unfinished:
            unfinished.write_text('ne')
            raise OSError(number, os.strerror(number))
    assert error.value.errno == number
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_a_full_device(tmp_path):
    """What the system itself says of a disk without space."""
    if not os.path.exists('/dev/full'):
        pytest.skip('there is no /dev/full')
    with pytest.raises(OSError, match=r'a\.csv cannot be written: No space left'):
        with atomic_write(tmp_path / 'a.csv'), open('/dev/full', 'wb') as full:
            full.write(b'new')
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder(tmp_path):
    if os.geteuid() == 0:
        pytest.skip('root writes everywhere')
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match=r'a\.csv cannot be written.*Make the folder writable'):
            with atomic_write(tmp_path / 'a.csv') as unfinished:
                unfinished.write_text('new')
    finally:
        tmp_path.chmod(0o700)


def killed_while_writing(path):
    """Let a process be killed in the middle of a file; returns what it leaves behind."""
    if (process := os.fork()) == 0:
        with atomic_write(path) as unfinished:
            unfinished.write_text('hal')
            os._exit(9)
    os.waitpid(process, 0)
    (left,) = (other for other in path.parent.iterdir() if other != path)
    return left


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    (tmp_path / 'a.pth').write_text('whole')
    killed_while_writing(tmp_path / 'a.pth')
    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path / 'nowhere')
    assert [path.read_text() for path in tmp_path.iterdir()] == ['whole']


WRITES_AND_WAITS = """
import sys
from kmcl_mm.files import atomic_write
with atomic_write(sys.argv[1]) as unfinished:
    unfinished.write_bytes(b'half')
    print('writing', flush=True)
    sys.stdin.read()
    unfinished.write_bytes(b'whole')
"""


def test_what_a_living_process_is_writing_stays(tmp_path):
    """Two trainings, or a training and a tool, in one folder."""
    command = [sys.executable, '-c', WRITES_AND_WAITS, str(tmp_path / 'a.pth')]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b'writing'
        remove_unfinished(tmp_path)
        with atomic_write(tmp_path / 'b.pth') as unfinished:
            unfinished.write_bytes(b'mine')
            remove_unfinished(tmp_path)
        process.communicate(timeout=60)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {'a.pth': b'whole', 'b.pth': b'mine'}


def test_what_another_machine_is_writing_stays_for_a_day(tmp_path, monkeypatch):
    """Nobody here can tell whether its process is alive."""
    monkeypatch.setattr(socket, 'gethostname', lambda: 'another-machine')
    left = killed_while_writing(tmp_path / 'a.pth')
    monkeypatch.undo()
    assert 'another-machine' in left.name
    remove_unfinished(tmp_path)
    assert left.exists()
    two_days_ago = left.stat().st_mtime - 2 * 24 * 60 * 60
    os.utime(left, (two_days_ago, two_days_ago))
    remove_unfinished(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize('name', ['.unfinished_', '.unfinished_1_a.pth', '.unfinished_x@y@a.pth', '.unfinished_1@'])
def test_other_names_are_left_alone(tmp_path, name):
    (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize('target', ['target.csv', 'other/target.csv'])
@pytest.mark.parametrize('is_there', [True, False])
def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path, target, is_there):
    target, link = tmp_path / target, tmp_path / 'link.csv'
    if is_there:
        target.parent.mkdir(exist_ok=True)
        target.write_text('old')
    link.symlink_to(target)
    check_writable(link)
    with atomic_write(link) as unfinished:
        assert unfinished.parent == target.parent and unfinished.suffix == '.csv'
        unfinished.write_text('new')
    assert link.is_symlink() and target.read_text() == link.read_text() == 'new'
    assert not target.is_symlink() and list(target.parent.glob('.*')) == []


def test_the_message_about_a_link_names_the_link(tmp_path):
    (tmp_path / 'table').write_text('a file')
    (tmp_path / 'link.csv').symlink_to(tmp_path / 'table/a.csv')
    with pytest.raises(OSError, match=r'link\.csv cannot be written.*Name a folder where the path has a file'):
        check_writable(tmp_path / 'link.csv')
    with pytest.raises(OSError, match=r'link\.csv cannot be written'), atomic_write(tmp_path / 'link.csv'):
        pytest.fail('it was written')


@pytest.mark.parametrize('mode', [0o600, 0o640, 0o664, 0o444])
def test_a_replaced_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / 'a.csv'
    path.write_text('old')
    path.chmod(mode)
    with atomic_write(path) as unfinished:
        unfinished.write_text('new')
    assert stat.S_IMODE(path.stat().st_mode) == mode and path.read_text() == 'new'


def test_a_new_file_has_the_mode_of_any_other(tmp_path):
    with atomic_write(tmp_path / 'a.csv') as unfinished:
        unfinished.write_text('new')
    (tmp_path / 'b.csv').touch()
    assert (tmp_path / 'a.csv').stat().st_mode == (tmp_path / 'b.csv').stat().st_mode


def test_the_file_is_synchronised_through_a_handle_for_writing(tmp_path, monkeypatch):
    """Windows refuses another one."""
    fcntl = pytest.importorskip('fcntl')
    synchronised, fsync = [], os.fsync

    def spy(handle):
        if stat.S_ISREG(os.fstat(handle).st_mode):
            synchronised.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)
        fsync(handle)

    monkeypatch.setattr(os, 'fsync', spy)
    with atomic_write(tmp_path / 'a.csv') as unfinished:
        unfinished.write_text('new')
    assert synchronised == [os.O_RDWR] and (tmp_path / 'a.csv').read_text() == 'new'


def test_a_device_stays_one(tmp_path):
    """As root, ``--out /dev/null`` would put a file in its place."""
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    for write in (check_writable, lambda path: atomic_write(path).__enter__()):
        with pytest.raises(OSError, match='Expected a regular file or none: .*pipe'):
            write(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and list(tmp_path.iterdir()) == [pipe]


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
