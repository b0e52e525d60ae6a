"""Precision, recall and F1 as the multilabel literature averages them."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.registry import METRICS
from mmpretrain.structures import label_to_onehot
from torch import Tensor

from ..checks import UNKNOWN
from .samples import scores_and_target


@METRICS.register_module()
class MultiLabelF1(BaseMetric):
    r"""CP, CR, CF1 and OP, OR, OF1 of the predicted labels, in percent.

    With TP, P and T the numbers of right, predicted and true labels,

    .. math::
        CP = \frac{1}{K} \sum_k \frac{TP_k}{P_k}, \quad CR = \frac{1}{K} \sum_k \frac{TP_k}{T_k}, \quad
        OP = \frac{\sum_k TP_k}{\sum_k P_k}, \quad OR = \frac{\sum_k TP_k}{\sum_k T_k}

    and each F1 is the harmonic mean of its P and R: CF1 is not the mean of the labels' F1, which MMPretrain's
    ``MultiLabelMetric`` gives. A quotient by 0 counts as 0. Unknown labels (-1 in ``gt_score``) count neither as right
    nor as wrong; a label of PASCAL VOC with only difficult objects counts as absent, as in the published code.

    Args:
        thr: Threshold that the score of a predicted label reaches, or one for each label. Default: the labels that the
            head predicts, by its ``thr`` or ``topk`` or by the thresholds that were fitted for the checkpoint.
        topk: Look as well at the predicted labels among an image's k highest scores; None for not.
        collect_device: 'cpu' or 'gpu', where the processes' results meet.
        prefix: Prefix of the names.

    Raises:
        ValueError: A threshold outside [0, 1], a ``topk`` below 1, or another number of labels than in the scores.

    Source: the published recipe (threshold 0.8, top 3).

    Example:
        Of three predicted labels two are right, of three true ones two are found.

        >>> import torch
        >>> from kmcl_mm.evaluation import MultiLabelF1
        >>> scores, target = torch.tensor([[.9, .9], [.9, .1]]), torch.tensor([[1, 1], [0, 1]])
        >>> metrics = MultiLabelF1(thr=.8, topk=None).calculate(scores, target)
        >>> {name: round(value, 1) for name, value in metrics.items()}
        {'CP': 75.0, 'CR': 75.0, 'CF1': 75.0, 'OP': 66.7, 'OR': 66.7, 'OF1': 66.7}
    """

    default_prefix = 'multi-label'

    def __init__(
        self,
        thr: float | Sequence[float] | None = None,
        topk: int | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.thr = None if thr is None else torch.as_tensor(thr, dtype=torch.float64)
        if self.thr is not None and (self.thr.dim() > 1 or not ((self.thr >= 0) & (self.thr <= 1)).all()):
            raise ValueError(f'Expected argument `thr` to be a number in [0, 1], or one for each label, but got {thr}.')
        if topk is not None and topk < 1:
            raise ValueError(f'Expected argument `topk` to be at least 1 or None, but got {topk}.')
        self.topk = topk

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores, targets and predicted labels of a batch.

        Args:
            data_batch: The batch.
            data_samples: Data samples as dicts, with ``pred_score``, ``gt_score`` or ``gt_label``, and, without a
                ``thr``, ``pred_label``, indices.
        """
        for sample in data_samples:
            scores, target = scores_and_target(sample, difficult=0)
            predicted = self._reach(scores)
            if predicted is None:
                predicted = label_to_onehot(sample['pred_label'], len(scores)).cpu() == 1
            self.results.append((scores, target, predicted))

    def compute_metrics(self, results: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
        """The metrics of all images.

        Args:
            results: Scores, target and predicted labels of each image.

        Returns:
            Percentages by name, CP, CR, CF1, OP, OR, OF1, and the same with ``_top3`` behind.
        """
        if self.thr is not None:
            lowest, highest = self.thr.min(), self.thr.max()
            text = f'{lowest:g}' if lowest == highest else f'{lowest:g} to {highest:g}'
            print_log(f"MultiLabelF1 has a threshold of its own, {text}, instead of the head's.", logger='current')
        return self.measure(results)

    def measure(self, results: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
        """The metrics of images, without a line in the log.

        Args:
            results: Scores (K,), target (K,) and predicted labels (K,) of each image.

        Returns:
            Percentages by name, as :meth:`compute_metrics` gives them.
        """
        return self._metrics(*map(torch.stack, zip(*results)))

    def calculate(self, scores: Tensor, target: Tensor) -> dict[str, float]:
        """The metrics of scores, with a ``thr``.

        Args:
            scores: Scores (N, K) in [0, 1].
            target: Targets (N, K): 1 present, 0 absent, -1 unknown.

        Returns:
            Percentages by name.

        Raises:
            ValueError: The shapes do not fit each other or the thresholds, or there is no ``thr``.
        """
        if scores.shape != target.shape:
            raise ValueError(
                f'Expected argument `target` to have the shape {tuple(scores.shape)} of `scores`, but got '
                f'{tuple(target.shape)}.'
            )
        predicted = self._reach(scores)
        if predicted is None:
            raise ValueError(
                'Expected argument `thr` of MultiLabelF1 to be a threshold for these scores, but got None.'
            )
        return self._metrics(scores, target, predicted)

    def _reach(self, scores: Tensor) -> Tensor | None:
        """Whether scores (..., K) reach the threshold, or None without one."""
        if self.thr is None:
            return None
        if self.thr.numel() not in (1, scores.shape[-1]):
            raise ValueError(
                f'Expected argument `thr` to be one threshold or {scores.shape[-1]}, one for each label, but got '
                f'{self.thr.numel()}.'
            )
        return scores >= self.thr.to(scores.dtype)

    def _metrics(self, scores: Tensor, target: Tensor, predicted: Tensor) -> dict[str, float]:
        metrics = _precision_recall_f1(predicted, target)
        if self.topk is not None:
            known = scores.masked_fill(target == UNKNOWN, -1)
            highest = known.topk(min(self.topk, scores.shape[1]), dim=1).indices
            is_highest = torch.zeros_like(predicted).scatter_(1, highest, True)
            among_highest = _precision_recall_f1(predicted & is_highest, target)
            metrics.update({f'{name}_top{self.topk}': value for name, value in among_highest.items()})
        return metrics


def precision_recall_f1_of_labels(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Precision, recall and F1 of each label, in percent; a quotient by 0 counts as 0.

    Args:
        predicted: Whether a label is predicted (N, K), bool.
        target: Targets (N, K): 1 present, 0 absent, -1 unknown.

    Returns:
        Three tensors (K,), float64.
    """
    return _quotients(*_counts(predicted, target))


def averages(right: Tensor, predicted: Tensor, true: Tensor) -> dict[str, Tensor]:
    """The means over labels (C) and over all predictions (O), from numbers of labels.

    Args:
        right: Numbers of right labels (..., K), float64.
        predicted: Numbers of predicted labels (..., K).
        true: Numbers of true labels (..., K).

    Returns:
        CP, CR, CF1, OP, OR and OF1 (...), in percent.
    """
    counts = right, predicted, true
    metrics = {}
    for letter, parts in (('C', counts), ('O', [part.sum(dim=-1, keepdim=True) for part in counts])):
        precision, recall, _ = (part.mean(dim=-1) for part in _quotients(*parts))
        metrics[f'{letter}P'] = precision
        metrics[f'{letter}R'] = recall
        metrics[f'{letter}F1'] = _harmonic_mean(precision, recall)
    return metrics


def _precision_recall_f1(predicted: Tensor, target: Tensor) -> dict[str, float]:
    return {name: value.item() for name, value in averages(*_counts(predicted, target)).items()}


def _counts(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of right, predicted and true labels, each (K,)."""
    true = target == 1
    return (
        (predicted & true).sum(dim=0).double(),
        (predicted & (target != UNKNOWN)).sum(dim=0).double(),
        true.sum(dim=0).double(),
    )


def _quotients(right: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    precision = 100 * right / predicted.clamp(min=1)
    recall = 100 * right / true.clamp(min=1)
    return precision, recall, _harmonic_mean(precision, recall)


def _harmonic_mean(precision: Tensor, recall: Tensor) -> Tensor:
    total = precision + recall
    return torch.where(total > 0, 2 * precision * recall / total, 0.0)
