"""A trained classifier, built from a configuration and a checkpoint."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.utils import track_iter_progress
from mmpretrain.structures import DataSample
from torch import nn
from torch.utils.data import DataLoader

from ...engine import load_weights
from ...engine.checkpoint_labels import check_same_labels
from ...errors import shorten
from ..model_building import build_model


def load_classifier(
    cfg: Config,
    checkpoint: str | Path,
    device: str | torch.device | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[BaseModel, dict[str, Any]]:
    """Build a configuration's model with a checkpoint's weights and, where it has some, its fitted thresholds.

    Args:
        cfg: The configuration, in which pretrained weights of the backbone are switched off: the checkpoint has all
            weights.
        checkpoint: Path of the checkpoint.
        device: Where the model goes. Default: a GPU if there is one.
        classes: Names of the labels of the data, which must be those of the checkpoint. Default: not compared.

    Returns:
        The model in evaluation mode, and the checkpoint.

    Raises:
        ValueError: The checkpoint is corrupt, could run code, lacks weights or is of another model or other labels; or
            the model of the configuration cannot be built or put on the device.
        FileNotFoundError: There is no such checkpoint.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model = build_model(cfg)
    content, _ = load_weights(model, checkpoint, needs_head=True)
    check_same_labels(content, checkpoint, classes)
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        return model.to(device), content
    except (RuntimeError, AssertionError) as error:  # No such device, or a torch without it.
        raise ValueError(f'The network cannot run on the device {device}: {shorten(str(error))}') from error


def has_kernels(head: nn.Module) -> bool:
    """Whether a head has one kernel per label, so that their entropy says more than the scores do.

    Args:
        head: A classifier's head.

    Returns:
        False for other heads than KMCLHead, and with ``kernels='embedding'``, where all labels share one kernel.

    Example:
        >>> from kmcl_mm.models import KMCLHead
        >>> loss = dict(type='KMCLLoss', reconstruction_weight=0)
        >>> [has_kernels(KMCLHead(3, 8, loss=loss, kernels=kernels)) for kernels in ('mapped', 'embedding')]
        [True, False]
    """
    return getattr(head, 'kernels', None) == 'mapped'


def predict(model: BaseModel, loader: DataLoader) -> Iterator[tuple[dict[str, Any], list[DataSample]]]:
    """Predict all batches of a loader, with a progress bar and the time left.

    Args:
        model: The model, in evaluation mode.
        loader: The loader.

    Yields:
        Each batch, and its data samples with predictions.
    """
    for batch in track_iter_progress((loader, len(loader))):
        with torch.inference_mode():
            predictions = model.test_step(batch)
        yield batch, predictions
    print()
