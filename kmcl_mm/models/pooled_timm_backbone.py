"""A timm backbone that pools as timm does."""

from typing import Any

import timm
import torch
from mmpretrain.models.backbones import TIMMBackbone
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class PooledTIMMBackbone(TIMMBackbone):
    """MMPretrain's ``TIMMBackbone`` with timm's own pooling, for any of timm's networks.

    MMPretrain's ``GlobalAveragePooling`` pools maps (N, C, H, W). Many transformers give tokens (N, L, C) or maps
    (N, H, W, C), of which it would take another dimension for the channels. Here timm pools, by a class token, an
    average or an attention, as for its own classifier, and the result is a map of one position, which the neck leaves
    as it is. The head's ``in_channels`` is timm's ``num_features``, or ``head_hidden_size`` where that differs. Weights
    have the names of ``TIMMBackbone``.

    Args:
        model_name: timm's name of the network.
        pretrained: Load timm's weights.
        checkpoint_path: A file with weights.
        in_channels: Channels of the images.
        init_cfg: Initial values in MMEngine's form.
        **kwargs: timm's arguments of the network.

    Example:
        >>> import torch
        >>> from kmcl_mm.models import PooledTIMMBackbone
        >>> [features] = PooledTIMMBackbone('test_vit')(torch.rand(2, 3, 160, 160))
        >>> features.shape
        torch.Size([2, 64, 1, 1])
    """

    def __init__(
        self,
        model_name: str,
        pretrained: bool = False,
        checkpoint_path: str = '',
        in_channels: int = 3,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        # MMPretrain's own network, which has lost its pooling, takes no time there.
        with torch.device('meta'):
            super().__init__(model_name, in_channels=in_channels, init_cfg=init_cfg, **kwargs)
        network: Any = timm.create_model(
            model_name, pretrained=pretrained, checkpoint_path=checkpoint_path, in_chans=in_channels, **kwargs
        )
        network.reset_classifier(0)
        self.timm_model = network
        # As MMPretrain says that weights are there.
        self._is_init = bool(pretrained or checkpoint_path)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Compute the pooled features of images.

        Args:
            x: Images (N, 3, H, W).

        Returns:
            Features (N, C, 1, 1), in a tuple.
        """
        return (self.timm_model(x)[:, :, None, None],)
