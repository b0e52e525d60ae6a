"""Losses in full precision, whatever the network's is."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar('Function', bound=Callable)


def full_precision(function: Function) -> Function:
    """Run a function in float32 (float64 stays float64), with autocast off.

    Args:
        function: A function or method, with at least one tensor among its arguments.

    Returns:
        The function, whose floating-point tensors are converted before it sees them.

    Example:
        >>> product = full_precision(torch.matmul)
        >>> with torch.autocast('cpu', torch.bfloat16):
        ...     product(torch.ones(1, 1, dtype=torch.bfloat16), torch.ones(1, 1)).dtype
        torch.float32
    """

    @functools.wraps(function)
    def in_full_precision(*args: Any, **kwargs: Any) -> Any:
        device = next(value.device for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        with _without_autocast(device):
            return function(*map(_converted, args), **{name: _converted(value) for name, value in kwargs.items()})

    return in_full_precision  # type: ignore[return-value]


def _without_autocast(device: torch.device) -> AbstractContextManager:
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def _converted(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.promote_types(value.dtype, torch.float32))
    return value
