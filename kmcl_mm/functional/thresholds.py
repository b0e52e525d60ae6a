"""Thresholds of scores, one for each label."""

import torch
from torch import Tensor

from ..checks import UNKNOWN, check_choice, check_shape, check_target

GOALS = ('f1', 'precision', 'recall')


def fit_thresholds(
    scores: Tensor, target: Tensor, default: float | Tensor, goal: str = 'f1', wished: float | None = None
) -> Tensor:
    """The threshold of each label that serves a goal best on these images.

    - 'f1': the highest F1;
    - 'precision': the highest recall among the thresholds that reach the wished precision;
    - 'recall': the highest precision among the thresholds that reach the wished recall.

    Where no threshold reaches the wished precision, the one with the highest precision is taken. Of thresholds that
    serve alike the highest is taken. A threshold lies halfway between two scores, so that it makes no difference
    whether a score has to reach it or to exceed it, but for scores that are neighbouring numbers.

    Args:
        scores: Scores (N, K) in [0, 1].
        target: Targets (N, K): 1 present, 0 absent, -1 unknown, which is left out.
        default: Thresholds (K,) of labels that no image has, or one for all.
        goal: 'f1', 'precision' or 'recall'.
        wished: The wished precision or recall, in (0, 1]; None with 'f1'.

    Returns:
        Thresholds (K,), in [0, 1], float64.

    Raises:
        ValueError: The shapes differ, a target is no label, or a goal that does not exist or lacks its wish.

    Example:
        The two images with the label have the highest and the third score.

        >>> import torch
        >>> scores, target = torch.tensor([[.9], [.8], [.4], [.2]]), torch.tensor([[1], [0], [1], [0]])
        >>> [round(fit_thresholds(scores, target, 0.5, *goal).item(), 2) for goal in [('f1',), ('precision', 1.)]]
        [0.3, 0.85]
    """
    check_choice('goal', goal, GOALS)
    if (wished is None) != (goal == 'f1') or not (wished is None or 0 < wished <= 1):
        raise ValueError(
            f"Expected argument `wished` to be None with goal='f1' and in (0, 1] otherwise, but got {wished} with "
            f'goal={goal!r}.'
        )
    check_shape('scores', scores, target.shape, 'of `target`, (N, K),')
    check_target(target, target.shape)
    defaults = torch.as_tensor(default, dtype=torch.float64, device=scores.device).expand(scores.shape[1])
    labels = zip(scores.double().T, target.T, defaults)
    return torch.stack([_fit(*label, goal, wished) for label in labels])


def _fit(scores: Tensor, target: Tensor, default: Tensor, goal: str, wished: float | None) -> Tensor:
    """Threshold of one label; scores and target (N,)."""
    is_known = target != UNKNOWN
    scores, order = scores[is_known].sort(descending=True)
    is_present = (target[is_known] == 1)[order].double()
    if not is_present.any():
        return default
    right = is_present.cumsum(dim=0)
    precision = right / torch.arange(1, len(scores) + 1, device=scores.device)
    recall = right / right[-1]
    value = {
        'f1': 2 * precision * recall / (precision + recall).clamp(min=torch.finfo(scores.dtype).tiny),
        'precision': torch.where(precision >= (wished or 0), 1 + recall, precision),
        'recall': torch.where(recall >= (wished or 0), precision, -1),
    }[goal]
    following = torch.cat([scores[1:], scores.new_zeros(1)])
    # Between equal scores there is no threshold. argmax does not promise which of several it takes.
    value = value.masked_fill(scores == following, -2)
    last = (value == value.max()).nonzero()[0, 0]
    return (scores[last] + following[last]) / 2
