"""Results on the disk: what was made with the same settings is not made again."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from mmengine.config import Config

from kmcl_mm.evaluation.resampling import draw_weights, mean_average_precisions
from kmcl_mm.files import atomic_write

Result = TypeVar('Result')


class Run(NamedTuple):
    """What a training left.

    Attributes:
        scores: Scores of the images it was evaluated on (N, K).
        target: Their targets (N, K): 1, 0, and -1 where the label is left out.
    """

    scores: np.ndarray
    target: np.ndarray

    @property
    def mean_average_precision(self) -> float:
        """The mAP, in percent."""
        return float(mean_average_precisions(self.scores, self.target)[0])

    def resampled(self) -> np.ndarray:
        """The mAP, and those with the images drawn again (1 + R,); the same images for all runs on as many."""
        return mean_average_precisions(self.scores, self.target, draw_weights(len(self.target), resamplings=500))


def settings_of(cfg: Config, **others: Any) -> str:
    """What a run depends on, as text."""
    parts = {name: cfg[name] for name in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'train_dataloader')}
    return json.dumps({**parts, **others}, sort_keys=True, default=str)


def path_of(folder: Path, *parts: Any, settings: str) -> Path:
    """The file of a result.

    Args:
        folder: The folder of all results.
        parts: What the result is of, for people.
        settings: All that the result depends on; other settings have another file.

    Returns:
        The path, whose ending is ``.npz``.
    """
    digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
    names = [re.sub(r'[^\w.-]+', '_', str(part)) for part in parts]
    return folder.joinpath(*names[:-1], f'{names[-1]}-{digest}.npz')


def kept(path: Path, kind: type[Result], make: Callable[[], Result]) -> Result:
    """The result in a file, which is made and kept there if it is not yet.

    Args:
        path: The file.
        kind: A NamedTuple of arrays and numbers.
        make: Makes the result.

    Returns:
        The result.
    """
    if not path.is_file():
        with atomic_write(path) as unfinished:
            np.savez_compressed(unfinished, **make()._asdict())
    with np.load(path) as arrays:
        return kind(*(arrays[name] if arrays[name].ndim else arrays[name].item() for name in kind._fields))


def options_of(data_root: Path, checkpoint: Path) -> dict[str, Any]:
    """Settings of a configuration that say where images and weights are."""
    loaders = {f'{split}_dataloader.dataset.data_root': str(data_root) for split in ('train', 'val', 'test')}
    return {'model.backbone.checkpoint_path': str(checkpoint), **loaders}
