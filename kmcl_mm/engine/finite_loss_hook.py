"""Stop at a loss that is not finite, or leave its batch out."""

import logging
import math
from typing import Any

import torch
from mmengine.dist import all_reduce, all_reduce_params, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

from ..checks import check_at_least, check_choice
from .unwrapping import unwrap

ACTIONS = ('stop', 'skip')


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Tell which loss is not finite, in which iteration and for which images, and stop the training or skip the batch.

    All processes do the same, whichever of them has the loss. 'stop' raises before a checkpoint or the averaged weights
    have seen the step. 'skip' trains as if the batch were not there: no backward pass, no step, and buffers such as the
    running statistics of norm layers stay as they were; accumulated gradients are stepped with as many batches as there
    are. The losses are looked at together, which waits for an accelerator once per iteration.

    Finite losses whose gradients overflow are not looked at: with mixed precision the loss scaler skips such a step and
    lowers its scale. A checkpoint whose weights are not finite is not written, whatever made them so.

    Args:
        action: 'stop' or 'skip'.
        max_skips: How many batches in a row may be skipped; one more stops the training.

    Raises:
        ValueError: An action that does not exist, a number below 1, or more than one optimiser.
        FloatingPointError: During training, for a loss or a weight that is not finite.
    """

    # Before AverageLossesHook, which mixes the losses of all processes, and long before the averaged weights.
    priority = 'HIGHEST'

    def __init__(self, action: str = 'stop', max_skips: int = 10) -> None:
        check_choice('action', action, ACTIONS)
        check_at_least('max_skips', max_skips, 1)
        self.action = action
        self.max_skips = max_skips
        self._skips_in_a_row = 0
        self._is_skipping = False
        self._data_batch = None

    def before_train(self, runner: Runner) -> None:
        """Put a check between the losses and the optimiser, if batches may be skipped.

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
        model = unwrap(runner.model)
        self._buffers = list(model.buffers())
        self._buffers_before = [buffer.clone() for buffer in self._buffers]
        parse_losses, update_params = model.parse_losses, runner.optim_wrapper.update_params

        def parse_and_check(losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            total, parts = parse_losses(losses)
            self._is_skipping = self._is_wrong(parts)
            if self._is_skipping:
                self._skip(runner, parts)
            else:
                self._skips_in_a_row = 0
            return total, parts

        def update_unless_skipping(*args: Any, **kwargs: Any) -> None:
            if self._is_skipping:
                _leave_batch_out(runner.optim_wrapper)
            else:
                update_params(*args, **kwargs)

        model.parse_losses, runner.optim_wrapper.update_params = parse_and_check, update_unless_skipping

    def after_train(self, runner: Runner) -> None:
        """Take the check away again.

        Args:
            runner: The runner.
        """
        if self.action == 'skip':
            del unwrap(runner.model).parse_losses, runner.optim_wrapper.update_params

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Remember the batch, and the buffers, if it may be skipped.

        Args:
            runner: The runner.
            batch_idx: Index of the batch.
            data_batch: The batch.
        """
        self._data_batch = data_batch
        if self.action == 'skip':
            _copy(self._buffers, to=self._buffers_before)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Stop if a loss of this iteration is not finite.

        Args:
            runner: The runner.
            batch_idx: Index of the batch.
            data_batch: The batch, whose images are named.
            outputs: The losses by name, scalars.

        Raises:
            FloatingPointError: A loss is not finite and the action is 'stop'.
        """
        losses = outputs or {}
        if self.action == 'stop' and self._is_wrong(losses):
            raise FloatingPointError(
                f'{self._describe(runner, losses)}\nThe training stops here; no checkpoint holds this step. If the '
                'images are sound, start again with a lower rate (param_scheduler.eta_max), or leave such batches '
                'out: --cfg-options default_hooks.finite_loss.action=skip'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse to write weights that are not finite.

        Args:
            runner: The runner.
            checkpoint: What is about to be saved.

        Raises:
            FloatingPointError: A weight or buffer is not finite.
        """
        for name, tensor in checkpoint.get('state_dict', {}).items():
            if isinstance(tensor, Tensor) and not tensor.isfinite().all():
                raise FloatingPointError(
                    f'Expected finite weights to save, but {name} is not. The checkpoint is not written, and the '
                    'training stops; an earlier one is as it was. Start again with a lower rate '
                    '(param_scheduler.eta_max).'
                )

    def _is_wrong(self, losses: dict[str, Any]) -> bool:
        """Whether a loss of any process is not finite."""
        values = [torch.as_tensor(value) for value in _losses_in(losses).values()]
        if not values:
            return False
        is_wrong = 1 - torch.stack([value.detach().isfinite().all() for value in values]).all().float()
        if get_world_size() > 1:
            all_reduce(is_wrong, op='max')
        return bool(is_wrong)

    def _skip(self, runner: Runner, losses: dict[str, Any]) -> None:
        message = self._describe(runner, losses)
        self._skips_in_a_row += 1
        if self._skips_in_a_row > self.max_skips:
            raise FloatingPointError(
                f'{message}\nThe training stops here: {self.max_skips} batches before it were skipped.'
            )
        _copy(self._buffers_before, to=self._buffers)
        # An error, as processes other than the first show nothing less.
        print_log(f'{message}\nThis batch is skipped.', logger='current', level=logging.ERROR)

    def _describe(self, runner: Runner, losses: dict[str, Any]) -> str:
        """What is not finite, and where."""
        wrong = _not_finite(losses)
        parts = {name: value for name, value in wrong.items() if name != 'loss'} or wrong
        what = ', '.join(f'{name} is {value}' for name, value in parts.items())
        images = '\n    '.join(_names(self._data_batch))
        return (
            f'Iteration {runner.iter + 1}: {what or "a loss of another process is not finite"}. Images in the batch of '
            f'this process:\n    {images}'
        )


def _not_finite(losses: dict[str, Any]) -> dict[str, float]:
    """The losses that are not finite."""
    values = {name: torch.as_tensor(value).item() for name, value in _losses_in(losses).items()}
    return {name: value for name, value in values.items() if not math.isfinite(value)}


def _losses_in(outputs: dict[str, Any]) -> dict[str, Any]:
    """As in MMEngine, what has 'loss' in its name is one."""
    return {name: value for name, value in outputs.items() if 'loss' in name}


def _leave_batch_out(optim_wrapper: OptimWrapper) -> None:
    """Let accumulated gradients be those of a training that is one batch shorter.

    MMEngine divides each batch's loss by the number of batches in its step, which is smaller in the last step. The
    gradients so far are scaled if that number changes, and stepped if there is no batch left.
    """
    pending = optim_wrapper._inner_count % optim_wrapper._accumulative_counts
    first = optim_wrapper._inner_count - pending
    before = _batches_in_step(optim_wrapper, first)
    optim_wrapper._max_counts -= 1
    optim_wrapper._remainder_counts = optim_wrapper._max_counts % optim_wrapper._accumulative_counts
    if not pending:
        return
    groups = optim_wrapper.optimizer.param_groups
    gradients = [weight.grad for group in groups for weight in group['params'] if weight.grad is not None]
    scale = before / _batches_in_step(optim_wrapper, first)
    for gradient in gradients:
        gradient.mul_(scale)
    if optim_wrapper._inner_count == optim_wrapper._max_counts:
        # Processes exchange gradients with the last batch of a step, which has been left out.
        all_reduce_params(gradients, op='mean')
        optim_wrapper.step()
        optim_wrapper.zero_grad()


def _batches_in_step(optim_wrapper: OptimWrapper, first: int) -> int:
    """Number of batches in the step whose first batch this is."""
    return min(optim_wrapper._accumulative_counts, optim_wrapper._max_counts - first)


def _copy(tensors: list[Tensor], to: list[Tensor]) -> None:
    for source, target in zip(tensors, to):
        target.copy_(source)


def _names(data_batch: Any) -> list[str]:
    """Paths of the images, or their indices in the data set where there are no paths."""
    samples = data_batch.get('data_samples', []) if isinstance(data_batch, dict) else []
    return [str(sample.get('img_path', f'index {sample.get("sample_idx", "unknown")}')) for sample in samples]
