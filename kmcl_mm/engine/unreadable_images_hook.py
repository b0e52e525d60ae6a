"""Stop at an image that cannot be read, or skip it and report it."""

import logging
from pathlib import Path

import torch
from mmengine.dist import all_gather_object, barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ..checks import check_at_least, check_choice
from .finite_loss_hook import ACTIONS
from .items import ReadableItems, items_of

_RECORD = 'unreadable_images.tsv'


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Say what happens during training to an image that :class:`kmcl_mm.datasets.LoadCheckedImage` cannot read.

    'stop' stops the training with the path. 'skip' trains on another image, drawn at random, and notes each time in
    ``unreadable_images.tsv`` in the folder of the training (epoch, index, reason); the end of the training counts and
    lists the images. Validation and test always stop: their numbers would be of other images.

    Args:
        action: 'stop' or 'skip'.
        max_skips: How many images in a row may be skipped; one more stops the training.

    Raises:
        ValueError: An action that does not exist, or a number below 1.
    """

    # Before SeededEpochsHook, whose random numbers then choose the other image.
    priority = 'HIGH'

    def __init__(self, action: str = 'stop', max_skips: int = 10) -> None:
        check_choice('action', action, ACTIONS)
        check_at_least('max_skips', max_skips, 1)
        self.action = action
        self.max_skips = max_skips

    def before_train(self, runner: Runner) -> None:
        """Put the check between the loader and the data set, if images may be skipped.

        Args:
            runner: The runner.
        """
        if self.action == 'stop':
            return
        self._record = Path(runner.work_dir, _RECORD)
        if is_main_process():
            # A training that starts anew has skipped nothing.
            self._record.touch() if runner.epoch else self._record.write_text('', encoding='utf-8')
        barrier()
        # Another machine may have a folder of its own.
        self._record.touch()
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        dataset = runner.train_dataloader.dataset
        dataset.__getitems__ = ReadableItems(items_of(dataset), len(dataset), self.max_skips, self._epoch, self._record)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the workers the epoch.

        Args:
            runner: The runner.
        """
        if self.action == 'skip':
            self._epoch.fill_(runner.epoch)

    def after_train(self, runner: Runner) -> None:
        """Count and list the images that were skipped, and take the check away.

        Args:
            runner: The runner.
        """
        if self.action == 'stop':
            return
        runner.train_dataloader.dataset.__dict__.pop('__getitems__', None)
        barrier()
        # A resumed training repeats part of an epoch, and notes the same again.
        own = [tuple(line.split('\t', 2)) for line in self._record.read_text(encoding='utf-8').splitlines()]
        lines = set().union(*all_gather_object(own))
        if not lines:
            return
        reasons = sorted({reason for _, _, reason in lines})
        listed = '\n    '.join(reasons)
        print_log(
            f'{len(reasons)} images could not be read and were skipped {len(lines)} times ({self._record}):\n'
            f'    {listed}',
            logger='current',
            level=logging.WARNING,
        )
