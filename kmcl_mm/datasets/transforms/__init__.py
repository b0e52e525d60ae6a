"""Transforms that MMPretrain lacks."""

from .cutout import RandomColorCutout
from .loading import LoadCheckedImage
from .rand_augment import UDARandAugment

__all__ = ['LoadCheckedImage', 'RandomColorCutout', 'UDARandAugment']
