"""The classifier within wrappers."""

from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn


def unwrap(model: nn.Module) -> Any:
    """Take a model out of the wrappers of distributed training and of test-time augmentation.

    Args:
        model: The model, wrapped or not.

    Returns:
        The model itself.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> unwrap(layer) is layer
        True
    """
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner
