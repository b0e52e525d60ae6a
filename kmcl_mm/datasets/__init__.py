"""Multilabel data sets and the transforms that the host lacks."""

from .coco_multilabel import CocoMultiLabel
from .digit_scenes import DigitScenes
from .transforms import LoadCheckedImage, RandomColorCutout
from .voc_multilabel import VOCMultiLabel

__all__ = ['CocoMultiLabel', 'DigitScenes', 'LoadCheckedImage', 'RandomColorCutout', 'VOCMultiLabel']
