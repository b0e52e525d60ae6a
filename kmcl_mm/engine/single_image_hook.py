"""Find out before the first step whether the last batch of an epoch, of one image, can be trained on."""

import copy

import torch
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS

from .items import generators_kept, items_of
from .unwrapping import unwrap


@HOOKS.register_module()
class SingleImageHook(Hook):
    """Refuse a training whose last batch has one image, where a norm of the network needs more.

    A batch norm takes its statistics over images and positions. Where the feature map has one position, as at the end
    of a network whose images are small, one image gives none, and torch would stop the training at the end of the
    first epoch. Where a batch of one occurs, a copy of the network is tried on one image.
    """

    def before_train(self, runner: Runner) -> None:
        """Try one image, if there is a batch of one.

        Args:
            runner: The runner.

        Raises:
            ValueError: The network cannot be trained on it.
        """
        loader = runner.train_dataloader
        number, size = len(loader.sampler), loader.batch_size
        has_single = isinstance(runner.train_loop, EpochBasedTrainLoop) and size and number % size == min(1, size - 1)
        if not has_single or (loader.drop_last and size > 1):
            return
        model = copy.deepcopy(unwrap(runner.model)).train()
        with generators_kept(), torch.no_grad():
            # Another image where UnreadableImagesHook skips the first.
            batch = model.data_preprocessor(loader.collate_fn(items_of(loader.dataset)([0])), training=True)
            try:
                model(**batch, mode='tensor')
            except ValueError as error:
                if 'more than 1 value per channel' not in str(error):
                    raise
                raise ValueError(
                    f'The last of the batches of {size} has one image, of {number}, but a norm of the network needs '
                    f'more than one: {error}. Set train_dataloader.drop_last=True, or another batch_size.'
                ) from error
