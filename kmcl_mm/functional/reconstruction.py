"""Reconstruction loss of the kernel mixture, in the stated form and in the published code's."""

import math

from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from ..checks import check_shape, check_target
from .gaussian import log_kernel
from .precision import full_precision

# The published code's floor of a kernel value, the smallest normal float32, and what its floor of the ratio inside the
# logarithm makes of the loss.
_LOG_MIN_KERNEL = math.log(1.17549e-38)
_MAX_LOSS = -math.log(1e-7)


@full_precision
def reconstruction_loss(embedding: Tensor, logits: Tensor, mean: Tensor, variance: Tensor, target: Tensor) -> Tensor:
    r"""Share of the mixture's value at the embedding that the image's own labels bring, as a negative logarithm.

    .. math:: L = -\frac{1}{|P|} \sum_{i \in P} \log \frac{\sum_k y_{ik} p_{ik} g_{ik}}{\sum_k p_{ik} g_{ik}}

    over the images P that have a label, from two log-sum-exps of :math:`\log p + \log g`: nothing
    underflows, whatever the number of dimensions. This is the `exact` variant.

    Args:
        embedding: Embedding f (N, M).
        logits: Logits (N, K); p = sigmoid(logits).
        mean: Kernel means (N, K) or (N, M, K).
        variance: Kernel variances of the same shape.
        target: Targets (N, K): 1 present, 0 absent, -1 unknown, whose kernel is in neither sum.

    Returns:
        The loss, a scalar; 0 where no image has a label.

    Raises:
        ValueError: The shapes do not fit each other, or a target has another value.

    Source: arXiv:2307.03967, reconstruction loss.

    Example:
        Two equal kernels, one of them of a present label: half of the mixture.

        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> reconstruction_loss(torch.zeros(1, 3), 0 * ones, ones, ones, torch.tensor([[1., 0.]]))
        tensor(0.6931)
    """
    losses, has_label = _loss_of_images(embedding, logits, mean, variance, target)
    return losses.sum() / has_label.sum().clamp(min=1)


@full_precision
def clamped_reconstruction_loss(
    embedding: Tensor, logits: Tensor, mean: Tensor, variance: Tensor, target: Tensor
) -> Tensor:
    r"""The reconstruction loss as the published code computes it, number for number: the `reference` variant.

    As :func:`reconstruction_loss`, but kernel values are raised to at least 1.17549e-38 and the ratio to at least 1e-7,
    and the mean is over all images: one without a label adds -log 1e-7 = 16.118 and no gradient. In many dimensions
    nearly every kernel lies below the floor, and the loss then has no gradient to embedding, mean and variance.
    Both floors are applied to the logarithms, so that extreme inputs stay finite.

    Args:
        embedding: Embedding f (N, M).
        logits: Logits (N, K); p = sigmoid(logits).
        mean: Kernel means (N, K) or (N, M, K).
        variance: Kernel variances of the same shape.
        target: Targets (N, K): 1 present, 0 absent, -1 unknown, whose kernel is in neither sum.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: The shapes do not fit each other, or a target has another value.

    Source: the public reference implementation of arXiv:2307.03967.

    Example:
        An image without labels.

        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> clamped_reconstruction_loss(torch.zeros(1, 3), 0 * ones, ones, ones, 0 * ones)
        tensor(16.1181)
    """
    losses, has_label = _loss_of_images(embedding, logits, mean, variance, target, log_min_kernel=_LOG_MIN_KERNEL)
    return losses.masked_fill(~has_label, _MAX_LOSS).clamp(max=_MAX_LOSS).mean()


def _loss_of_images(
    embedding: Tensor,
    logits: Tensor,
    mean: Tensor,
    variance: Tensor,
    target: Tensor,
    log_min_kernel: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Each image's loss (N,), and which images have a label (N,); the loss of the others is 0.

    With the present labels' part of the mixture a and the others' b, -log(a / (a + b)) is softplus(log b - log a),
    which keeps its digits where it is small.
    """
    log_kernels = log_kernel(embedding, mean, variance)
    if log_kernels.shape[1] == 1:
        log_kernels = log_kernels.expand(-1, logits.shape[-1])
    check_shape('logits', logits, log_kernels.shape, '(N, K) as in `mean`')
    check_target(target, logits.shape)
    if log_min_kernel is not None:
        log_kernels = log_kernels.clamp(min=log_min_kernel)
    log_components = logsigmoid(logits) + log_kernels
    is_present = target == 1
    has_label = is_present.any(dim=1)
    # An image without labels has only its own, so to speak: its loss is then 0.
    is_own = is_present | ~has_label.unsqueeze(1)
    is_other = (target == 0) & ~is_own
    own = log_components.masked_fill(~is_own, float('-inf')).logsumexp(dim=1)
    others = log_components.masked_fill(~is_other, float('-inf')).logsumexp(dim=1)
    return softplus(others - own), has_label
