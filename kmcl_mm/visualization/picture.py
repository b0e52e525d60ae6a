"""What pictures of images with labels share: lines of names, and how they are written."""

import textwrap
from pathlib import Path
from typing import Any, Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure

from ..files import written_whole

# What draws names is decorated with it: a `$` in the name of a label or a file begins no formula.
names_as_they_are = rc_context({'text.parse_math': False})
# A space at which no line is broken.
_NO_BREAK = '\u00a0'


def save_picture(figure: Figure, path: Path, **settings: Any) -> None:
    """Write a figure; the file is there whole or not at all, and its folder is made where it is missing.

    Args:
        figure: The figure.
        path: The file to write or to replace; its ending decides the format.
        **settings: Settings of ``Figure.savefig``.
    """
    with written_whole(path) as unfinished:
        figure.savefig(unfinished, **settings)


def wrap_names(names: Sequence[str], width: int, start: str = '') -> str:
    """Names in lines that break between two of them.

    Args:
        names: The names, which may have spaces.
        width: Number of letters in a line; a longer name has one of its own.
        start: What stands before the first name.

    Returns:
        The lines.

    Example:
        >>> print(wrap_names(('dining table', 'dog'), 14, 'found: '))
        found:
        dining table,
        dog
    """
    kept_together = ', '.join(name.replace(' ', _NO_BREAK) for name in names)
    lines = textwrap.wrap(start + kept_together, width, break_long_words=False, break_on_hyphens=False)
    return '\n'.join(lines).replace(_NO_BREAK, ' ')
