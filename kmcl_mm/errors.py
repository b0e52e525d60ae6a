"""Errors that one part raises and another one looks for, and the texts in their messages."""

from typing import Sequence


class UnreadableImageError(ValueError):
    """An image file is missing or is not a whole image."""


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a sentence.

    Args:
        names: The names.
        most: How many to write out.

    Returns:
        'a, b, c', with the number of the others where there are more than ``most``.

    Example:
        >>> listed('abc', most=2)
        'a, b and 1 more'
    """
    rest = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(str(name) for name in names[:most]) + rest


def shorten(text: str, most: int = 500) -> str:
    """Cut a text that a message shows, where a broken file has made it long.

    Args:
        text: The text.
        most: How many of its characters are shown.

    Returns:
        The text, or its start and its length.

    Example:
        >>> shorten('name'), shorten('n' * 1000, most=3)
        ('name', 'nnn... (1000 characters)')
    """
    return text if len(text) <= most else f'{text[:most]}... ({len(text)} characters)'
