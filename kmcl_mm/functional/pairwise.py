"""Bhattacharyya distances of many pairs of kernels in blocks of bounded size, with their gradient in closed form."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Pairs of dimensions in one block. On a CPU a block and its temporaries then stay in the cache; on other devices larger
# blocks keep the number of launches low.
_BLOCK_ELEMENTS = {'cpu': 2**19}
_BLOCK_ELEMENTS_ELSEWHERE = 2**24


class KernelGroup(NamedTuple):
    """Kernels of several labels, of equally many images each.

    Attributes:
        labels: Indices of G labels (G,), each in one group only.
        images: Indices of R images for each label (G, R), none twice for a label.
    """

    labels: Tensor
    images: Tensor


def all_kernels(num_images: int, num_labels: int, device: torch.device) -> list[KernelGroup]:
    """The kernels of all images and labels, as one group.

    Args:
        num_images: Number of images N.
        num_labels: Number of labels K.
        device: Where the indices are wanted.

    Returns:
        One group of K labels and N images.
    """
    images = torch.arange(num_images, device=device)
    return [KernelGroup(torch.arange(num_labels, device=device), images.expand(num_labels, -1))]


def kernels_of_labels_in_batch(target: Tensor) -> list[KernelGroup]:
    """The kernels of all images in the labels that an image has, as one group, for which a host waits once.

    Args:
        target: Targets (N, K): 1 present, another value not.

    Returns:
        One group of the labels that are present at all, and N images.
    """
    labels = (target == 1).any(dim=0).nonzero().squeeze(1)
    return [KernelGroup(labels, torch.arange(len(target), device=target.device).expand(len(labels), -1))]


def kernels_of_present_labels(target: Tensor) -> list[KernelGroup]:
    """The kernels of the labels that each image has; labels that equally many images have are one group.

    The groups' shapes depend on values, which an accelerator's host would have to wait for: use it in host memory.

    Args:
        target: Targets (N, K): 1 present, another value not.

    Returns:
        Groups that hold each pair of an image and a label of its own once.
    """
    is_present = target == 1
    counts = is_present.count_nonzero(dim=0)
    groups = []
    # Without any label there is one group without images.
    for count in counts[counts > 0].unique().tolist() or [0]:
        labels = (counts == count).nonzero().squeeze(1)
        images = is_present.T[labels].nonzero()[:, 1].view(len(labels), count)
        groups.append(KernelGroup(labels, images))
    return groups


def pairwise_distance(mean: Tensor, variance: Tensor, groups: list[KernelGroup]) -> Tensor:
    """Bhattacharyya distances of the groups' kernels to the kernels of the same label in all images.

    Memory grows with the arguments and the result: no tensor holds all pairs in all dimensions. Isotropic kernels are
    one-dimensional here.

    Args:
        mean: Means (N, K) or (N, M, K).
        variance: Variances, positive, of the same shape.
        groups: One group at the least, of P kernels in all.

    Returns:
        Distances (P, N), none below 0; exactly 0 between equal kernels.

    Source: arXiv:2307.03967, the Bhattacharyya coefficient between two kernels, which is exp(-B).
    """
    labels = torch.cat([group.labels for group in groups])
    kernels = torch.stack([_label_first(part).index_select(0, labels) for part in (mean, variance)])
    return _PairwiseDistance.apply(kernels, *(group.images for group in groups))


def _label_first(tensor: Tensor) -> Tensor:
    """(N, K) or (N, M, K) as (K, N, M), with M = 1 for isotropic kernels."""
    return (tensor.unsqueeze(1) if tensor.dim() == 2 else tensor).permute(2, 0, 1)


class _PairwiseDistance(torch.autograd.Function):
    """Distances of kernels (2, K, N, M), means and variances, in which the groups' labels stand one after another."""

    @staticmethod
    def forward(ctx: Any, kernels: Tensor, *images: Tensor) -> Tensor:
        ctx.save_for_backward(kernels, *images)
        distances = []
        for group, own_images in zip(kernels.split([len(part) for part in images], dim=1), images):
            distance = kernels.new_empty(*own_images.shape, group.shape[2])
            for labels, rows in _blocks(distance, group.shape[3]):
                other = group[:, labels]
                distance[labels, rows] = _block_distance(other[_index(own_images[labels, rows])], other)
            distances.append(distance.flatten(0, 1))
        return torch.cat(distances)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_distances: Tensor) -> tuple[Tensor | None, ...]:
        kernels, *images = ctx.saved_tensors
        grad_kernels = torch.zeros_like(kernels)
        num_labels = [len(part) for part in images]
        groups = zip(
            kernels.split(num_labels, dim=1),
            grad_kernels.split(num_labels, dim=1),
            grad_distances.split([part.numel() for part in images]),
            images,
        )
        for group, grad_group, grad_distance, own_images in groups:
            grad_distance = grad_distance.unflatten(0, own_images.shape)
            for labels, rows in _blocks(grad_distance, group.shape[3]):
                other, grad, own = group[:, labels], grad_group[:, labels], _index(own_images[labels, rows])
                grad_own, grad_other = _block_gradients(grad_distance[labels, rows], other[own], other)
                grad += grad_other
                grad[own] += grad_own
        return grad_kernels, *(None for _ in images)


