"""Counts of labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

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
    present, unjudged = (_multi_hot(indices, len(split.classes)) for indices in (split.labels, split.unjudged))
    per_image = np.array([len(indices) for indices in split.labels])
    without = (per_image == 0) & (np.diff(unjudged.indptr) == 0)
    together = (present.T @ present).toarray()
    return LabelCounts(
        num_images=split.num_images,
        positives=together.diagonal(),
        judged=split.num_images - np.bincount(unjudged.indices, minlength=len(split.classes)),
        together=together,
        labels_per_image=per_image,
        without_label=int(without.sum()),
    )


def _multi_hot(indices_of_images: Sequence[np.ndarray], num_classes: int) -> csr_matrix:
    """1 for each label of each image (N, K)."""
    valid = [indices[(indices >= 0) & (indices < num_classes)] for indices in indices_of_images]
    starts = np.cumsum([0, *map(len, valid)])
    columns = np.concatenate([np.empty(0, np.int64), *valid])
    return csr_matrix((np.ones(len(columns), np.int32), columns, starts), (len(valid), num_classes))
