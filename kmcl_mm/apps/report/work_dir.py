"""The files in the folder of a training: configuration, best checkpoint, and logs."""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

_TIMESTAMP = '%Y%m%d_%H%M%S'
_BEST = 'best_*.pth'


class Curves(NamedTuple):
    """The logged numbers of a training; tables are empty if nothing was logged.

    Attributes:
        losses: One row per logged iteration, by its number; one column per loss.
        mean_average_precision: One row per validation, by its epoch (in a training by iterations, its iteration); one
            column per mAP in percent, by its name in the log.
        is_by_epoch: Whether validations are counted by epochs.
    """

    losses: pd.DataFrame
    mean_average_precision: pd.DataFrame
    is_by_epoch: bool


def find_config(work_dir: Path) -> Path:
    """Find the configuration in the folder of a training, the newest if there are several.

    Args:
        work_dir: The folder.

    Returns:
        Its path.

    Raises:
        ValueError: There is none.
    """
    if not work_dir.is_dir():
        raise ValueError(
            f'There is no folder {work_dir}. Give the --work-dir of tools/train.py; the path starts from {Path.cwd()}.'
        )
    newest = _newest(work_dir.glob('*.py'))
    if newest is None:
        raise ValueError(f'{work_dir} has no configuration (*.py). Give the --work-dir of tools/train.py.')
    return newest


def find_best_checkpoint(work_dir: Path) -> Path:
    """Find the best checkpoint of a training, the newest if there are several.

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
        advice = f'Give one of {", ".join(others)}' if others else 'Give one'
        raise ValueError(
            f'{work_dir} has no best checkpoint ({_BEST}), which the first validation writes. {advice} with '
            '--checkpoint, or train until the first validation.'
        )
    return newest


def _newest(paths: Iterable[Path]) -> Path | None:
    return max(paths, key=lambda path: (path.stat().st_mtime, path.name), default=None)


def find_start(work_dir: Path) -> datetime | None:
    """Find when the training was last started or resumed.

    Args:
        work_dir: The folder of the training.

    Returns:
        The time in the name of the log's folder, or None if there is no log.
    """
    logs = _logs(work_dir)
    return datetime.strptime(logs[-1].parts[-3], _TIMESTAMP) if logs else None


def _logs(work_dir: Path) -> list[Path]:
    """The logs of all starts of the training, oldest first."""
    found = work_dir.glob('*/vis_data/scalars.json')
    return sorted(path for path in found if re.fullmatch(r'\d{8}_\d{6}', path.parts[-3]))


def read_curves(work_dir: Path) -> Curves:
    """Read the losses and mAP of a training, joined over its resumed parts.

    A later log replaces the same and later iterations of an earlier one, so a resumed training continues the curves,
    and one that starts from the beginning replaces them. In a training by iterations, a validation that is logged
    without its iteration gets that of the last training line before it.

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
    losses: dict[int, dict[str, Any]] = {}
    validations: dict[int, dict[str, Any]] = {}
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


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, without one that a killed training left incomplete."""
    lines = []
    for text in path.read_text(encoding='utf-8').splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(line, dict) and 'step' in line:
            lines.append(line)
    return lines


def _counts_epochs(lines: list[dict[str, Any]]) -> bool:
    """Whether the validations of a log are numbered by epochs.

    In a training by iterations MMEngine numbers them by iteration or, before the end of an epoch, all with 0.
    """
    highest = max(line.get('epoch', 0) for line in lines)
    return highest > 0 and all(0 < line['step'] <= highest for line in lines if 'loss' not in line)


def _table(lines: dict[int, dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame.from_dict(lines, orient='index').reindex(columns=columns).astype(float)
    return table.dropna(how='all').sort_index()
