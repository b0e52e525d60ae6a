"""A timm backbone that is not trained."""

from typing import Any

from mmpretrain.models.backbones import TIMMBackbone
from mmpretrain.registry import MODELS


@MODELS.register_module()
class FrozenTIMMBackbone(TIMMBackbone):
    """MMPretrain's ``TIMMBackbone`` with weights and running statistics that stay as they were loaded.

    Checkpoints have the same names as with ``TIMMBackbone``, so that one can take up where the other left off; on the
    command line: ``--cfg-options model.backbone.type=FrozenTIMMBackbone``.

    Args:
        *args: MMPretrain's arguments.
        **kwargs: MMPretrain's arguments: ``model_name``, ``pretrained``, ``checkpoint_path`` and those of timm.

    Example:
        >>> from kmcl_mm.models import FrozenTIMMBackbone
        >>> backbone = FrozenTIMMBackbone('test_resnet').train()
        >>> backbone.timm_model.training, any(weight.requires_grad for weight in backbone.parameters())
        (False, False)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> 'FrozenTIMMBackbone':
        """Stay in evaluation mode, whatever ``mode`` says."""
        super().train(False)
        return self
