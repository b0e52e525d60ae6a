"""Validate what a killed training had no time to validate."""

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS

# Where a checkpoint's log has the last epoch whose validation is in it. MMEngine prints what begins with 'val'.
VALIDATED_KEY = 'last_validated_epoch'


@HOOKS.register_module()
class PendingValidationHook(Hook):
    """Validate the epoch that a training is resumed from, if it was killed before the end of that validation.

    MMEngine writes its checkpoint before an epoch's validation and goes on with the next epoch when it is resumed, so
    that the weights of this epoch are never compared with the best so far. An epoch whose validation found nothing
    better is validated once more, with the same result.
    """

    # After MMEngine's CheckpointHook has found out what it saved so far.
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Run the validation, if one is due.

        Args:
            runner: The runner.
        """
        loop = runner.train_loop
        if not (isinstance(loop, EpochBasedTrainLoop) and runner._resume and loop.epoch and runner.val_loop):
            return
        loop._decide_current_val_interval()
        is_due = loop.epoch >= loop.val_begin and (loop.epoch % loop.val_interval == 0 or loop.epoch == loop.max_epochs)
        if is_due and runner.message_hub.runtime_info.get(VALIDATED_KEY) != loop.epoch:
            runner.logger.info(f'Validating epoch {loop.epoch} before going on: it may not have been done.')
            runner.val_loop.run()
