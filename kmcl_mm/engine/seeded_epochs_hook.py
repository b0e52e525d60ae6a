"""Random numbers that go on where a killed training left them."""

import logging
import random
from typing import Any

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS

from .items import SeededItems, items_of, seeds

# Where a checkpoint's log has the seed of the order of the images.
SAMPLER_SEED_KEY = 'sampler_seed'


@HOOKS.register_module()
class SeededEpochsHook(Hook):
    """Make the random numbers of a training a function of its seed, the epoch and the image.

    A resumed training then ends with the weights of one that was never disturbed, bit for bit, as the generators need
    not be saved: those of the process (dropout and the like) are seeded anew in each epoch, and those of the
    augmentation for each image. An image's augmentation also no longer depends on the number of workers, or on whether
    they live longer than an epoch. The order of the images goes on with the seed that it began with, also where
    ``randomness.seed`` is None.

    Transforms with generators of their own are not reached, nor are trainings by iterations, nor those with another
    sampler than MMEngine's ``DefaultSampler``, which may take an image more than once in an epoch.
    """

    def before_train(self, runner: Runner) -> None:
        """Put the seeds between the loader and the data set.

        Args:
            runner: The runner.
        """
        self._dataset = None
        reason = _why_not(runner)
        if reason is not None:
            print_log(
                f'SeededEpochsHook: {reason}. Resumed, it draws other random numbers.',
                logger='current',
                level=logging.WARNING,
            )
            return
        _keep_order(runner)
        self._dataset = runner.train_dataloader.dataset
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._dataset.__getitems__ = SeededItems(items_of(self._dataset), runner.seed, self._epoch)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the workers the epoch.

        Args:
            runner: The runner.
        """
        if self._dataset is not None:
            self._epoch.fill_(runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the process before the first iteration of an epoch.

        That is after the loader has started its workers, if they are new, for which it draws a random number.

        Args:
            runner: The runner.
            batch_idx: Index of the batch.
            data_batch: The batch.
        """
        if batch_idx or self._dataset is None:
            return
        python, *numpy, torch_seed = seeds(runner.seed, runner.epoch, 0)
        random.seed(python)
        np.random.seed(numpy)
        torch.manual_seed(torch_seed)

    def after_train(self, runner: Runner) -> None:
        """Take the seeds away again.

        Args:
            runner: The runner.
        """
        if self._dataset is not None:
            self._dataset.__dict__.pop('__getitems__', None)


def _why_not(runner: Runner) -> str | None:
    """Why a training's random numbers are left as they are, or None."""
    if not isinstance(runner.train_loop, EpochBasedTrainLoop):
        return 'the training is not one of epochs'
    if not isinstance(runner.train_dataloader.sampler, DefaultSampler):
        return 'the sampler may take an image more than once in an epoch, which would be augmented alike each time'
    return None


def _keep_order(runner: Runner) -> None:
    """Go on with the sampler's seed of the training that is resumed: MMEngine draws another where none is set."""
    sampler = runner.train_dataloader.sampler
    known = runner.message_hub.runtime_info
    if runner._resume and SAMPLER_SEED_KEY in known:
        sampler.seed = known[SAMPLER_SEED_KEY]
    runner.message_hub.update_info(SAMPLER_SEED_KEY, sampler.seed)
