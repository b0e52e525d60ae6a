"""Predict with what was fitted for a checkpoint."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

from .fitted import use_fitted
from .unwrapping import unwrap


@HOOKS.register_module()
class FittedThresholdsHook(Hook):
    """Give the head the thresholds and the calibration in a checkpoint, where ``tools/calibrate.py`` has put some.

    The labels of a prediction are then those whose score reaches the label's own threshold, instead of the head's
    ``thr`` for all, and the scores are calibrated probabilities. A training that starts or goes on from such a
    checkpoint takes no notice of them.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Hand thresholds and calibration to the head.

        Args:
            runner: The runner.
            checkpoint: The checkpoint that was loaded.

        Raises:
            ValueError: They are of other labels than the data's.
        """
        if isinstance(runner._train_loop, BaseLoop):
            return
        classes = runner.test_loop.dataloader.dataset.metainfo.get('classes')
        model = unwrap(runner.model)
        use_fitted(model, checkpoint, classes)
        head = getattr(model, 'head', None)
        thr: Any = getattr(head, 'thr', None)
        calibration = getattr(head, 'calibration', None)
        if isinstance(thr, Tensor):
            rule = f'the thresholds that were fitted for the checkpoint, {thr.min():.2f} to {thr.max():.2f}'
        else:
            rule = 'its highest scores (topk)' if thr is None else f'its threshold {thr:g}'
        print_log(f'The head predicts labels by {rule}.', logger='current')
        if calibration is not None:
            voters = f', with the votes of {len(calibration.names):,} training images' if calibration.names else ''
            print_log(f'Scores are calibrated{voters}.', logger='current')
