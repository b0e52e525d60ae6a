"""Gaussian kernels of a mixture: their values at an embedding, and the distance between two of them."""

from typing import Iterator, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .checks import check_kernels, check_shape

# Elements of one block of pairs. On a CPU a block and its temporaries then stay in the cache of one core; on other
# devices larger blocks keep the number of launches low.
_BLOCK_ELEMENTS = {'cpu': 2**18}
_BLOCK_ELEMENTS_ELSEWHERE = 2**24


def log_kernel(embedding: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    r"""Logarithm of each label's Gaussian kernel at the embedding of its image.

    .. math:: \log g_{ik} = -\frac12 \sum_m \frac{(f_{im} - \mu_{imk})^2}{v_{imk}}

    An isotropic kernel has one mean and one variance for all dimensions. Its sum is taken as
    :math:`\sum_m (f_m - \bar f)^2 + M (\bar f - \mu)^2`, which needs no (N, M, K) tensor and does not cancel.

    Args:
        embedding: Embedding f (N, M).
        mean: Kernel means (N, K) or (N, M, K).
        variance: Kernel variances, positive, of the same shape.

    Returns:
        Log kernels (N, K), none above 0.

    Raises:
        ValueError: The shapes do not fit each other.

    Source: arXiv:2307.03967, the Gaussian kernels of the mixture and its reconstruction loss.

    Example:
        >>> import torch
        >>> embedding = torch.tensor([[1., 3.]])
        >>> log_kernel(embedding, torch.tensor([[1.]]), torch.tensor([[2.]]))
        tensor([[-1.]])
    """
    check_kernels(mean, variance)
    if embedding.dim() != 2 or len(embedding) != len(mean):
        raise ValueError(
            f'Expected argument `embedding` to have shape (N, M) with N = {len(mean)} as in `mean`, '
            f'but got {tuple(embedding.shape)}.'
        )
    if mean.dim() == 3:
        check_shape('mean', mean, (*embedding.shape, mean.shape[-1]), '(N, M, K)')
        return -0.5 * ((embedding.unsqueeze(-1) - mean).square() / variance).sum(dim=1)
    # Measured from the first dimension, so that what lies far from 0 keeps its digits.
    origin = embedding[:, :1]
    shifted = embedding - origin
    center = shifted.mean(dim=1, keepdim=True)
    spread = (shifted - center).square().sum(dim=1, keepdim=True)
    return -0.5 * (spread + embedding.shape[1] * (center + (origin - mean)).square()) / variance


def bhattacharyya_distance(mean: Tensor, variance: Tensor, other_mean: Tensor, other_variance: Tensor) -> Tensor:
    r"""Bhattacharyya distance between every two images' kernels of the same label.

    .. math::
        B_{ijk} = \sum_m \frac12 \log \frac{v_{imk} + v'_{jmk}}{2 \sigma_{imk} \sigma'_{jmk}}
                + \frac14 \frac{(\mu_{imk} - \mu'_{jmk})^2}{v_{imk} + v'_{jmk}}

    The logarithm is taken as log1p of :math:`(\sigma - \sigma')^2 / (2 \sigma \sigma')`: identical kernels are at
    distance 0 exactly, and no distance is negative. Pairs are worked off in blocks of bounded size, and the gradient is
    computed in closed form from the arguments, so memory grows as N*M*K for the arguments and N*N*K for the result.
    Isotropic kernels are one-dimensional here: the caller multiplies by the number of dimensions.

    Args:
        mean: Means (N, K) or (N, M, K).
        variance: Variances, positive, of the same shape.
        other_mean: Means (L, K) or (L, M, K) to compare with; the same tensor as ``mean`` to compare within a batch.
        other_variance: Variances of the shape of ``other_mean``.

    Returns:
        Distances (N, L, K), none below 0.

    Raises:
        ValueError: The shapes do not fit each other.

    Source: arXiv:2307.03967, the Bhattacharyya coefficient between two kernels, which is exp(-B).

    Example:
        >>> import torch
        >>> mean, variance = torch.tensor([[0.], [4.]]), torch.ones(2, 1)
        >>> bhattacharyya_distance(mean, variance, mean, variance)[..., 0]
        tensor([[0., 2.],
                [2., 0.]])
    """
    check_kernels(mean, variance)
    check_shape('other_mean', other_mean, (len(other_mean), *mean.shape[1:]), '(L, ...) as `mean`')
    check_shape('other_variance', other_variance, other_mean.shape, 'of `other_mean`')
    kernels = [_label_first(tensor) for tensor in (mean, variance, other_mean, other_variance)]
    return _PairwiseDistance.apply(*kernels).permute(1, 2, 0)


def _label_first(tensor: Tensor) -> Tensor:
    """(N, K) or (N, M, K) to contiguous (K, N, M), M = 1 for isotropic kernels."""
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(1)
    return tensor.permute(2, 0, 1).contiguous()


class _PairwiseDistance(torch.autograd.Function):
    """Distances (K, N, L) of kernels (K, N, M) and (K, L, M), by blocks of labels and rows in both directions."""

    @staticmethod
    def forward(ctx, mean, variance, other_mean, other_variance):
        ctx.save_for_backward(mean, variance, other_mean, other_variance)
        distance = mean.new_empty(*mean.shape[:2], other_mean.shape[1])
        for labels, rows in _blocks(mean, other_mean):
            distance[labels, rows] = _block_distance(
                mean[labels, rows], variance[labels, rows], other_mean[labels], other_variance[labels]
            )
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_distance):
        kernels = ctx.saved_tensors
        mean, variance, other_mean, other_variance = kernels
        grad_mean, grad_variance, grad_other_mean, grad_other_variance = map(torch.zeros_like, kernels)
        for labels, rows in _blocks(mean, other_mean):
            gradients = _block_gradients(
                grad_distance[labels, rows],
                mean[labels, rows],
                variance[labels, rows],
                other_mean[labels],
                other_variance[labels],
            )
            grad_mean[labels, rows] = gradients[0]
            grad_variance[labels, rows] = gradients[1]
            grad_other_mean[labels] += gradients[2]
            grad_other_variance[labels] += gradients[3]
        return grad_mean, grad_variance, grad_other_mean, grad_other_variance


