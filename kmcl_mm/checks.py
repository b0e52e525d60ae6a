"""Checks of arguments, for the functions of this folder and for all that stands above them.

Shapes are known on the host, so these checks never wait for a device. Only :func:`check_target` looks at values, and it
leaves that to the device itself where the tensor is not in host memory.
"""

import math
from numbers import Real
from typing import Any

import torch
from torch import Tensor

# A label of which nobody knows whether the image has it: the losses leave it out.
UNKNOWN = -1


def check_choice(name: str, value: str, choices: tuple) -> None:
    """Refuse a setting that is not one of its choices.

    Args:
        name: Name of the argument, for the message.
        value: What came.
        choices: What is allowed.

    Raises:
        ValueError: ``value`` is not in ``choices``.
    """
    if value not in choices:
        raise ValueError(f'Expected argument `{name}` to be one of {choices}, but got {value!r}.')


def check_at_least(name: str, value: float, lowest: float) -> None:
    """Refuse a number that is too low.

    Args:
        name: Name of the argument, for the message.
        value: What came.
        lowest: The lowest number allowed.

    Raises:
        ValueError: ``value`` is below ``lowest``.
    """
    if value < lowest:
        raise ValueError(f'Expected argument `{name}` to be at least {lowest}, but got {value}.')


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that is no number, or so low that similarities divided by it overflow.

    Args:
        temperature: What came.

    Raises:
        ValueError: ``temperature`` is not a finite number of at least 1e-6.
    """
    if not isinstance(temperature, Real) or not 1e-6 <= temperature < math.inf:
        raise ValueError(
            f'Expected argument `temperature` to be a finite number of at least 1e-6, but got {temperature}.'
        )


def check_shape(name: str, tensor: Tensor, shape: tuple, meaning: str) -> None:
    """Refuse a tensor of another shape than the one expected.

    Args:
        name: Name of the argument, for the message.
        tensor: What came.
        shape: The expected shape, a tuple of int.
        meaning: What the dimensions stand for, such as ``'(N, K)'``.

    Raises:
        ValueError: The shapes differ.
    """
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(
            f'Expected argument `{name}` to have shape {meaning} = {tuple(shape)}, but got {tuple(tensor.shape)}.'
        )


def are_names(classes: Any) -> bool:
    """Tell whether something that a file gives as its classes is a list of names, each once.

    Args:
        classes: What came.

    Returns:
        True for a list or tuple of different texts; an empty one counts.

    Example:
        >>> are_names(('cat', 'dog')), are_names('cat'), are_names(['cat', 'cat']), are_names([1, 2])
        (True, False, False, False)
    """
    is_list = isinstance(classes, (list, tuple)) and all(isinstance(name, str) for name in classes)
    return is_list and len(set(classes)) == len(classes)


def check_kernels(mean: Tensor, variance: Tensor) -> None:
    """Refuse kernel parameters that are neither isotropic (N, K) nor anisotropic (N, M, K), or that differ in shape.

    Args:
        mean: Kernel means (N, K) or (N, M, K).
        variance: Kernel variances, of the same shape.

    Raises:
        ValueError: A wrong number of dimensions, or two shapes.
    """
    if mean.dim() not in (2, 3):
        raise ValueError(
            'Expected argument `mean` to have shape (N, K) for isotropic or (N, M, K) for anisotropic '
            f'kernels, but got {tuple(mean.shape)}.'
        )
    check_shape('variance', variance, mean.shape, 'of `mean`')


def check_target(target: Tensor, shape: tuple) -> None:
    """Refuse targets (N, K) with other values than those that the losses are defined for: 1, 0, and -1 for unknown.

    In host memory a wrong value raises at once. On another device the values are asserted there, when the device comes
    to it, so that the host never has to wait.

    Args:
        target: Targets (N, K).
        shape: The expected shape, a tuple of int.

    Raises:
        ValueError: A wrong shape or, in host memory, another value.
    """
    check_shape('target', target, shape, '(N, K)')
    is_label = (target == 0) | (target == 1) | (target == UNKNOWN)
    message = 'Expected argument `target` to hold only 1, 0 and -1 (unknown)'
    if target.device.type != 'cpu':
        torch._assert_async(is_label.all(), f'{message}.')
    elif not is_label.all():
        wrong = target[~is_label][0].item()
        raise ValueError(
            f'{message}, but got {wrong:g}. Soft or weighted labels are not defined for this loss: '
            'round them before training, or mark them as unknown.'
        )
