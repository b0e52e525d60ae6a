"""How unsure a prediction is, by the mixture of Gaussian kernels."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .gaussian import log_kernel
from .precision import full_precision


@full_precision
def responsibility_entropy(embedding: Tensor, logits: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    r"""Over how many labels an image's mixture of kernels spreads its embedding: the entropy of their responsibilities.

    .. math:: H_i = -\sum_k r_{ik} \log r_{ik}, \qquad r_{ik} = \frac{p_{ik} g_{ik}}{\sum_l p_{il} g_{il}}, \qquad
        p = \mathrm{sigmoid}(z)

    The reconstruction loss trains the responsibilities r of the present labels to sum to one, so that they say which
    labels account for the embedding. Their entropy is 0 where one label does, and log K where all do alike. In
    logarithms, so that no kernel underflows.

    Args:
        embedding: Embedding f (N, M).
        logits: Logits z (N, K).
        mean: Kernel means (N, K) or (N, M, K).
        variance: Kernel variances, positive, of the same shape.

    Returns:
        Entropy (N,) in [0, log K].

    Raises:
        ValueError: The shapes do not fit each other.

    Source: the ratio in the reconstruction loss of arXiv:2307.03967.

    Example:
        >>> import torch
        >>> kernels_alike = torch.zeros(1, 2), torch.zeros(1, 4), torch.zeros(1, 2, 4), torch.ones(1, 2, 4)
        >>> round(responsibility_entropy(*kernels_alike).exp().item(), 3)
        4.0
    """
    log_share = torch.log_softmax(logsigmoid(logits) + log_kernel(embedding, mean, variance), dim=1)
    return -(log_share.exp() * log_share).sum(dim=1)
