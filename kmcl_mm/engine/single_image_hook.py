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
        size = loader.batch_size
        # By iterations all batches are full, and a loader may leave their size to its sampler.
        if not isinstance(runner.train_loop, EpochBasedTrainLoop) or size is None:
            return
        number = len(loader.sampler)
        if size > 1 and (number % size != 1 or loader.drop_last):
            return
        model = copy.deepcopy(unwrap(runner.model))
        model.train()
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