def _blocks(distance: Tensor, channels: int) -> Iterator[tuple[slice, slice]]:
    """Slices of a group's labels and images whose pairs fit the block size; one image of one label at the least."""
    num_labels, num_images, num_others = distance.shape
    block_elements = _BLOCK_ELEMENTS.get(distance.device.type, _BLOCK_ELEMENTS_ELSEWHERE)
    images_in_block = max(block_elements // max(num_others * channels, 1), 1)
    labels_in_block = max(images_in_block // max(num_images, 1), 1)
    for label in range(0, num_labels, labels_in_block):
        for image in range(0, num_images, images_in_block):
            yield slice(label, label + labels_in_block), slice(image, image + images_in_block)


def _index(images: Tensor) -> tuple:
    """Index that selects each label's own images (G, R) from kernels (2, G, N, M): (2, G, R, M)."""
    return slice(None), torch.arange(len(images), device=images.device).unsqueeze(1), images


def _pairs(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """(G, R, M) and (G, N, M) as (G, R, 1, M) and (G, 1, N, M), which broadcast to all pairs."""
    return own.unsqueeze(2), other.unsqueeze(1)


def _block_distance(own: Tensor, other: Tensor) -> Tensor:
    """Distances (G, R, N) of kernels (2, G, R, M) and (2, G, N, M).

    The logarithm in the distance is that of s / (2 sqrt(v v')) with s = v + v'. The square of this ratio is
    1 + (v - v')^2 / (4 v v'), and log1p of the second term keeps what is small exact and never negative.
    """
    (mean, variance), (other_mean, other_variance) = own, other
    excess = torch.sub(*_pairs(variance, other_variance)).square_()
    for factor in _pairs(0.5 / variance, 0.5 / other_variance):
        excess.mul_(factor)
    mahalanobis = torch.sub(*_pairs(mean, other_mean)).square_()
    mahalanobis.div_(torch.add(*_pairs(variance, other_variance)))
    return excess.log1p_().add_(mahalanobis).sum(dim=-1).mul_(0.25)


def _block_gradients(grad: Tensor, own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of kernels (2, G, R, M) and (2, G, N, M) for those of their distances (G, R, N).

    With t = (mean - other_mean) / s and r = (variance - other_variance) / s, s the sum of the variances, a distance's
    derivative by the mean is t / 2, and by the variance (r / variance - t^2) / 4; by the other's the sign of t and r
    turns.
    """
    (mean, variance), (other_mean, other_variance) = own, other
    grad = grad.unsqueeze(-1)
    total_variance = torch.add(*_pairs(variance, other_variance))
    slope = torch.sub(*_pairs(mean, other_mean)).div_(total_variance)
    ratio = torch.sub(*_pairs(variance, other_variance)).div_(total_variance).mul_(grad)
    curvature = torch.square(slope, out=total_variance).mul_(grad)
    slope.mul_(grad)
    grad_variance = (ratio.sum(dim=2) / variance).sub_(curvature.sum(dim=2)).mul_(0.25)
    grad_other_variance = (ratio.sum(dim=1) / other_variance).add_(curvature.sum(dim=1)).mul_(-0.25)
    return (
        torch.stack([slope.sum(dim=2).mul_(0.5), grad_variance]),
        torch.stack([slope.sum(dim=1).mul_(-0.5), grad_other_variance]),
    )
