"""Gaussian kernels of a mixture: their values at an embedding, and the distance between two of them."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..checks import check_kernels, check_shape
from .pairwise import all_kernels, pairwise_distance
from .precision import full_precision


@full_precision
def log_kernel(embedding: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    r"""Logarithm of each label's Gaussian kernel at the embedding of its image.

    .. math:: \log g_{ik} = -\frac{1}{2} \sum_m \frac{(f_{im} - \mu_{imk})^2}{v_{imk}}

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
        return _AnisotropicLogKernel.apply(embedding, mean, variance)
    # Measured from the first dimension, so that what lies far from 0 keeps its digits.
    origin = embedding[:, :1].detach()
    shifted = embedding - origin
    center = shifted.mean(dim=1, keepdim=True)
    spread = (shifted - center).square().sum(dim=1, keepdim=True)
    return -0.5 * (spread + embedding.shape[1] * (center + (origin - mean)).square()) / variance


class _AnisotropicLogKernel(torch.autograd.Function):
    """Log kernels (N, K) with their gradient in closed form, which keeps nothing but the arguments until then."""

    @staticmethod
    def forward(ctx: Any, embedding: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        ctx.save_for_backward(embedding, mean, variance)
        return torch.sub(embedding.unsqueeze(2), mean).square_().div_(variance).sum(dim=1).mul_(-0.5)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        embedding, mean, variance = ctx.saved_tensors
        grad = grad.unsqueeze(1)
        grad_mean = torch.sub(embedding.unsqueeze(2), mean).div_(variance)
        grad_variance = grad_mean.square().mul_(0.5 * grad)
        grad_mean.mul_(grad)
        return -grad_mean.sum(dim=2), grad_mean, grad_variance


@full_precision
def bhattacharyya_distance(mean: Tensor, variance: Tensor) -> Tensor:
    r"""Bhattacharyya distance between every two images' kernels of the same label.

    .. math::
        B_{ijk} = \sum_m \frac{1}{2} \log \frac{v_{imk} + v_{jmk}}{2 \sigma_{imk} \sigma_{jmk}}
                + \frac{1}{4} \frac{(\mu_{imk} - \mu_{jmk})^2}{v_{imk} + v_{jmk}}

    Equal kernels are at distance 0 exactly, and no distance is negative. Pairs are worked off in blocks of bounded
    size, and the gradient is computed in closed form from the arguments, so memory grows as N*M*K for the arguments and
    N*N*K for the result. Isotropic kernels are one-dimensional here: the caller multiplies by the number of dimensions.

    Args:
        mean: Means (N, K) or (N, M, K).
        variance: Variances, positive, of the same shape.

    Returns:
        Distances (N, N, K).

    Raises:
        ValueError: The shapes do not fit each other.

    Source: arXiv:2307.03967, the Bhattacharyya coefficient between two kernels, which is exp(-B).

    Example:
        >>> import torch
        >>> mean, variance = torch.tensor([[0.], [4.]]), torch.ones(2, 1)
        >>> bhattacharyya_distance(mean, variance)[..., 0]
        tensor([[0., 2.],
                [2., 0.]])
    """
    check_kernels(mean, variance)
    num_images, num_labels = len(mean), mean.shape[-1]
    groups = all_kernels(num_images, num_labels, mean.device)
    distance = pairwise_distance(mean, variance, groups)
    return distance.view(num_labels, num_images, num_images).permute(1, 2, 0)
