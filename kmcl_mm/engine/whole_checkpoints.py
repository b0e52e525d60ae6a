"""Which checkpoint to go on from: the newest one that is whole."""

import os
import re
import zipfile
from pathlib import Path

from .checkpoint import has_damage, is_trouble_of_machine, load_safely

# Names of the checkpoints that hold a whole training state; best weights and copies with thresholds are other kinds.
_NAME = re.compile(r'(epoch|iter)_\d+\.pth')


def newest_whole_checkpoint(work_dir: str | Path, folder: str | Path | None = None) -> tuple[str | None, list[str]]:
    """Find the checkpoint to resume from: the last one written, or the newest before it that is whole.

    The file ``last_checkpoint`` names the last one. Its folder may have been copied or moved since, so only the file's
    name counts. Where it is missing or names one that is not there, or not whole, the others in the folder are tried,
    the newest first.

    Args:
        work_dir: The folder of the training.
        folder: The folder of its checkpoints, or its address in another storage. Default: ``work_dir``.

    Returns:
        The path, or None where the folder has no whole checkpoint; and the paths of those before it that are not whole.

    Raises:
        OSError: A file cannot be opened or read, which says nothing about its content.
    """
    broken: list[str] = []
    for path in _candidates(Path(work_dir), str(folder or work_dir)):
        # Another storage than a local disk looks after its files itself.
        if '://' in path or _is_whole(path):
            return path, broken
        broken.append(path)
    return None, broken


def _is_whole(path: str) -> bool:
    """Whether a file is a checkpoint, in torch's older format too, with nothing missing and nothing changed."""
    if zipfile.is_zipfile(path):
        return not has_damage(path)
    try:
        load_safely(path, 'cpu')
    except Exception as error:  # A damaged file can fail in any way.
        if is_trouble_of_machine(error):
            raise
        return False
    return True


def _candidates(work_dir: Path, folder: str) -> list[str]:
    """Checkpoints to resume from, the first choice first."""
    try:
        last = (work_dir / 'last_checkpoint').read_text(encoding='utf-8').strip()
    except (OSError, UnicodeDecodeError):
        last = ''
    name = re.split(r'[/\\]', last)[-1]
    if '://' in folder:
        return [f'{folder.rstrip("/")}/{name}'] if name else []
    others = [path for path in Path(folder).glob('*.pth') if _NAME.fullmatch(path.name)]
    paths = sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)
    first = [Path(folder, name)] if name and os.path.isfile(os.path.join(folder, name)) else []
    return [str(path) for path in (*first, *(path for path in paths if path not in first))]