def _blocks(mean: Tensor, other_mean: Tensor) -> Iterator[Tuple[slice, slice]]:
    """Slices of labels and rows whose pairs fit the block size; one row of one label at the least."""
    num_labels, num_rows, channels = mean.shape
    row_elements = max(other_mean.shape[1] * channels, 1)
    rows_in_block = max(_BLOCK_ELEMENTS.get(mean.device.type, _BLOCK_ELEMENTS_ELSEWHERE) // row_elements, 1)
    labels_in_block = max(rows_in_block // max(num_rows, 1), 1)
    for label in range(0, num_labels, labels_in_block):
        for row in range(0, num_rows, rows_in_block):
            yield slice(label, label + labels_in_block), slice(row, row + rows_in_block)


def _pairs(tensor: Tensor, other: Tensor) -> Tuple[Tensor, Tensor]:
    """(K, N, M) and (K, L, M) as (K, N, 1, M) and (K, 1, L, M), which broadcast to all pairs."""
    return tensor.unsqueeze(2), other.unsqueeze(1)


def _block_distance(mean, variance, other_mean, other_variance):
    sigma, other_sigma = _pairs(variance.sqrt(), other_variance.sqrt())
    log_ratio = (sigma - other_sigma).square_().div_(2 * sigma * other_sigma).log1p_()
    total_variance = torch.add(*_pairs(variance, other_variance))
    mahalanobis = torch.sub(*_pairs(mean, other_mean)).square_().div_(total_variance)
    return log_ratio.add_(mahalanobis, alpha=0.5).sum(dim=-1).mul_(0.5)


def _block_gradients(grad_distance, mean, variance, other_mean, other_variance):
    """Gradients of mean, variance, other_mean and other_variance for one block of pairs.

    With t = (mean - other_mean) / (sum of variances) and r = (variance - other_variance) / (sum of variances), the
    derivative of a distance by the mean is t / 2, and by the variance (r / variance - t^2) / 4; by the other's the sign
    of t and r turns.
    """
    grad_distance = grad_distance.unsqueeze(-1)
    total_variance = torch.add(*_pairs(variance, other_variance))
    slope = torch.sub(*_pairs(mean, other_mean)).div_(total_variance)
    curvature = slope.square().mul_(grad_distance)
    slope.mul_(grad_distance)
    ratio = torch.sub(*_pairs(variance, other_variance)).div_(total_variance).mul_(grad_distance)
    grad_mean, grad_other_mean = 0.5 * slope.sum(dim=2), -0.5 * slope.sum(dim=1)
    grad_variance = 0.25 * (ratio.sum(dim=2) / variance - curvature.sum(dim=2))
    grad_other_variance = 0.25 * (-ratio.sum(dim=1) / other_variance - curvature.sum(dim=1))
    return grad_mean, grad_variance, grad_other_mean, grad_other_variance
