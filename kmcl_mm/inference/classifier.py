"""From a configuration and a checkpoint to predictions."""

from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.utils import track_iter_progress
from mmpretrain.apis import get_model
from mmpretrain.structures import DataSample
from torch import nn
from torch.utils.data import DataLoader

from .. import host
from ..conversion import load_weights


def load_classifier(cfg: Config, checkpoint: Union[str, Path]) -> Tuple[BaseModel, Dict[str, Any]]:
    """Build a configuration's model with a checkpoint's weights and, where it has some, its fitted thresholds.

    Args:
        cfg: The configuration; its backbone is left without pretrained weights, since the checkpoint has them all.
        checkpoint: Path of the checkpoint.

    Returns:
        The model in evaluation mode, on a GPU if there is one, and the checkpoint.

    Raises:
        ValueError: The checkpoint is not whole, could run code, lacks weights or is of another model; or the model of
            the configuration cannot be built.
        FileNotFoundError: There is no such checkpoint.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model = _build(cfg)
    content, initial = load_weights(model, checkpoint)
    if initial:
        raise ValueError(
            f'Expected {checkpoint} to have all weights of the model, but it has no {", ".join(initial)}: it would '
            'predict at random. Train it first (load_from).'
        )
    return model, content


def _build(cfg: Config) -> BaseModel:
    if 'model' not in cfg:
        raise ValueError(f'Expected {_name(cfg)} to have a `model`, but it has none. Name one of a training.')
    host.leave_out_pretrained_weights(cfg)
    host.allow_no_workers(cfg)
    try:
        return get_model(cfg, device='cuda' if torch.cuda.is_available() else 'cpu')
    except Exception as error:  # Any setting may be wrong in any way.
        raise ValueError(f'Expected {_name(cfg)} to have a model that can be built, but: {error}') from error


def _name(cfg: Config) -> str:
    return f'the configuration {cfg.filename or ""}'.rstrip()


def has_kernels(head: nn.Module) -> bool:
    """Whether a head gives each label a kernel of its own, whose entropy says more than the scores do.

    Args:
        head: A classifier's head.

    Returns:
        False for another head than a KMCLHead, and for one with ``kernels='embedding'``: there all labels share the
        kernel at the embedding.

    Example:
        >>> from kmcl_mm.models import KMCLHead
        >>> loss = dict(type='KMCLLoss', reconstruction_weight=0)
        >>> [has_kernels(KMCLHead(3, 8, loss=loss, kernels=kernels)) for kernels in ('mapped', 'embedding')]
        [True, False]
    """
    return getattr(head, 'kernels', None) == 'mapped'


def predict(model: BaseModel, loader: DataLoader) -> Iterator[Tuple[Dict[str, Any], List[DataSample]]]:
    """Predict all batches of a loader, with a progress bar and the time left.

    Args:
        model: The model, in evaluation mode.
        loader: The loader.

    Yields:
        Each batch with the data samples that have its predictions.
    """
    for batch in track_iter_progress((loader, len(loader))):
        with torch.inference_mode():
            predictions = model.test_step(batch)
        yield batch, predictions
    print()
