"""timm's TResNets, and how to tell them by their weights."""

import re
from typing import NamedTuple

import torch
from timm.models.tresnet import checkpoint_filter_fn
from torch import Tensor


class Layout(NamedTuple):
    """The properties by which TResNets differ.

    Attributes:
        width: Channels after the first convolution.
        blocks: Number of blocks in each of the four stages.
        bottlenecks: Whether the first two stages also have bottlenecks, as in the second version.
    """

    width: int
    blocks: tuple[int, ...]
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


def timm_tensors(tensors: dict[str, Tensor]) -> dict[str, tuple[str, Tensor]]:
    """Convert the tensors of a TResNet to timm's names and values.

    The in-place norms of the published networks use |weight| + 1e-5, which timm's own filter converts into weights of
    ordinary norms. A norm that counts its batches is already an ordinary one, and its weights keep their sign.

    Args:
        tensors: Tensors by names (``body.*``), in the published form or in timm's.

    Returns:
        timm's names and values by the given names; floating-point values in float32.

    Example:
        >>> timm_tensors({'body.conv1.1.weight': torch.tensor([-0.5])})
        {'body.conv1.1.weight': ('body.conv1.bn.weight', tensor([0.5000]))}
    """
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    if 'body.conv1.conv.weight' in tensors:
        return {name: (name, value) for name, value in tensors.items()}
    renamed = {}
    for name, value in tensors.items():
        # One at a time, since the filter does not map names to names.
        ((new_name, new_value),) = checkpoint_filter_fn({name: value}, None).items()
        ordinary = f'{name.rpartition(".")[0]}.num_batches_tracked' in tensors
        renamed[name] = (new_name, value if ordinary else new_value)
    return renamed


def layout_of(shapes: dict[str, torch.Size]) -> Layout | None:
    """Find the layout of a TResNet with these tensors.

    Args:
        shapes: Shape of each tensor by timm's name.

    Returns:
        The layout, or None if this is no TResNet.
    """
    stem = shapes.get('body.conv1.conv.weight')
    if stem is None:
        return None
    found = {match[0] for match in (re.match(r'body\.layer([1-4])\.(\d+)\.', name) for name in shapes) if match}
    blocks = tuple(sum(name.startswith(f'body.layer{stage}.') for name in found) for stage in range(1, 5))
    return Layout(stem[0], blocks, 'body.layer1.0.conv3.conv.weight' in shapes)
