"""Predictions of a trained checkpoint."""

from .classifier import has_kernels, load_classifier, predict
from .inferencer import KMCLInferencer, Prediction, Predictions, Voter
from .preprocessing import Skipped

__all__ = [
    'KMCLInferencer',
    'Prediction',
    'Predictions',
    'Skipped',
    'Voter',
    'has_kernels',
    'load_classifier',
    'predict',
]
