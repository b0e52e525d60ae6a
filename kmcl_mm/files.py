"""Files that are complete or not there at all."""

import errno
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# An unfinished file has in its name: process, machine (several may share a folder), name of the file.
_PREFIX = '.unfinished_'
_NAME = re.compile(re.escape(_PREFIX) + r'(\d+)@([^@]*)@.+')
# No file is written for this long.
_SECONDS_TO_KEEP = 24 * 60 * 60
_ADVICE = {
    errno.ENOSPC: 'Free some space',
    errno.EDQUOT: 'Free some space of your quota',
    errno.EFBIG: 'Allow larger files (ulimit -f)',
    errno.EACCES: 'Make the folder writable',
    errno.EPERM: 'Make the folder writable',
    errno.EROFS: 'Write to a folder that is not read-only',
    errno.EIO: 'Check the disk',
    errno.EISDIR: 'Name a file, not a folder',
    errno.ENOTDIR: 'Name a folder where the path has a file',
    errno.EEXIST: 'Name a folder where the path has a file',
}


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A path to write to; once complete and on the disk, the file written there replaces the one at ``path``.

    If writing fails, the previous file stays as it was and nothing else is left. A process that is killed while it
    writes leaves its unfinished file behind, see :func:`remove_unfinished`.

    Args:
        path: The file to write or to replace. Missing folders are created. A symbolic link stays, and its target is
            replaced. The new file has the permissions of the one it replaces.

    Yields:
        A path in the folder of the file, with the same ending.

    Raises:
        OSError: The file cannot be written. If the disk is full, the folder is read-only or the like, the message
            names the file and says what to do.

    Example:
        >>> from pathlib import Path
        >>> folder = getfixture('tmp_path')
        >>> with atomic_write(folder / 'table.csv') as unfinished:
        ...     _ = unfinished.write_text('label,images')
        >>> [file.name for file in folder.iterdir()]
        ['table.csv']
    """
    with _prepared(path) as (target, unfinished):
        try:
            yield unfinished
            # Windows synchronises only what is open for writing.
            with unfinished.open('r+b') as file:
                os.fsync(file.fileno())
            # There may be no file to replace, or no permissions on this file system.
            with suppress(OSError):
                shutil.copymode(target, unfinished)
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync_folder(target.parent)


def check_writable(path: str | Path) -> None:
    """Refuse a file that cannot be written, before the work whose results it is for.

    Args:
        path: The file; it is left as it is. Missing folders are created.

    Raises:
        OSError: As :func:`atomic_write` would raise, for what can be known before.
    """
    with _prepared(path) as (_, unfinished):
        unfinished.touch()
        unfinished.unlink()


@contextmanager
def _prepared(path: str | Path) -> Iterator[tuple[Path, Path]]:
    """The file to replace and the path to write to; an error names the file and says what to do."""
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(f'{_PREFIX}{os.getpid()}@{socket.gethostname()}@{target.name}')
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        if target.exists() and not target.is_file():
            raise OSError(errno.EINVAL, 'Expected a regular file or none', str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        yield target, unfinished
    except OSError as error:
        is_about_it = error.filename in (None, *map(str, (unfinished, target, *target.parents)))
        if error.errno not in _ADVICE or not is_about_it:
            raise
        raise OSError(
            error.errno,
            f'{path} cannot be written: {error.strerror}. A previous file of this name is unchanged. '
            f'{_ADVICE[error.errno]}, then continue (a training with --resume).',
        ) from error


def remove_unfinished(folder: str | Path) -> None:
    """Remove the files that killed processes were writing to a folder.

    Files of living processes stay. Those of other machines, whose processes are not known here, stay for a day.

    Args:
        folder: The folder; it need not exist.
    """
    for path in Path(folder).glob(f'{_PREFIX}*'):
        # Another process may remove or finish it at the same time.
        with suppress(FileNotFoundError):
            if _is_abandoned(path):
                path.unlink()


def _is_abandoned(path: Path) -> bool:
    name = _NAME.fullmatch(path.name)
    if name is None:
        return False
    process, machine = name.groups()
    # On Windows, os.kill would end the process.
    if machine != socket.gethostname() or os.name != 'posix':
        return time.time() - path.stat().st_mtime > _SECONDS_TO_KEEP
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk too, where the system allows it."""
    if os.name != 'posix':
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot do it.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)
