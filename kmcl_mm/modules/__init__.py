"""The head and the losses as plain torch modules, without MMPretrain."""

from .asl_loss import ASLLoss
from .kernel_mixture_head import KernelMixture, KernelMixtureHead
from .kmcl_loss import KMCLLoss

__all__ = ['ASLLoss', 'KMCLLoss', 'KernelMixture', 'KernelMixtureHead']
