"""Weights of the published code, of ASL's and of MIIL's TResNets, in the names of this package's models."""

from .convert import Conversion, convert, is_converted
from .load import Loaded, load_weights
from .model import model_of
from .report import describe_use, format_conversion, save_conversion
from .weights import Weights, read_checkpoint, weights_in

__all__ = [
    'Conversion',
    'Loaded',
    'Weights',
    'convert',
    'describe_use',
    'format_conversion',
    'is_converted',
    'load_weights',
    'model_of',
    'read_checkpoint',
    'save_conversion',
    'weights_in',
]
