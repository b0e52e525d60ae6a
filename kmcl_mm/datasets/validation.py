"""Reading and checking the files of data sets before training starts."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mmengine.fileio import LocalBackend, get, get_file_backend
from mmengine.logging import print_log

from ..errors import is_missing_file, shorten


@contextmanager
def explain_missing_file(path: str, argument: str) -> Iterator[None]:
    """Say which argument to check if the file that is read in this context does not exist.

    Args:
        path: Path of the file, in any of MMEngine's storage backends.
        argument: The data set's argument that the path comes from, for the message.

    Raises:
        FileNotFoundError: There is no such file.
    """
    try:
        yield
    except Exception as error:
        if not is_missing_file(error):
            raise
        raise FileNotFoundError(
            f'Expected the file {path}, but there is none. Check `data_root` and `{argument}` of the '
            'data set in the configuration.'
        ) from error


def read_file(path: str, argument: str) -> bytes:
    """Read a file.

    Args:
        path: Path of the file, in any of MMEngine's storage backends.
        argument: The data set's argument that the path comes from, for the message.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: There is no such file.
    """
    with explain_missing_file(path, argument):
        content = get(path)
        # Some backends return None for a missing file.
        if content is None:
            raise FileNotFoundError(path)
    return bytes(content)


def read_text(path: str, argument: str) -> str:
    """Read a text file.

    Args:
        path: Path of the file, in any of MMEngine's storage backends.
        argument: The data set's argument that the path comes from, for the message.

    Returns:
        The text.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not in UTF-8.
    """
    content = read_file(path, argument)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f'Expected {path} to be text in UTF-8, but it is not: {shorten(str(error))}. Save it again as '
            'UTF-8, or restore the file.'
        ) from error


def check_not_empty(data_list: list, source: str, hint: str) -> None:
    """Refuse a data set without images.

    Args:
        data_list: The data of the images.
        source: The file they come from.
        hint: What to check.

    Raises:
        ValueError: There are none.
    """
    if not data_list:
        raise ValueError(f'Expected {source} to give at least one image, but there is none. {hint}')


def report_left_out(source: str, left_out: int, total: int) -> None:
    """Log how many images are left out because they have no label.

    Args:
        source: File that the images come from.
        left_out: Their number.
        total: Number of all images.
    """
    if left_out:
        print_log(
            f'{source}: {left_out} of {total} images have no label and are left out (filter_empty_gt=False keeps them '
            'as negatives).',
            logger='current',
        )


def check_images(paths: Iterable[str], source: str) -> None:
    """Refuse a list of images if some are missing.

    Each folder is listed once, which is fast for 100,000 images. Images outside the local file system are not looked
    up.

    Args:
        paths: Paths of the images.
        source: The file that names them.

    Raises:
        FileNotFoundError: At least one is missing; the message says how many and names the first.
        ValueError: An address of a storage that MMEngine does not know.
    """
    names_by_folder = defaultdict(list)
    for path in paths:
        folder, name = os.path.split(path)
        names_by_folder[folder].append(name)
    missing: list[str] = []
    total, alike = 0, ''
    for folder, names in names_by_folder.items():
        total += len(names)
        try:
            is_local = isinstance(get_file_backend(folder, enable_singleton=True), LocalBackend)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"Expected each image of {source} to be a file or in one of MMEngine's storage backends, but got "
                f'{shorten(os.path.join(folder, names[0]))}. Download the images, and write their names relative to '
                '`data_prefix`.'
            ) from error
        if not is_local:
            continue
        present = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        absent = [name for name in names if name not in present]
        if absent and not missing:
            stem = os.path.splitext(absent[0])[0]
            alike = next((name for name in sorted(present) if os.path.splitext(name)[0] == stem), '')
        missing += [os.path.join(folder, name) for name in absent]
    if missing:
        hint = (
            'Check `data_root` and `data_prefix` of the data set, whether the names in the annotations are relative to '
            'them, and whether the download is complete.'
        )
        if alike:
            hint = f'There is {alike}: correct the names in the annotations.'
        elif '\\' in os.path.basename(missing[0]):
            hint = 'Write / instead of \\ between folders in the annotations.'
        raise FileNotFoundError(
            f'Expected {total} images of {source}, but {len(missing)} of them are missing, the first of them '
            f'{shorten(missing[0])}. {hint}'
        )
