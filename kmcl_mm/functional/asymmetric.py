"""Asymmetric classification loss."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..checks import UNKNOWN, check_target
from .precision import full_precision

# Smallest probability whose logarithm is taken (the published value).
_MIN_PROBABILITY = 1e-7
_LOG_MIN_PROBABILITY = math.log(_MIN_PROBABILITY)


@full_precision
def asymmetric_loss(
    logits: Tensor, target: Tensor, gamma_neg: float = 4.0, gamma_pos: float = 0.0, clip: float = 0.05
) -> Tensor:
    r"""Asymmetric loss, summed over images and labels.

    .. math::
        p^- = \min(1 - p + \text{clip}, 1), \quad
        \ell = y \log p + (1 - y) \log p^-, \quad
        w = (1 - p_t)^{\gamma^+ y + \gamma^- (1 - y)}, \quad
        L = -\sum_{ik} w_{ik} \ell_{ik}

    with :math:`p_t = p y + p^- (1 - y)`, probabilities raised to at least 1e-7 inside the logarithms, and no gradient
    through the focusing weight w, as its authors train.

    Args:
        logits: Logits (N, K).
        target: Targets (N, K): 1 present, 0 absent, -1 unknown, which adds nothing.
        gamma_neg: Focusing exponent of absent labels.
        gamma_pos: Focusing exponent of present labels.
        clip: Probability margin: absent labels below it cost nothing. 0 for none.

    Returns:
        The loss, a scalar. It is a sum, not a mean, and grows with N and K.

    Raises:
        ValueError: The shapes differ, or a target has another value.

    Source: arXiv:2009.14119, section 2.

    Example:
        Without focusing and margin it is the binary cross-entropy.

        >>> import torch
        >>> logits, target = torch.tensor([[0.3, -1.2]]), torch.tensor([[1., 0.]])
        >>> asymmetric_loss(logits, target, gamma_neg=0, gamma_pos=0, clip=0)
        tensor(0.8176)
        >>> torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction='sum')
        tensor(0.8176)
    """
    check_target(target, logits.shape)
    is_unknown = target == UNKNOWN
    target = target.to(logits.dtype).clamp(min=0)
    # 1 - p of present labels and 1 - p_minus of absent ones, and the logarithms of p and p_minus: each in the form that
    # keeps its digits where it is small.
    false_of_present = (-logits).sigmoid()
    false_of_absent = (logits.sigmoid() - clip).clamp(min=0, max=1 - _MIN_PROBABILITY)
    log_present = logsigmoid(logits).clamp(min=_LOG_MIN_PROBABILITY)
    log_absent = torch.log1p(-false_of_absent) if clip else logsigmoid(-logits).clamp(min=_LOG_MIN_PROBABILITY)
    false_probability = torch.where(target == 1, false_of_present, false_of_absent).detach()
    focusing_weight = false_probability ** (gamma_pos * target + gamma_neg * (1 - target))
    losses = focusing_weight * torch.where(target == 1, log_present, log_absent)
    return -losses.masked_fill(is_unknown, 0).sum()
