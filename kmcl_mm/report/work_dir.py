"""What a training leaves in its folder: the configuration, the best checkpoint, and the curves."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

import pandas as pd

_TIMESTAMP = '%Y%m%d_%H%M%S'
_BEST = 'best_*.pth'


class Curves(NamedTuple):
    """What a training has logged; empty tables where it has logged nothing.

    Attributes:
        losses: A row for each logged iteration, by its number; a column for each loss.
        mean_average_precision: A row for each validation, by its epoch (in a training by iterations, by its iteration);
            a column for each mAP in percent, by its name in the log.
        is_by_epoch: Whether validations are counted by epochs.
    """

    losses: pd.DataFrame
    mean_average_precision: pd.DataFrame
    is_by_epoch: bool


def find_config(work_dir: Path) -> Path:
    """The configuration that a training has left in its folder; the newest, where there are several.

    Args:
        work_dir: The folder.

    Returns:
        Its path.

    Raises:
        ValueError: There is none.
    """
    if not work_dir.is_dir():
        raise ValueError(
            f'Expected {work_dir} to be the folder of a training, but there is no such folder. Give the --work-dir of '
            f'tools/train.py; the path starts from {Path.cwd()}.'
        )
    newest = _newest(work_dir.glob('*.py'))
    if newest is None:
        raise ValueError(
            f'Expected {work_dir} to have the configuration of a training (*.py), but there is none. Give the '
            '--work-dir of tools/train.py.'
        )
    return newest


def find_best_checkpoint(work_dir: Path) -> Path:
    """The best checkpoint of a training; the newest, where there are several.

    Args:
        work_dir: The folder of the training.

    Returns:
        Its path. A copy of it with fitted thresholds is newer.

    Raises:
        ValueError: There is none.

    Example:
        >>> folder = getfixture('tmp_path')
        >>> (folder / 'best_mAP_epoch_9.pth').touch()
        >>> find_best_checkpoint(folder).name
        'best_mAP_epoch_9.pth'
    """
    newest = _newest(work_dir.glob(_BEST))
    if newest is None:
        others = sorted(path.name for path in work_dir.glob('*.pth'))
        advice = f'Name one of {", ".join(others)}' if others else 'Name one'
        raise ValueError(
            f'Expected {work_dir} to have the best checkpoint of a training ({_BEST}), but there is none: it is '
            f'written with a validation. {advice} with --checkpoint, or train until after the first validation.'
        )
    return newest


def _newest(paths: Iterable[Path]) -> Optional[Path]:
    return max(paths, key=lambda path: (path.stat().st_mtime, path.name), default=None)


def find_start(work_dir: Path) -> Optional[datetime]:
    """When the training was last started or resumed.

    Args:
        work_dir: The folder of the training.

    Returns:
        The time that the name of the log's folder tells, or None where there is no log.
    """
    logs = _logs(work_dir)
    return datetime.strptime(logs[-1].parts[-3], _TIMESTAMP) if logs else None


def _logs(work_dir: Path) -> List[Path]:
    """The logged numbers of each start of the training, in order of time."""
    found = work_dir.glob('*/vis_data/scalars.json')
    return sorted(path for path in found if re.fullmatch(r'\d{8}_\d{6}', path.parts[-3]))


def read_curves(work_dir: Path) -> Curves:
    """The losses and mAP that a training has logged, joined where it was resumed.

    A later log takes the place of what an earlier one says of the same iterations and of later ones: a resumed training
    goes on behind, and one that starts anew replaces everything. A validation of a training by iterations that is
    logged without its iteration has that of the training's last line before it.

    Args:
        work_dir: The folder of the training.

    Returns:
        The curves.

    Example:
        >>> log = getfixture('tmp_path') / '20260101_120000/vis_data/scalars.json'
        >>> log.parent.mkdir(parents=True)
        >>> _ = log.write_text('{"loss": 3.5, "loss_asl": 3.5, "epoch": 1, "iter": 10, "step": 10}')
        >>> read_curves(log.parents[2]).losses
            loss_asl
        10       3.5
    """
    losses: Dict[int, Dict[str, Any]] = {}
    validations: Dict[int, Dict[str, Any]] = {}
    is_by_epoch = True
    for path in _logs(work_dir):
        lines = _read_lines(path)
        trained = [line for line in lines if 'loss' in line]
        if trained:
            first = trained[0]
            is_by_epoch = _counts_epochs(lines)
            first_validation = first['epoch' if is_by_epoch else 'step']
            losses = {step: line for step, line in losses.items() if step < first['step']}
            validations = {step: line for step, line in validations.items() if step < first_validation}
        for line in lines:
            if 'loss' in line:
                losses[line['step']] = line
            else:
                validations[line['step'] if is_by_epoch else line['step'] or max(losses, default=0)] = line
    names = dict.fromkeys(name for line in losses.values() for name in line if name.startswith('loss_'))
    scores = dict.fromkeys(
        name for line in validations.values() for name in line if re.fullmatch(r'(.*/)?mAP(_origin)?', name)
    )
    return Curves(_table(losses, list(names) or ['loss']), _table(validations, list(scores)), is_by_epoch)


def _read_lines(path: Path) -> List[Dict[str, Any]]:
    """The lines of a log; one that a killed training did not finish is left out."""
    lines = []
    for text in path.read_text(encoding='utf-8').splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(line, dict) and 'step' in line:
            lines.append(line)
    return lines


def _counts_epochs(lines: List[Dict[str, Any]]) -> bool:
    """Whether the validations of a log are numbered by the epochs that its other lines name.

    The host numbers those of a training by iterations either by iteration or, as they are after no whole epoch, all
    with 0.
    """
    highest = max(line.get('epoch', 0) for line in lines)
    return highest > 0 and all(0 < line['step'] <= highest for line in lines if 'loss' not in line)


def _table(lines: Dict[int, Dict[str, Any]], columns: List[str]) -> pd.DataFrame:
    table = pd.DataFrame.from_dict(lines, orient='index').reindex(columns=columns).astype(float)
    return table.dropna(how='all').sort_index()
