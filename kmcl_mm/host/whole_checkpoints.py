"""Checkpoints that are written whole or not at all, and the newest whole one to go on from."""

import logging
import os
import re
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from ..files import written_whole

# Names of the checkpoints that hold a whole training state; best weights and copies with thresholds are other kinds.
_NAME = re.compile(r'(epoch|iter)_\d+\.pth')


def write_checkpoints_whole() -> None:
    """Let MMEngine write a checkpoint whole or not at all.

    Fault: it writes over the file in place. Where the process is killed meanwhile or the disk is full, half a
    checkpoint stands where a whole one was.
    """
    from mmengine import runner as package
    from mmengine.fileio import LocalBackend, get_file_backend
    from mmengine.runner import checkpoint, runner

    save = checkpoint.save_checkpoint
    if save.__module__ == __name__:
        return

    def save_whole(
        checkpoint: Dict[str, Any],
        filename: str,
        file_client_args: Optional[Dict[str, Any]] = None,
        backend_args: Optional[Dict[str, Any]] = None,
    ) -> None:
        is_local = file_client_args is None and isinstance(
            get_file_backend(filename, backend_args=backend_args), LocalBackend
        )
        if not is_local or '://' in filename:
            save(checkpoint, filename, file_client_args, backend_args)
            return
        with written_whole(filename) as unfinished:
            save(checkpoint, str(unfinished), None, backend_args)

    package.save_checkpoint = checkpoint.save_checkpoint = runner.save_checkpoint = save_whole


def resume_from_whole_checkpoints() -> None:
    """Let ``--resume`` go on from the newest checkpoint that can be read.

    Fault: MMEngine takes the one that the file ``last_checkpoint`` names, whatever state it is in, and none where that
    file is missing, be there checkpoints or not.
    """
    from mmengine import runner as package
    from mmengine.runner import checkpoint, runner

    package.find_latest_checkpoint = newest_whole_checkpoint
    checkpoint.find_latest_checkpoint = runner.find_latest_checkpoint = newest_whole_checkpoint


def newest_whole_checkpoint(work_dir: Union[str, Path]) -> Optional[str]:
    """Path of the checkpoint to resume from: the last one written, or the newest before it that can be read.

    The file ``last_checkpoint`` names the last one. Where that file is missing or names one that is not there, or not
    whole, the others in the folder are tried, the newest first; each that is not whole is named in the log. All
    processes get the answer of the first one.

    Args:
        work_dir: The folder of the training.

    Returns:
        The path, or None where the folder holds no checkpoint at all.

    Raises:
        ValueError: There are checkpoints, but none is whole.
    """
    from mmengine.dist import broadcast_object_list, is_main_process
    from mmengine.logging import print_log

    answer: List = [None]
    if is_main_process():
        answer = [_find(Path(work_dir))]
    broadcast_object_list(answer)
    path, broken = answer[0]
    if path is None and broken:
        raise ValueError(
            f'Expected a whole checkpoint to resume from in {work_dir}, but got files that cannot be read: '
            f'{", ".join(broken)}. Copy one from elsewhere, or remove them to start from the beginning.'
        )
    for name in broken:
        print_log(
            f'The checkpoint {name} is not whole, it may have been cut short. Resuming from {path} instead.',
            logger='current',
            level=logging.ERROR,
        )
    return path


def is_whole(path: Union[str, Path]) -> bool:
    """Whether a file is a checkpoint as torch writes it, with nothing missing and nothing changed.

    Nothing in it is loaded; its checksums are read.

    Args:
        path: The file.

    Returns:
        Whether it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # A damaged archive can fail in any way.
        return False


def _find(work_dir: Path) -> Tuple[Optional[str], List[str]]:
    """The path and the broken ones that come before it."""
    broken: List[str] = []
    for path in _candidates(work_dir):
        # Elsewhere than on a local disk, the host looks after it.
        if '://' in path or is_whole(path):
            return path, broken
        broken.append(path)
    return None, broken


def _candidates(work_dir: Path) -> List[str]:
    """Checkpoints to resume from, the first choice first."""
    try:
        last = (work_dir / 'last_checkpoint').read_text().strip()
    except (OSError, UnicodeDecodeError):
        last = ''
    others = [path for path in work_dir.glob('*.pth') if _NAME.fullmatch(path.name)]
    paths = [str(path) for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)]
    if '://' in last or os.path.isfile(last):
        return [last, *(path for path in paths if Path(path).name != Path(last).name)]
    return paths
