"""Scores to act on: training images that vote, calibrated probabilities, and thresholds, fitted after a training."""
