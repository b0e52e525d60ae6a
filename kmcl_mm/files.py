"""Files that are there whole or not at all."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union

_UNFINISHED = '.unfinished_'
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
def written_whole(path: Union[str, Path]) -> Iterator[Path]:
    """A path to write to, whose file takes the place of another when it is complete and on the disk.

    Where writing fails, what was there before stays, and nothing is left beside it. A process that is killed while it
    writes leaves the unfinished file behind, see :func:`remove_unfinished`.

    Args:
        path: The file to write or to replace; its folder is made where it is missing.

    Yields:
        A path in the same folder, with the same ending.

    Raises:
        OSError: The file cannot be written. Where the disk is full, the folder is read-only or the like, the message
            names the file and says what to do.

    Example:
        >>> from pathlib import Path
        >>> folder = getfixture('tmp_path')
        >>> with written_whole(folder / 'table.csv') as unfinished:
        ...     _ = unfinished.write_text('label,images')
        >>> [file.name for file in folder.iterdir()]
        ['table.csv']
    """
    path = Path(path)
    unfinished = _unfinished(path)
    with _explained(path, unfinished):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
            with unfinished.open('rb') as file:
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync_folder(path.parent)


def check_writable(path: Union[str, Path]) -> None:
    """Refuse a file that cannot be written, before the work whose results it is for.

    Args:
        path: The file; it is left as it is, and its folder is made where it is missing.

    Raises:
        OSError: As :func:`written_whole` would raise, for what can be known before.
    """
    path = Path(path)
    unfinished = _unfinished(path)
    with _explained(path, unfinished):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        unfinished.unlink()


def _unfinished(path: Path) -> Path:
    return path.with_name(f'{_UNFINISHED}{os.getpid()}_{path.name}')


@contextmanager
def _explained(path: Path, unfinished: Path) -> Iterator[None]:
    """Say which file cannot be written, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _ADVICE or error.filename not in (None, *map(str, (unfinished, path, path.parent))):
            raise
        raise OSError(
            error.errno,
            f'{path} cannot be written: {error.strerror}. A file of this name from before is as it was. '
            f'{_ADVICE[error.errno]}, and go on from there (a training with --resume).',
        ) from error


def remove_unfinished(folder: Union[str, Path]) -> None:
    """Remove what killed processes were writing to a folder, in which no other process writes now.

    Args:
        folder: The folder; one that does not exist is left so.
    """
    for path in Path(folder).glob(f'{_UNFINISHED}*'):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Let the new name be on the disk too, where the system has it so."""
    if os.name != 'posix':
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems know no such thing.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)
