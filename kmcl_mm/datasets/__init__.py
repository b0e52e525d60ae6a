"""Multilabel data sets, and transforms that MMPretrain lacks."""

from .adp import ADP
from .chest_xray14 import ChestXray14
from .coco_multilabel import CocoMultiLabel
from .digit_scenes import DigitScenes
from .fraction import WithFraction
from .json_multilabel import JSONMultiLabel
from .nus_wide import NUSWide
from .table_multilabel import TableMultiLabel
from .transforms import LoadCheckedImage, RandomColorCutout, UDARandAugment
from .voc_multilabel import VOCMultiLabel
from .wrappers import ClassBalancedMultiLabel

__all__ = [
    'ADP',
    'ChestXray14',
    'ClassBalancedMultiLabel',
    'CocoMultiLabel',
    'DigitScenes',
    'JSONMultiLabel',
    'LoadCheckedImage',
    'NUSWide',
    'RandomColorCutout',
    'TableMultiLabel',
    'UDARandAugment',
    'VOCMultiLabel',
    'WithFraction',
]
