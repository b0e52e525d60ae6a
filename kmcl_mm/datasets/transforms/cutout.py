"""Cutout with a random colour."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpretrain.registry import TRANSFORMS

from .operations import paint_square


@TRANSFORMS.register_module()
class RandomColorCutout(BaseTransform):
    """Paint a square of one random colour over the image.

    The square's centre is uniform over the image, and the part outside the image is cut off. MMPretrain's ``Cutout``
    has a fixed colour; its ``RandomErasing`` fills with noise and stays inside the image.

    Args:
        ratio: Sides of the rectangle relative to the image's height and width, in (0, 1].

    Raises:
        ValueError: ``ratio`` is out of its range.

    Required and changed key: ``img`` (H, W, C), uint8.

    Source: the published recipe, ratio 0.5 (arXiv:1708.04552 for cutout).
    """

    def __init__(self, ratio: float = 0.5) -> None:
        if not 0 < ratio <= 1:
            raise ValueError(f'Expected argument `ratio` to be in (0, 1], but got {ratio}.')
        self.ratio = ratio

    @cache_randomness
    def _random_square(self, height: int, width: int, channels: int) -> tuple[int, int, np.ndarray]:
        """Draw the centre's row and column, and the colour."""
        return np.random.randint(height), np.random.randint(width), np.random.randint(0, 256, channels)

    def transform(self, results: dict) -> dict:
        """Paint the square.

        Args:
            results: The data of an image, with ``img``.

        Returns:
            The same with a new ``img``.
        """
        height, width, channels = results['img'].shape
        row, column, color = self._random_square(height, width, channels)
        side = round(self.ratio * height), round(self.ratio * width)
        results['img'] = paint_square(results['img'], (row, column), side, color)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(ratio={self.ratio})'
