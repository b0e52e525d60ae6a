"""Configurations that the host would not come to an end with."""

from pathlib import Path
from typing import List, Tuple


def refuse_circular_bases(path: Path, above: Tuple[Path, ...] = ()) -> None:
    """Refuse a configuration that is based on itself.

    Fault: MMEngine follows such bases for a quarter of a minute, until Python's stack is full.

    Args:
        path: The file.
        above: The files that are based on it.

    Raises:
        ValueError: It is based on itself.
    """
    path = path.resolve()
    if path in above:
        raise ValueError(f'it is based on itself, {" > ".join(map(str, (*above, path)))}')
    for base in _bases_of(path):
        if (path.parent / base).is_file():
            refuse_circular_bases(path.parent / base, (*above, path))


def _bases_of(path: Path) -> List[str]:
    from mmengine.config import Config

    try:
        return Config._get_base_files(str(path))
    except Exception:
        # What the host makes of it, once it has put in what the file refers to, is the host's to say.
        return []
