"""Files that are there whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union


@contextmanager
def written_whole(path: Union[str, Path]) -> Iterator[Path]:
    """A path to write to, whose file takes the place of another when it is complete and on the disk.

    Where writing fails, what was there before stays, and nothing is left beside it.

    Args:
        path: The file to write or to replace; its folder is made where it is missing.

    Yields:
        A path in the same folder, with the same ending.

    Example:
        >>> from pathlib import Path
        >>> folder = getfixture('tmp_path')
        >>> with written_whole(folder / 'table.csv') as unfinished:
        ...     _ = unfinished.write_text('label,images')
        >>> [file.name for file in folder.iterdir()]
        ['table.csv']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'.{os.getpid()}_{path.name}')
    try:
        yield unfinished
        with unfinished.open('rb') as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
