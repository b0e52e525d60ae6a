"""Results of runs on the disk: what is there is not run again."""

import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple

import numpy as np
from mmengine.config import Config

from kmcl_mm.files import written_whole


class Run(NamedTuple):
    """What a training left.

    Attributes:
        scores: Scores of the images it was evaluated on (N, K).
        target: Their targets (N, K): 1, 0, and -1 where the label is left out.
        seconds_a_step: Time of a step of the training.
    """

    scores: np.ndarray
    target: np.ndarray
    seconds_a_step: float


def settings_of(cfg: Config, **others: Any) -> str:
    """What a run depends on, as text."""
    parts = {name: cfg[name] for name in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'train_dataloader')}
    return json.dumps({**parts, **others}, sort_keys=True, default=str)


def kept(path: Path, settings: str, train: Callable[[], Run]) -> Run:
    """The run in a file, if it was made with these settings; else it is made and kept there.

    Args:
        path: The file, ``.npz``.
        settings: What the run depends on.
        train: Makes the run.

    Returns:
        The run.
    """
    if path.is_file():
        with np.load(path) as arrays:
            if str(arrays['settings']) == settings:
                return Run(arrays['scores'], arrays['target'], float(arrays['seconds_a_step']))
    run = train()
    with written_whole(path) as unfinished:
        np.savez_compressed(unfinished, settings=settings, **run._asdict())
    return run


def file_name(*parts: Any) -> Path:
    """A path whose parts are names of anything."""
    *folders, name = (re.sub(r'[^\w.-]+', '_', str(part)) for part in parts)
    return Path(*folders, f'{name}.npz')


def options_of(data_root: Path, checkpoint: Path) -> Dict[str, Any]:
    """Settings of a configuration that say where images and weights are."""
    loaders = {f'{split}_dataloader.dataset.data_root': str(data_root) for split in ('train', 'val', 'test')}
    return {'model.backbone.checkpoint_path': str(checkpoint), **loaders}
