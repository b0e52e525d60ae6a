"""What a checkpoint predicts for the test images of its configuration."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from ...checks import UNKNOWN
from ...engine import KMCLRunner
from ...engine.checkpoint_labels import check_same_labels
from ...evaluation.bootstrapped import groups_of
from ...evaluation.samples import scores_and_target, stack
from ..inference import load_classifier, predict
from ..inference.decision_rule import label_names
from ..report.work_dir import find_best_checkpoint, find_config


@dataclass(frozen=True)
class TestPredictions:
    """A checkpoint's predictions of N test images with K labels.

    Args:
        labels: Names of the labels.
        images: Name of each image.
        scores: Scores (N, K).
        target: Targets (N, K): 1 present, 0 absent, -1 unknown or difficult.
        groups: Which images are of one patient, see :func:`kmcl_mm.evaluation.bootstrapped.groups_of`.
        is_calibrated: Whether the checkpoint has a calibration, see tools/calibrate.py.
    """

    # Tests of this package may import it.
    __test__ = False

    labels: tuple[str, ...]
    images: tuple[str, ...]
    scores: np.ndarray
    target: np.ndarray
    groups: list[Hashable] | None = None
    is_calibrated: bool = False


def find_run(path: Path) -> tuple[Path, Path]:
    """Find the configuration and the checkpoint of a training.

    Args:
        path: The folder of the training, for its best checkpoint; or a checkpoint in this folder.

    Returns:
        Paths of the configuration and of the checkpoint, each the newest if there are several.

    Raises:
        ValueError: One of them is missing.

    Example:
        >>> folder = getfixture('tmp_path')
        >>> for name in ('small.py', 'best_mAP_epoch_9.pth', 'epoch_10.pth'):
        ...     (folder / name).touch()
        >>> [file.name for file in find_run(folder)]
        ['small.py', 'best_mAP_epoch_9.pth']
        >>> [file.name for file in find_run(folder / 'epoch_10.pth')]
        ['small.py', 'epoch_10.pth']
    """
    if path.is_file():
        return find_config(path.parent), path
    if not path.is_dir():
        raise ValueError(f'There is no folder or checkpoint {path}; the path starts from {Path.cwd()}.')
    config = find_config(path)
    try:
        return config, find_best_checkpoint(path)
    except ValueError as error:
        raise ValueError(f'{path} has no best checkpoint (best_*.pth). Give a checkpoint in it instead.') from error


def predict_test_images(cfg: Config, checkpoint: Path, device: str | torch.device | None = None) -> TestPredictions:
    """Predict the test images of a configuration, with a progress bar.

    Args:
        cfg: The configuration.
        checkpoint: The checkpoint.
        device: Where the network runs. Default: a GPU if there is one.

    Returns:
        The predictions, in the order of the data set.

    Raises:
        ValueError: There are no test data, or the checkpoint is of another configuration or of other labels.
    """
    if not cfg.get('test_dataloader'):
        raise ValueError('The configuration has no `test_dataloader`. Add one with the test images.')
    model, content = load_classifier(cfg, checkpoint, device)
    labels = label_names(content, checkpoint, cfg, model.head)
    in_order = dict(cfg.test_dataloader, sampler=dict(type='DefaultSampler', shuffle=False))
    loader = KMCLRunner.build_dataloader(in_order, seed=0)
    check_same_labels(content, checkpoint, loader.dataset.metainfo.get('classes'))
    samples = [sample for _, predictions in predict(model, loader) for sample in predictions]
    scores, target = stack([scores_and_target(sample.to_dict(), UNKNOWN) for sample in samples])
    return TestPredictions(
        labels=tuple(labels),
        images=tuple(Path(sample.get('img_path') or f'image {n}').name for n, sample in enumerate(samples)),
        scores=scores.numpy(),
        target=target.numpy(),
        groups=groups_of(loader.dataset),
        is_calibrated=getattr(model.head, 'calibration', None) is not None,
    )
