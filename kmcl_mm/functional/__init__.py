"""The mathematics of KMCL as plain functions of tensors: no registry, no configuration."""

from .asymmetric import asymmetric_loss
from .contrastive import kernel_contrastive_loss
from .gaussian import bhattacharyya_distance, log_kernel
from .reconstruction import clamped_reconstruction_loss, reconstruction_loss
from .responsibility import responsibility_entropy
from .thresholds import fit_thresholds

__all__ = [
    'asymmetric_loss',
    'bhattacharyya_distance',
    'clamped_reconstruction_loss',
    'fit_thresholds',
    'kernel_contrastive_loss',
    'log_kernel',
    'reconstruction_loss',
    'responsibility_entropy',
]
