"""Errors that several parts of the package know, and helpers for messages."""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.error import HTTPError


class UnreadableImageError(ValueError):
    """An image file is missing, or its content is not a complete image."""


def is_missing_file(error: BaseException) -> bool:
    """Tell a missing file from a storage that does not answer or refuses to.

    Args:
        error: What reading the file has raised, in any of MMEngine's storage backends.

    Returns:
        True where there is no such file. False for all else, such as a lost connection, a missing permission or too
        many open files: the file may be there, and others would fail in the same way.

    Example:
        >>> is_missing_file(FileNotFoundError(2, 'No such file')), is_missing_file(PermissionError(13, 'Denied'))
        (True, False)
    """
    if isinstance(error, HTTPError):
        return error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
    return isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError))


def listed(names: Sequence[str], most: int = 5) -> str:
    """List names in a sentence.

    Args:
        names: The names.
        most: How many to write out.

    Returns:
        'a, b, c', followed by the number of the remaining names if there are more than ``most``.

    Example:
        >>> listed('abc', most=2)
        'a, b and 1 more'
    """
    rest = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(str(name) for name in names[:most]) + rest


def shorten(text: str, most: int = 500) -> str:
    """Shorten a text for a message: a broken file can hold a very long one.

    Args:
        text: The text.
        most: How many of its characters to keep.

    Returns:
        The text, or its start and its length.

    Example:
        >>> shorten('name'), shorten('n' * 1000, most=3)
        ('name', 'nnn... (1000 characters)')
    """
    return text if len(text) <= most else f'{text[:most]}... ({len(text)} characters)'
