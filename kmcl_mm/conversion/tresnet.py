"""TResNets: their names in timm, and which of them a set of weights belongs to."""

import re
from typing import Dict, NamedTuple, Optional, Tuple

import torch
from timm.models.tresnet import checkpoint_filter_fn
from torch import Tensor


class Layout(NamedTuple):
    """What tells one TResNet from another.

    Attributes:
        width: Channels after the first convolution.
        blocks: Number of blocks in each of the four stages.
        bottlenecks: Whether the first two stages have bottlenecks too, as in the second version.
    """

    width: int
    blocks: Tuple[int, ...]
    bottlenecks: bool

    def __str__(self) -> str:
        name = next((name for name, layout in TRESNETS.items() if layout == self), 'a TResNet unknown to timm')
        kind = 'bottlenecks only' if self.bottlenecks else 'basic blocks first'
        return f'{name} ({self.width} channels; {", ".join(map(str, self.blocks))} blocks; {kind})'


TRESNETS = dict(
    tresnet_m=Layout(64, (3, 4, 11, 3), False),
    tresnet_l=Layout(76, (4, 5, 18, 3), False),
    tresnet_xl=Layout(83, (4, 5, 24, 3), False),
    tresnet_v2_l=Layout(64, (3, 4, 23, 3), True),
)


def timm_tensors(tensors: Dict[str, Tensor]) -> Dict[str, Tuple[str, Tensor]]:
    """Give the tensors of a TResNet the names and values that timm has for them.

    In-place norms, which the published networks have, use |weight| + 1e-5: timm's own filter makes weights of ordinary
    norms of them. Where a norm counts its batches it is an ordinary one already, whose weights keep their sign.

    Args:
        tensors: Name (``body.*``) and tensor, in the published form or in timm's.

    Returns:
        Name as given, to timm's name and value; floating-point values in float32.

    Example:
        >>> timm_tensors({'body.conv1.1.weight': torch.tensor([-0.5])})
        {'body.conv1.1.weight': ('body.conv1.bn.weight', tensor([0.5000]))}
    """
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    if 'body.conv1.conv.weight' in tensors:
        return {name: (name, value) for name, value in tensors.items()}
    renamed = {}
    for name, value in tensors.items():
        # One at a time: the filter does not say which name becomes which.
        ((new_name, new_value),) = checkpoint_filter_fn({name: value}, None).items()
        ordinary = f'{name.rpartition(".")[0]}.num_batches_tracked' in tensors
        renamed[name] = (new_name, value if ordinary else new_value)
    return renamed


def layout_of(shapes: Dict[str, torch.Size]) -> Optional[Layout]:
    """Find out which TResNet has these tensors.

    Args:
        shapes: Shape of each tensor by timm's name.

    Returns:
        The layout, or None where this is no TResNet.
    """
    stem = shapes.get('body.conv1.conv.weight')
    if stem is None:
        return None
    found = {match[0] for match in (re.match(r'body\.layer([1-4])\.(\d+)\.', name) for name in shapes) if match}
    blocks = tuple(sum(name.startswith(f'body.layer{stage}.') for name in found) for stage in range(1, 5))
    return Layout(stem[0], blocks, 'body.layer1.0.conv3.conv.weight' in shapes)
