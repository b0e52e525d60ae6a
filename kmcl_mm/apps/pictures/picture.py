"""Saving of figures, and names of labels in them."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from ...files import atomic_write

# Decorator of functions that draw names, in which a `$` must not start a formula.
names_as_they_are = rc_context({'text.parse_math': False})
# A no-break space.
_NO_BREAK = '\u00a0'


def save_picture(figure: Figure, path: Path, **settings: Any) -> None:
    """Write a figure atomically.

    Args:
        figure: The figure.
        path: The file to write or to replace; its ending determines the format. Its folder is made if it is missing.
        **settings: Settings of ``Figure.savefig``.
    """
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished, **settings)


def wrap_names(names: Sequence[str], width: int, start: str = '') -> str:
    """Wrap names in lines that break between names only.

    Args:
        names: The names, which may have spaces.
        width: Characters per line; a longer name gets its own line.
        start: Text before the first name.

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
