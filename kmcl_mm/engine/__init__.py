"""Hooks that the host lacks."""

from .average_losses_hook import AverageLossesHook
from .best_weights_hook import BestWeightsHook

__all__ = ['AverageLossesHook', 'BestWeightsHook']
