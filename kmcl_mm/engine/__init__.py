"""Hooks that the host lacks."""

from .average_losses_hook import AverageLossesHook
from .best_weights_hook import BestWeightsHook
from .check_labels_hook import CheckLabelsHook
from .finite_loss_hook import FiniteLossHook
from .fitted_thresholds_hook import FittedThresholdsHook

__all__ = ['AverageLossesHook', 'BestWeightsHook', 'CheckLabelsHook', 'FiniteLossHook', 'FittedThresholdsHook']
