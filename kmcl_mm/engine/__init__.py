"""The runner, and hooks that MMEngine lacks."""

from .average_buffers_hook import AverageBuffersHook
from .average_losses_hook import AverageLossesHook
from .best_weights_hook import BestWeightsHook
from .check_labels_hook import CheckLabelsHook
from .checkpoint import load_checkpoint
from .finite_loss_hook import FiniteLossHook
from .fitted_thresholds_hook import FittedThresholdsHook
from .load_weights import load_weights
from .one_cycle import OneCycleByGroupLR
from .pending_validation_hook import PendingValidationHook
from .runner import KMCLRunner
from .seeded_epochs_hook import SeededEpochsHook
from .single_image_hook import SingleImageHook
from .unreadable_images_hook import UnreadableImagesHook

__all__ = [
    'AverageBuffersHook',
    'AverageLossesHook',
    'BestWeightsHook',
    'CheckLabelsHook',
    'FiniteLossHook',
    'FittedThresholdsHook',
    'KMCLRunner',
    'OneCycleByGroupLR',
    'PendingValidationHook',
    'SeededEpochsHook',
    'SingleImageHook',
    'UnreadableImagesHook',
    'load_checkpoint',
    'load_weights',
]
