"""Conversion of weights of the published code, and of TResNets of ASL and MIIL, to this package's models."""

from .convert import Conversion, convert, is_converted
from .description import describe_use, format_conversion, save_conversion
from .model_config import model_of
from .weights import Weights, weights_in

__all__ = [
    'Conversion',
    'Weights',
    'convert',
    'describe_use',
    'format_conversion',
    'is_converted',
    'model_of',
    'save_conversion',
    'weights_in',
]
