"""A faster form of a network for prediction: norms fused into convolutions, channels last in memory."""

import copy
import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, BatchNormAct2d)

# How far scores in [0, 1] may move.
TOLERANCE = 1e-4


def fuse(model: BaseModel, images: Tensor) -> bool:
    """Replace the backbone of a classifier by a fused copy, unless that changes its scores.

    Args:
        model: The classifier, in evaluation mode.
        images: Normalized images (N, 3, H, W), whose scores are compared.

    Returns:
        Whether it was replaced. Where a score would change by more than 1e-4, or the network cannot be fused, the model
        is left unchanged, with a warning.
    """
    backbone, images = model.backbone, images[:4]
    with torch.inference_mode():
        before = model.head(model.extract_feat(images)).sigmoid()
        try:
            model.backbone = _ChannelsLast(fused_copy(backbone, images))
            change = (model.head(model.extract_feat(images)).sigmoid() - before).abs().max().item()
            if change <= TOLERANCE:
                return True
            reason = f'Fusing would change scores by {change:.1g}'
        except Exception as error:  # A network may be written in any way.
            reason = f'The network cannot be fused ({error!r})'
    model.backbone = backbone
    print_log(f'{reason}: predicting without.', logger='current', level=logging.WARNING)
    return False


class _ChannelsLast(nn.Module):
    """A network whose images are laid out channels last in memory first."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.network(images.contiguous(memory_format=torch.channels_last))


def fused_copy(network: nn.Module, images: Tensor) -> nn.Module:
    """Copy a network for prediction, with its norms fused into the convolutions before them.

    A pass with one image shows which norm follows which convolution: a norm is fused where its input is the output of a
    convolution, and both are called once. Whether something else uses that output as well is not checked; compare the
    outputs of the copy.

    Args:
        network: The network, in evaluation mode; not changed.
        images: Normalized images (N, C, H, W).

    Returns:
        A copy with channels last in memory, for prediction only. Its input should have channels last as well.

    Raises:
        ValueError: The network is in training mode.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU()).eval()
        >>> fused_copy(network, torch.rand(1, 3, 8, 8))
        Sequential(
          (0): Conv2d(3, 4, kernel_size=(1, 1), stride=(1, 1))
          (1): Identity()
          (2): ReLU()
        )
    """
    if network.training:
        raise ValueError('Expected argument `network` to be in evaluation mode. Call its eval() first.')
    copied = copy.deepcopy(network)
    modules: dict[str, Any] = dict(copied.named_modules())
    for convolution, norm in _pairs(copied, images):
        copied.set_submodule(convolution, fuse_conv_bn_eval(modules[convolution], modules[norm]))
        copied.set_submodule(norm, _rest_of(modules[norm]))
    return copied.requires_grad_(False).to(memory_format=torch.channels_last)


def _rest_of(norm: nn.Module) -> nn.Module:
    """The dropout and activation of a norm that has them."""
    return nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()


def _pairs(network: nn.Module, images: Tensor) -> list[tuple[str, str]]:
    """Names of each convolution and the norm that follows it, both called once."""
    outputs: list[tuple[Tensor, str]] = []  # The tensors are kept, so that no two have one id.
    pairs: list[tuple[str, str]] = []
    calls: dict[str, int] = {}

    def after_convolution(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
            calls[name] = calls.get(name, 0) + 1
            outputs.append((output, name))

        return hook

    def before_norm(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: tuple) -> None:
            calls[name] = calls.get(name, 0) + 1
            pairs.extend((convolution, name) for output, convolution in outputs if output is inputs[0])

        return hook

    with ExitStack() as hooks, torch.inference_mode():
        for name, module in network.named_modules():
            if type(module) is nn.Conv2d:
                hooks.enter_context(module.register_forward_hook(after_convolution(name)))
            elif type(module) in _NORMS and module.track_running_stats:
                hooks.enter_context(module.register_forward_pre_hook(before_norm(name)))
        network(images[:1])
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)]
