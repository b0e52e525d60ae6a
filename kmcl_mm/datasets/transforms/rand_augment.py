"""The published recipe's random operations."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpretrain.registry import TRANSFORMS

from ...checks import check_at_least
from . import operations as ops

# Mean colour of ImageNet, which the published cutout among the operations paints, in BGR.
_CUTOUT_COLOR = (113, 122, 125)
_HIGHEST_LEVEL = 9


class _Operation(NamedTuple):
    """A function of image and magnitude, its magnitudes at levels 0 and 9, and whether its sign is random."""

    function: Callable[..., np.ndarray]
    magnitudes: tuple[float, float] | None = None
    is_signed: bool = False


@TRANSFORMS.register_module()
class UDARandAugment(BaseTransform):
    """Two of fifteen operations, drawn uniformly, each applied with probability 0.5 at a random level.

    The level is uniform in 1 .. 9; a magnitude is level / 9 of its range:

    - invert, autocontrast, equalize: without a magnitude
    - sharpness, colour, contrast, brightness: factor 1 +- (0 to 0.9)
    - posterize: 8 to 4 bits, rounded; solarize: from grey level 256 to 0 on
    - cutout: a square of 0 to 20 pixels, to an even number, of ImageNet's mean colour
    - shear in x and in y: +- (0 to 0.3), bicubic
    - translate in x and in y: +- (0 to 150/331) of the side, whole pixels
    - rotate: 0 to 30 degrees, anticlockwise only, nearest pixel

    MMPretrain's ``RandAugment`` with the same operations differs in some; docs/augmentation.md says how.

    Args:
        num_operations: Number of operations drawn per image; one may be drawn twice.
        probability: Probability that a drawn operation is applied, in [0, 1].
        pad_val: Grey level of the area that shear, translate and rotate leave empty, in [0, 255].

    Raises:
        ValueError: An argument is out of its range, or an image does not have three channels of uint8.

    Required and changed key: ``img`` (H, W, 3), uint8, in BGR.

    Source: the published recipe, with the package randaugment 1.0.2; arXiv:1904.12848 for the policy.
    """

    def __init__(self, num_operations: int = 2, probability: float = 0.5, pad_val: int = 128) -> None:
        check_at_least('num_operations', num_operations, 1)
        if not 0 <= probability <= 1:
            raise ValueError(f'Expected argument `probability` to be in [0, 1], but got {probability}.')
        if not 0 <= pad_val <= 255:
            raise ValueError(f'Expected argument `pad_val` to be in [0, 255], but got {pad_val}.')
        self.num_operations = num_operations
        self.probability = probability
        self.pad_val = pad_val
        self.operations = _published_operations(pad_val)

    @cache_randomness
    def _random_operations(self) -> list[tuple[_Operation, int, int]]:
        """Draw the operations to apply, each with its level and sign."""
        chosen = np.random.randint(len(self.operations), size=self.num_operations)
        is_applied = np.random.random(self.num_operations) < self.probability
        levels = np.random.randint(1, _HIGHEST_LEVEL + 1, size=self.num_operations)
        signs = 2 * np.random.randint(2, size=self.num_operations) - 1
        drawn = zip(chosen[is_applied].tolist(), levels[is_applied].tolist(), signs[is_applied].tolist())
        return [(self.operations[index], level, sign) for index, level, sign in drawn]

    def transform(self, results: dict) -> dict:
        """Apply the drawn operations.

        Args:
            results: The data of an image, with ``img``.

        Returns:
            The same with ``img`` of the same size.

        Raises:
            ValueError: The image does not have three channels of uint8.
        """
        img = results['img']
        if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3:
            raise ValueError(
                f'Expected `img` to be (H, W, 3) and uint8, but got {img.shape} and {img.dtype}. Load it with '
                "color_type='color' and to_float32=False."
            )
        for operation, level, sign in self._random_operations():
            img = _apply(operation, img, level, sign)
        results['img'] = img
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_operations={self.num_operations}, probability={self.probability}, '
            f'pad_val={self.pad_val})'
        )


def _published_operations(pad_val: int) -> list[_Operation]:
    shear, translate = (partial(function, fill=pad_val) for function in (ops.shear, ops.translate))
    return [
        _Operation(ops.invert),
        _Operation(_random_cutout, (0, 20)),
        _Operation(ops.adjust_sharpness, (0, 0.9), is_signed=True),
        _Operation(ops.adjust_color, (0, 0.9), is_signed=True),
        _Operation(ops.adjust_contrast, (0, 0.9), is_signed=True),
        _Operation(ops.adjust_brightness, (0, 0.9), is_signed=True),
        _Operation(ops.autocontrast),
        _Operation(ops.equalize),
        _Operation(ops.posterize, (8, 4)),
        _Operation(ops.solarize, (256, 0)),
        _Operation(partial(shear, axis=1), (0, 0.3), is_signed=True),
        _Operation(partial(shear, axis=0), (0, 0.3), is_signed=True),
        _Operation(partial(translate, axis=1), (0, 150 / 331), is_signed=True),
        _Operation(partial(translate, axis=0), (0, 150 / 331), is_signed=True),
        _Operation(partial(ops.rotate, fill=pad_val), (0, 30)),
    ]


def _apply(operation: _Operation, img: np.ndarray, level: int, sign: int) -> np.ndarray:
    if operation.magnitudes is None:
        return operation.function(img)
    at_zero, at_highest = operation.magnitudes
    magnitude = at_zero + (at_highest - at_zero) * level / _HIGHEST_LEVEL
    return operation.function(img, sign * magnitude if operation.is_signed else magnitude)


def _random_cutout(img: np.ndarray, side: float) -> np.ndarray:
    """Paint a square around a random pixel; its side is even, as in the published code."""
    center = np.random.randint(img.shape[0]), np.random.randint(img.shape[1])
    even_side = round(side) // 2 * 2
    return ops.paint_square(img, center, (even_side, even_side), _CUTOUT_COLOR)
