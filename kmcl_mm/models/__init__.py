"""Registered modules over :mod:`kmcl_mm.functional`."""

from .asl_loss import ASLLoss
from .frozen_timm_backbone import FrozenTIMMBackbone
from .kmcl_head import KernelMixture, KMCLHead
from .kmcl_loss import KMCLLoss

__all__ = ['ASLLoss', 'FrozenTIMMBackbone', 'KMCLHead', 'KMCLLoss', 'KernelMixture']
