"""Predictions as classifiers of several qualities might make them."""

import numpy as np

from kmcl_mm.apps.comparison import TestPredictions


def drawn_predictions(seed, labels=5, images=200, signal=1.0, groups=None):
    """Predictions of the same images for every seed; the last label is of no image."""
    random = np.random.default_rng(7)
    target = (random.random((images, labels)) < np.linspace(0.5, 0.1, labels)).astype(int)
    target[:, -1] = 0
    scores = signal * target + np.random.default_rng(seed).normal(size=target.shape)
    names = tuple(f'label {label}' for label in range(labels))
    return TestPredictions(names, tuple(f'{image}.jpg' for image in range(images)), scores, target, groups)
