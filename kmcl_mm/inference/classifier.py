"""From a configuration and a checkpoint to predictions."""

from typing import Any, Dict, Iterator, List, Tuple

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmengine.utils import track_iter_progress
from mmpretrain.apis import get_model
from mmpretrain.structures import DataSample
from torch.utils.data import DataLoader

from .. import host
from ..engine.fitted_thresholds_hook import use_fitted_thresholds


def load_classifier(cfg: Config, checkpoint: str) -> Tuple[BaseModel, Dict[str, Any]]:
    """Build a configuration's model with a checkpoint's weights and, where it has some, its fitted thresholds.

    Args:
        cfg: The configuration; its backbone is left without pretrained weights, since the checkpoint has them all.
        checkpoint: Path of the checkpoint.

    Returns:
        The model in evaluation mode, on a GPU if there is one, and the checkpoint.

    Raises:
        ValueError: The checkpoint is not whole or could run code.
        RuntimeError: It is of another model.
    """
    init_default_scope(cfg.default_scope)
    host.leave_out_pretrained_weights(cfg)
    host.allow_no_workers(cfg)
    model = get_model(cfg, device='cuda' if torch.cuda.is_available() else 'cpu')
    content = load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    use_fitted_thresholds(model, content)
    return model, content


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
