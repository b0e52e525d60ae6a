"""How unsure a prediction is: by the mixture of Gaussian kernels, and by the scores alone."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .gaussian import log_kernel


def mixture_surprise(embedding: Tensor, logits: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    r"""How badly an image's mixture of kernels explains its own embedding.

    .. math:: u_i = -\log \sum_k p_{ik} g_{ik}, \qquad p = \mathrm{sigmoid}(z)

    It is low where a label with a high score has a kernel that lies at the embedding, and high where no label has a
    score, or those that have one put their kernels elsewhere. Summed in logarithms, so that no kernel underflows.

    Args:
        embedding: Embedding f (N, M).
        logits: Logits z (N, K).
        mean: Kernel means (N, K) or (N, M, K).
        variance: Kernel variances, positive, of the same shape.

    Returns:
        Surprise (N,), at least -log K.

    Raises:
        ValueError: The shapes do not fit each other.

    Example:
        >>> import torch
        >>> at_its_kernel = torch.zeros(1, 2), torch.zeros(1, 1), torch.zeros(1, 2, 1), torch.ones(1, 2, 1)
        >>> round(mixture_surprise(*at_its_kernel).exp().item(), 3)
        2.0
    """
    return -torch.logsumexp(logsigmoid(logits) + log_kernel(embedding, mean, variance), dim=1)


def responsibility_entropy(embedding: Tensor, logits: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    r"""Over how many labels the mixture spreads the embedding, as the entropy of their responsibilities.

    .. math:: H_i = -\sum_k r_{ik} \log r_{ik}, \qquad r_{ik} = \frac{p_{ik} g_{ik}}{\sum_l p_{il} g_{il}}

    Args:
        embedding: Embedding f (N, M).
        logits: Logits z (N, K).
        mean: Kernel means (N, K) or (N, M, K).
        variance: Kernel variances, positive, of the same shape.

    Returns:
        Entropy (N,) in [0, log K].

    Raises:
        ValueError: The shapes do not fit each other.
    """
    log_share = torch.log_softmax(logsigmoid(logits) + log_kernel(embedding, mean, variance), dim=1)
    return -(log_share.exp() * log_share).sum(dim=1)


def score_entropy(logits: Tensor) -> Tensor:
    r"""Mean over the labels of the binary entropy of their scores.

    .. math:: h_i = -\frac1K \sum_k p_{ik} \log p_{ik} + (1 - p_{ik}) \log (1 - p_{ik})

    Args:
        logits: Logits (N, K).

    Returns:
        Entropy (N,) in [0, log 2].

    Example:
        >>> import torch
        >>> score_entropy(torch.tensor([[0., 0.], [-200., 200.]]))
        tensor([0.6931, 0.0000])
    """
    scores = logits.sigmoid()
    return -(scores * logsigmoid(logits) + (1 - scores) * logsigmoid(-logits)).mean(dim=1)
