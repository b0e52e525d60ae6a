"""The same norm statistics in all processes."""

from mmengine.dist import all_reduce_params
from mmengine.hooks import EMAHook, SyncBuffersHook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class AverageBuffersHook(SyncBuffersHook):
    """Average the norms' statistics over the processes at the end of each epoch, those of an ``EMAHook`` as well.

    Each process gathers statistics of its own images, and a checkpoint has those of the first process alone. Without
    this hook every process would validate its part of the images with other statistics than a test of the checkpoint
    has, and a training that is resumed would go on with other ones. In one process it does nothing.
    """

    def before_train(self, runner: Runner) -> None:
        """Take the buffers of a training by epochs that is resumed for averaged, as they were when they were saved.

        Args:
            runner: The runner.
        """
        self.called_in_train = runner._resume and isinstance(runner.train_loop, EpochBasedTrainLoop)

    def after_train_epoch(self, runner: Runner) -> None:
        """Average the buffers.

        Args:
            runner: The runner.
        """
        super().after_train_epoch(runner)
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                all_reduce_params(hook.ema_model.buffers(), op='mean')
