"""Similarity of the kernels of two labels, averaged over images."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...functional.gaussian import bhattacharyya_distance


def label_distance(embedding: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Bhattacharyya distance between the kernels of every two labels of the same image.

    Args:
        embedding: Embedding (N, M), for its shape only.
        mean: Kernel means (N, K) or (N, M, K).
        variance: Kernel variances, positive, of the same shape.

    Returns:
        Distances (N, K, K), summed over M dimensions.

    Example:
        Two labels whose means are 4 apart in each of three dimensions.

        >>> import torch
        >>> label_distance(torch.zeros(1, 3), torch.tensor([[0., 4.]]), torch.ones(1, 2))
        tensor([[[0., 6.],
                 [6., 0.]]])
    """
    # bhattacharyya_distance compares the kernels of one label in all images, so labels and images are swapped here.
    if mean.dim() == 3:
        distance = bhattacharyya_distance(mean.permute(2, 1, 0), variance.permute(2, 1, 0))
    else:
        distance = embedding.shape[1] * bhattacharyya_distance(mean.T, variance.T)
    return distance.permute(2, 0, 1)


class Similarity(NamedTuple):
    """Similarity of the kernels of L labels.

    Attributes:
        distance: Mean Bhattacharyya distance (L, L); nan if no image has either label.
        coefficient: Bhattacharyya coefficient per dimension, exp(-distance / M) (L, L).
    """

    distance: Tensor
    coefficient: Tensor


class KernelDistances:
    """Bhattacharyya distances between the kernels of some labels, averaged over images.

    The distance of a pair is averaged over the images that have at least one of the two labels.

    Args:
        labels: Indices of these L labels among all K.

    Example:
        The second image has neither label, and does not count.

        >>> import torch
        >>> distances = KernelDistances([0, 1])
        >>> mean, target = torch.tensor([[0., 4.], [0., 9.]]), torch.tensor([[1, 0], [0, 0]])
        >>> distances.add(torch.zeros(2, 3), mean, torch.ones(2, 2), target)
        >>> distances.similarity().distance[0, 1].item()
        6.0
    """

    def __init__(self, labels: list[int]) -> None:
        self.num_dimensions = 0
        self._labels = labels
        self._total = torch.zeros(len(labels), len(labels), dtype=torch.float64)
        self._count = torch.zeros(len(labels), len(labels), dtype=torch.float64)

    def add(self, embedding: Tensor, mean: Tensor, variance: Tensor, target: Tensor) -> None:
        """Add the kernels of images.

        Args:
            embedding: Embedding (N, M), for its shape only.
            mean: Kernel means (N, K) or (N, M, K).
            variance: Kernel variances, positive, of the same shape.
            target: Targets (N, K): 1 present, 0 absent, -1 unknown.
        """
        self.num_dimensions = embedding.shape[1]
        mean, variance, present = mean[..., self._labels], variance[..., self._labels], target[:, self._labels] == 1
        distance = label_distance(embedding, mean, variance).cpu().double()
        either = (present.unsqueeze(1) | present.unsqueeze(2)).double()
        self._total += (distance * either).sum(dim=0)
        self._count += either.sum(dim=0)

    def similarity(self) -> Similarity:
        """The means over all images added so far, in the order of the labels."""
        distance = self._total / self._count
        return Similarity(distance, torch.exp(-distance / max(self.num_dimensions, 1)))
