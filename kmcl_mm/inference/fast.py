"""A network that predicts the same in less time: norms folded into convolutions, channels last in memory."""

import copy
import logging
from typing import Any, Callable, Dict, List, Tuple

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, BatchNormAct2d)

# How far scores in [0, 1] may move.
TOLERANCE = 1e-4


def speed_up(model: BaseModel, images: Tensor) -> bool:
    """Let a classifier predict in less time, where its scores stay as they are.

    Args:
        model: The classifier, in evaluation mode; its backbone is replaced by a fast copy.
        images: Images as its backbone gets them (N, 3, H, W), to compare the scores of.

    Returns:
        Whether it was replaced. Where a score would move by more than 1e-4, or the network has no faster form, the
        model stays as it is, with a warning.
    """
    backbone, images = model.backbone, images[:4]
    with torch.inference_mode():
        before = model.head(model.extract_feat(images)).sigmoid()
        try:
            model.backbone = _ChannelsLast(fast_copy(backbone, images))
            change = (model.head(model.extract_feat(images)).sigmoid() - before).abs().max().item()
            if change <= TOLERANCE:
                return True
            reason = f'A faster form of the network would change scores by {change:.1g}'
        except Exception as error:  # A network may be written in any way.
            reason = f'The network has no faster form ({error!r})'
    model.backbone = backbone
    print_log(f'{reason}: predicting with it as it is.', logger='current', level=logging.WARNING)
    return False


class _ChannelsLast(nn.Module):
    """A network that gets its images with channels last in memory."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, images: Tensor) -> Tuple[Tensor, ...]:
        return self.network(images.contiguous(memory_format=torch.channels_last))


def fast_copy(network: nn.Module, images: Tensor) -> nn.Module:
    """Copy a network for prediction, with its norms folded into the convolutions before them.

    What feeds what is seen while an image passes: a norm is folded where its input is the output of a convolution and
    both are called once. That nothing else takes the output cannot be seen; compare the copy's outputs.

    Args:
        network: The network, in evaluation mode; not changed.
        images: Images as it gets them (N, C, H, W).

    Returns:
        A copy with channels last in memory, whose input should have them so as well. It is for prediction alone.

    Raises:
        ValueError: The network is in training mode.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU()).eval()
        >>> fast_copy(network, torch.rand(1, 3, 8, 8))
        Sequential(
          (0): Conv2d(3, 4, kernel_size=(1, 1), stride=(1, 1))
          (1): Identity()
          (2): ReLU()
        )
    """
    if network.training:
        raise ValueError('Expected argument `network` to be in evaluation mode. Call its eval() first.')
    copied = copy.deepcopy(network)
    modules: Dict[str, Any] = dict(copied.named_modules())
    for convolution, norm in _pairs(copied, images):
        copied.set_submodule(convolution, fuse_conv_bn_eval(modules[convolution], modules[norm]))
        copied.set_submodule(norm, _rest_of(modules[norm]))
    return copied.requires_grad_(False).to(memory_format=torch.channels_last)


def _rest_of(norm: nn.Module) -> nn.Module:
    """What a norm does beside normalizing."""
    return nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()


def _pairs(network: nn.Module, images: Tensor) -> List[Tuple[str, str]]:
    """Names of each convolution and the norm that takes its output, both called once."""
    outputs: List[Tuple[Tensor, str]] = []  # The tensors are kept, so that no two have one id.
    pairs: List[Tuple[str, str]] = []
    calls: Dict[str, int] = {}

    def after_convolution(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Tuple, output: Tensor) -> None:
            calls[name] = calls.get(name, 0) + 1
            outputs.append((output, name))

        return hook

    def before_norm(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: Tuple) -> None:
            calls[name] = calls.get(name, 0) + 1
            pairs.extend((convolution, name) for output, convolution in outputs if output is inputs[0])

        return hook

    hooks = []
    for name, module in network.named_modules():
        if type(module) is nn.Conv2d:
            hooks.append(module.register_forward_hook(after_convolution(name)))
        elif type(module) in _NORMS and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(before_norm(name)))
    with torch.inference_mode():
        network(images[:1])
    for hook in hooks:
        hook.remove()
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)]
