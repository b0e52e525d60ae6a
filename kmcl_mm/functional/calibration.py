"""Probabilities from logits: one logistic regression for all labels."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ..checks import UNKNOWN, check_shape, check_target

# Standard deviations of the normal priors: of a label's bias around the mean of all, which a label with hundreds of
# images hardly feels and one without an image takes over; and of slopes and the mean, which keeps them finite where
# labels are separated without a mistake.
_BIAS_DEVIATION = 0.5
_WIDE = 10.0
_ITERATIONS = 500


class Regression(NamedTuple):
    """A logistic regression on logits.

    Attributes:
        slopes: Slope of each kind of logits (V,), the same for all labels; float64.
        biases: Bias of each label (K,), float64.
    """

    slopes: Tensor
    biases: Tensor


def fit_calibration(logits: Tensor, target: Tensor) -> Regression:
    r"""Fit the slopes and biases that make labels most likely (Platt scaling, with shared slopes).

    .. math:: p_{ik} = \mathrm{sigmoid}(\sum_v a_v z_{vik} + b_k)

    Several kinds of logits, such as a classifier's and those of votes, are mixed and calibrated at once. The slopes are
    shared by all labels. The bias of each label has a normal prior around the mean of all (standard deviation 0.5):
    where few images have a label, its bias is drawn towards the others'.

    Args:
        logits: Logits (V, N, K), finite.
        target: Targets (N, K): 1 present, 0 absent, -1 unknown, which is left out.

    Returns:
        The slopes and biases.

    Raises:
        ValueError: The shapes do not fit each other, a logit is not finite, or a target is no label or none is known.

    Source: Platt (1999), "Probabilistic outputs for support vector machines".

    Example:
        Of the images with the logit 1 three in four have the label, and of those with -1 one in four.

        >>> import torch
        >>> logits = torch.tensor([1., -1.]).repeat_interleave(400).view(1, 800, 1)
        >>> target = torch.tensor([1, 1, 1, 0, 1, 0, 0, 0]).repeat_interleave(100).view(800, 1)
        >>> slopes, biases = fit_calibration(logits, target)
        >>> [round((slopes[0] * logit + biases[0]).sigmoid().item(), 2) for logit in (1, -1)]
        [0.75, 0.25]
    """
    check_target(target, target.shape)
    check_shape('logits', logits, (len(logits), *target.shape), '(V, N, K)')
    is_known = target != UNKNOWN
    if not logits.isfinite().all() or not is_known.any():
        what = 'a known label' if logits.isfinite().all() else 'finite numbers only'
        raise ValueError(f'Expected arguments `logits` and `target` to have {what}.')
    logits = logits.detach().double()
    known, labels = is_known.double(), target.clamp(min=0).double()
    slopes = logits.new_zeros(len(logits), requires_grad=True)
    mean = logits.new_zeros((), requires_grad=True)
    deviations = logits.new_zeros(target.shape[1], requires_grad=True)
    parameters = [slopes, mean, deviations]
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=_ITERATIONS, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn='strong_wolfe'
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        mixed = torch.einsum('v,vnk->nk', slopes, logits) + mean + deviations
        likelihood = binary_cross_entropy_with_logits(mixed, labels, weight=known, reduction='sum')
        prior = (deviations**2).sum() / _BIAS_DEVIATION**2 + ((slopes**2).sum() + mean**2) / _WIDE**2
        value = (likelihood + prior / 2) / known.sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return Regression(slopes.detach(), (mean + deviations).detach())
