"""Models for MMPretrain: the registered head and losses, two backbones, and test-time augmentation."""

from mmpretrain.registry import MODELS

from ..modules import ASLLoss, KernelMixture, KMCLLoss
from .frozen_timm_backbone import FrozenTIMMBackbone
from .kmcl_head import KMCLHead
from .multilabel_tta import MultiLabelTTA
from .pooled_timm_backbone import PooledTIMMBackbone

# They need no MMPretrain, so they do not register themselves.
for _loss in (ASLLoss, KMCLLoss):
    MODELS.register_module(module=_loss)

__all__ = [
    'ASLLoss',
    'FrozenTIMMBackbone',
    'KMCLHead',
    'KMCLLoss',
    'KernelMixture',
    'MultiLabelTTA',
    'PooledTIMMBackbone',
]
