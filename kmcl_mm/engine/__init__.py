"""Hooks that the host lacks."""

from .average_buffers_hook import AverageBuffersHook
from .average_losses_hook import AverageLossesHook
from .best_weights_hook import BestWeightsHook
from .channels_last_hook import ChannelsLastHook
from .check_labels_hook import CheckLabelsHook
from .finite_loss_hook import FiniteLossHook
from .fitted_thresholds_hook import FittedThresholdsHook
from .pending_validation_hook import PendingValidationHook
from .seeded_epochs_hook import SeededEpochsHook
from .unreadable_images_hook import UnreadableImagesHook

__all__ = [
    'AverageBuffersHook',
    'AverageLossesHook',
    'BestWeightsHook',
    'ChannelsLastHook',
    'CheckLabelsHook',
    'FiniteLossHook',
    'FittedThresholdsHook',
    'PendingValidationHook',
    'SeededEpochsHook',
    'UnreadableImagesHook',
]
