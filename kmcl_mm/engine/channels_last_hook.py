"""A network whose feature maps lie in memory channels last."""

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lay the weights of convolutions out channels last; their feature maps follow.

    The numbers are the same but for rounding. Convolutions of one channel a group, as EfficientNet and ConvNeXt have
    them, are faster so on a CPU, and mixed precision is on a GPU. For trainings of one process: those of several have
    wrapped the model before any hook, with buffers for the gradients in the layout of the time.

    Raises:
        ValueError: The model is wrapped.

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> from kmcl_mm.engine import ChannelsLastHook
        >>> model = torch.nn.Conv2d(3, 4, kernel_size=3)
        >>> ChannelsLastHook().before_run(SimpleNamespace(model=model))
        >>> model.weight.is_contiguous(memory_format=torch.channels_last)
        True
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Before averaged weights copy them."""
        if is_model_wrapper(runner.model):
            raise ValueError(
                'Expected a training of one process with ChannelsLastHook, but the model is wrapped in '
                f'{type(runner.model).__name__}, which would copy every gradient from one layout to the other. Leave '
                'the hook out of custom_hooks.'
            )
        runner.model.to(memory_format=torch.channels_last)
