"""Counts of labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .splits import Split


@dataclass(frozen=True)
class LabelCounts:
    """Counts of the K labels in a split of N images, of single labels and of pairs.

    Args:
        num_images: N.
        positives: Images with the label (K,).
        judged: Images in which the label is known to be present or absent (K,).
        together: Images with both labels (K, K); the diagonal equals ``positives``.
        labels_per_image: Labels of each image (N,).
        without_label: Images with no label, and no unknown one.
    """

    num_images: int
    positives: np.ndarray
    judged: np.ndarray
    together: np.ndarray
    labels_per_image: np.ndarray
    without_label: int

    @property
    def shares(self) -> np.ndarray:
        """Share of the judged images that have the label (K,), in [0, 1]; 0 where no image is judged."""
        return self.positives / np.maximum(self.judged, 1)

    @property
    def conditional(self) -> np.ndarray:
        """Share of the images with label i that have label j as well (K, K); nan in rows of labels without an image."""
        with np.errstate(invalid='ignore'):
            return self.together / self.positives[:, None]


def count_labels(split: Split) -> LabelCounts:
    """Count the labels of a split.

    Args:
        split: The split. Indices out of range are left out.

    Returns:
        The counts.
    """
    present, unjudged = (_one_hot(indices, len(split.classes)) for indices in (split.labels, split.unjudged))
    per_image = np.array([len(indices) for indices in split.labels])
    without = (per_image == 0) & ~unjudged.any(axis=1)
    # float32 is exact up to 16.7 million images, and fast.
    together = (present.T.astype(np.float32) @ present.astype(np.float32)).astype(np.int32)
    return LabelCounts(
        num_images=split.num_images,
        positives=present.sum(axis=0),
        judged=split.num_images - unjudged.sum(axis=0),
        together=together,
        labels_per_image=per_image,
        without_label=int(without.sum()),
    )


def _one_hot(indices_of_images: Sequence[np.ndarray], num_classes: int) -> np.ndarray:
    """Bools (N, K)."""
    matrix = np.zeros((len(indices_of_images), num_classes), dtype=bool)
    for row, indices in zip(matrix, indices_of_images):
        row[indices[(indices >= 0) & (indices < num_classes)]] = True
    return matrix
