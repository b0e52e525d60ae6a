"""Transforms that the host lacks."""

from .cutout import RandomColorCutout
from .loading import LoadCheckedImage

__all__ = ['LoadCheckedImage', 'RandomColorCutout']
