"""Log the losses of all processes."""

from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class AverageLossesHook(Hook):
    """Average the logged losses over the processes; MMEngine logs those of the first process alone.

    The average is what the training descends: gradients are averaged over processes as well. A loss that is a mean over
    images, such as the reconstruction, then reads as in one process with the whole batch; the asymmetric loss, a sum
    over a process's images unless its ``asl_batch_size`` is set, reads as the whole batch's sum divided by the number
    of processes.
    """

    # Before MMEngine's RuntimeInfoHook, which takes the losses over into the log.
    priority = 'HIGHEST'

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, torch.Tensor] | None = None
    ) -> None:
        """Average the outputs of an iteration in place.

        Args:
            runner: The runner.
            batch_idx: Index of the batch.
            data_batch: The batch.
            outputs: The losses by name, scalars.
        """
        if outputs and get_world_size() > 1:
            values = torch.stack([value.detach().float() for value in outputs.values()])
            all_reduce(values, op='mean')
            outputs.update(zip(outputs, values))
