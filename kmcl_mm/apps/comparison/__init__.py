"""Comparison of two checkpoints on the same test images."""

from .differences import Comparison, LabelDifference, compare
from .picture import draw_differences
from .predictions import TestPredictions, find_run, predict_test_images

__all__ = [
    'Comparison',
    'LabelDifference',
    'TestPredictions',
    'compare',
    'draw_differences',
    'find_run',
    'predict_test_images',
]
