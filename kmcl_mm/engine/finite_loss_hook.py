"""Stop at a loss that is not finite, or leave its step out."""

import logging
import math
from typing import Any, Dict, List, Optional

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmpretrain.registry import HOOKS

ACTIONS = ('stop', 'skip')


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Tell which loss is not finite, in which iteration and for which images, and stop the training or skip the step.

    'stop' raises before anything of the step reaches a checkpoint or the averaged weights. 'skip' takes a step whose
    gradients are not finite back: weights, the optimiser's state and buffers such as the running statistics of norm
    layers stay as they were, on all processes, and so nothing of it reaches the averaged weights either. With mixed
    precision a step whose gradients overflow while the losses are finite is the loss scaler's own business: it skips it
    and lowers the scale, without a word from here.

    Args:
        action: 'stop' or 'skip'.
        max_skips: How many iterations in a row may be skipped; one more stops the training.

    Raises:
        ValueError: An action that does not exist, a number below 1, or more than one optimiser.
        FloatingPointError: During training, for a loss that is not finite.
    """

    # Before AverageLossesHook, which mixes the losses of all processes, and long before the averaged weights.
    priority = 'HIGHEST'

    def __init__(self, action: str = 'stop', max_skips: int = 10) -> None:
        if action not in ACTIONS:
            raise ValueError(f'Expected argument `action` to be one of {ACTIONS}, but got {action!r}.')
        if max_skips < 1:
            raise ValueError(f'Expected argument `max_skips` to be at least 1, but got {max_skips}.')
        self.action = action
        self.max_skips = max_skips
        self._skips_in_a_row = 0
        self._is_step_dropped = False
        self._handle = None

    def before_train(self, runner) -> None:
        """Look at each step's gradients from here on, if steps may be skipped.

        Args:
            runner: The runner.

        Raises:
            ValueError: The training has more than one optimiser.
        """
        if self.action == 'stop':
            return
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            raise ValueError(
                'Expected a training with one optimiser for FiniteLossHook(action="skip"), but got an '
                'OptimWrapperDict. Set action="stop".'
            )
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._buffers = list(model.buffers())
        self._buffers_before = [buffer.clone() for buffer in self._buffers]
        self._handle = runner.optim_wrapper.optimizer.register_step_pre_hook(self._drop_step_if_not_finite)

    def after_train(self, runner) -> None:
        """Leave the optimiser as it came.

        Args:
            runner: The runner.
        """
        if self._handle is not None:
            self._handle.remove()

    def before_train_iter(self, runner, batch_idx: int, data_batch: Any = None) -> None:
        """Remember the buffers, if the step may be skipped.

        Args:
            runner: The runner.
            batch_idx: Index of the batch.
            data_batch: The batch.
        """
        if self.action == 'skip':
            _copy(self._buffers, to=self._buffers_before)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: Any = None, outputs: Optional[Dict[str, Any]] = None
    ) -> None:
        """Stop, or finish the skipping, if a loss of this iteration is not finite.

        Args:
            runner: The runner.
            batch_idx: Index of the batch.
            data_batch: The batch, whose images are named.
            outputs: The losses by name, scalars.

        Raises:
            FloatingPointError: A loss is not finite and the action is 'stop', or too many steps were skipped.
        """
        losses = {name: torch.as_tensor(value).detach().item() for name, value in (outputs or {}).items()}
        wrong = {name: value for name, value in losses.items() if not math.isfinite(value)}
        is_step_dropped, self._is_step_dropped = self._is_step_dropped, False
        if not (wrong or is_step_dropped):
            self._skips_in_a_row = 0
            return
        message = _describe(wrong, runner.iter + 1, data_batch)
        if self.action == 'stop':
            raise FloatingPointError(
                f'{message}\nThe training stops here; no checkpoint holds this step. Look at these images, lower the '
                'learning rate, or leave such steps out with default_hooks.finite_loss.action=skip.'
            )
        self._skips_in_a_row += 1
        if self._skips_in_a_row > self.max_skips:
            raise FloatingPointError(
                f'{message}\nThe training stops here: {self.max_skips} steps before it were skipped.'
            )
        _copy(self._buffers_before, to=self._buffers)
        # An error, as processes other than the first show nothing less.
        print_log(f'{message}\nThe step is skipped.', logger='current', level=logging.ERROR)

    def _drop_step_if_not_finite(self, optimizer: torch.optim.Optimizer, args, kwargs) -> None:
        """Take the gradients away, so that the optimiser has nothing to do.

        Gradients are averaged over the processes: all of them come to the same decision.
        """
        parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm=math.inf)
        if not norm.isfinite():
            self._is_step_dropped = True
            for parameter in parameters:
                parameter.grad = None


def _copy(tensors: List[torch.Tensor], to: List[torch.Tensor]) -> None:
    for source, target in zip(tensors, to):
        target.copy_(source)


def _describe(losses: Dict[str, float], iteration: int, data_batch: Any) -> str:
    """What is not finite, and where."""
    parts = {name: value for name, value in losses.items() if name != 'loss'} or losses
    if parts:
        what = ', '.join(f'{name} is {value}' for name, value in parts.items())
    else:
        what = 'the gradients are not finite, though the losses of this process are'
    return f'Iteration {iteration}: {what}. Images in the batch:\n    ' + '\n    '.join(_names(data_batch))


def _names(data_batch: Any) -> List[str]:
    """Paths of the images, or their indices in the data set where there are no paths."""
    samples = data_batch.get('data_samples', []) if isinstance(data_batch, dict) else []
    return [str(sample.get('img_path', f'index {sample.get("sample_idx", "unknown")}')) for sample in samples]
