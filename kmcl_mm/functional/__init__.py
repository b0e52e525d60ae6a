"""The mathematics of KMCL as plain functions of tensors: no registry, no configuration."""

from .asymmetric import asymmetric_loss
from .calibration import fit_calibration
from .contrastive import kernel_contrastive_loss
from .gaussian import bhattacharyya_distance, log_kernel
from .neighbours import neighbour_vote
from .reconstruction import clamped_reconstruction_loss, reconstruction_loss
from .responsibility import responsibility_entropy
from .thresholds import fit_thresholds

__all__ = [
    'asymmetric_loss',
    'bhattacharyya_distance',
    'clamped_reconstruction_loss',
    'fit_calibration',
    'fit_thresholds',
    'kernel_contrastive_loss',
    'log_kernel',
    'neighbour_vote',
    'reconstruction_loss',
    'responsibility_entropy',
]
