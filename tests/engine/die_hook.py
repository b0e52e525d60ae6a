"""Hooks that kill their own process."""

import os
import signal

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class DieInIteration(Hook):
    """Kill the training with SIGKILL after the step of an iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner, **_) -> None:
        if runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class DieWhileValidating(Hook):
    """Kill the training with SIGKILL in the middle of the validation of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def after_val_iter(self, runner, **_) -> None:
        if runner.epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGKILL)
