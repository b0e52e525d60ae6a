"""Whether backbone and head agree on the number of channels."""

from mmpretrain.models.backbones import TIMMBackbone
from mmpretrain.models.necks import GlobalAveragePooling
from torch import nn


def check_channels(model: nn.Module) -> None:
    """Refuse a head with another number of channels than timm's network has.

    Where the pooling takes positions of tokens or of maps (N, H, W, C) for channels, a head of that number would train,
    on nonsense.

    Args:
        model: A classifier. Others than a timm network with an average pooling pass.

    Raises:
        ValueError: The numbers differ.
    """
    backbone, head = getattr(model, 'backbone', None), getattr(model, 'head', None)
    if not isinstance(backbone, TIMMBackbone) or not isinstance(getattr(model, 'neck', None), GlobalAveragePooling):
        return
    network = backbone.timm_model
    known = {getattr(network, name) for name in ('num_features', 'head_hidden_size') if hasattr(network, name)}
    number = getattr(head, 'in_channels', None)
    if known and number is not None and number not in known:
        raise ValueError(
            f'Expected `in_channels` of `model.head` to be {" or ".join(map(str, sorted(known)))}, the channels of '
            f'{type(network).__name__}, but got {number}. Set model.head.in_channels.'
        )
