"""Checkpoints as the published code writes them."""

import math
import re
import zlib

import torch
from torch import Tensor, nn


def fill(name: str, shape) -> Tensor:
    """The value that the golden file's rule gives to a tensor: signed norm weights, other sizes as in a network."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if name.endswith('running_var'):
        return 0.1 * drawn.abs() + 1
    if name.endswith('running_mean'):
        return 0.05 * drawn
    if len(shape) > 1:
        return drawn / math.sqrt(math.prod(shape[1:]))
    if name.endswith('.weight'):
        return 0.2 * drawn + 0.8 * torch.where(drawn > 0, 1.0, -1.0)
    return 0.05 * drawn


def published_name(name: str) -> str:
    """What the published code calls a tensor of ours: parts of a block by number, one deeper where a blur follows."""
    heads = dict(embedding='downsampler', logits='kmm.pi', mean='kmm.mean', variance='kmm.var')
    if name.startswith('head.'):
        _, part, parameter = name.split('.')
        return f'{heads[part]}.{parameter}'
    name = name.replace('backbone.timm_model.', 'encoder.').replace('.conv.', '.0.').replace('.bn.', '.1.')
    # The convolution of stride 2: the first in a basic block, the second in a bottleneck.
    return re.sub(r'(layer2\.0\.conv1|layer[34]\.0\.conv2)\.', r'\1.0.', name)


def published_checkpoint(model: nn.Module) -> dict[str, Tensor]:
    """Weights of a basic-block TResNet with an anisotropic head, in the published names and shapes."""
    tensors = {}
    for name, value in model.state_dict().items():
        if not name.endswith('num_batches_tracked'):
            name = published_name(name)
            shape = (*value.shape, 1) if name == 'downsampler.weight' else value.shape
            tensors[name] = fill(name, shape)
    channels = tensors['downsampler.weight'].shape[1]
    for name, shape in {'encoder.head.fc.weight': (20, channels), 'encoder.head.fc.bias': (20,)}.items():
        tensors[name] = fill(name, shape)
    return tensors


def backbone_checkpoint(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The TResNet with its classifier alone, as ASL and MIIL name them."""
    return {name.removeprefix('encoder.'): value for name, value in published.items() if name.startswith('encoder.')}
