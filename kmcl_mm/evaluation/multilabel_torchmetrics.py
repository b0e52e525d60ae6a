"""The multilabel metrics of torchmetrics, with unknown labels left out."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.registry import METRICS
from mmpretrain.structures import label_to_onehot
from torch import Tensor

from ..checks import UNKNOWN, check_choice, check_shape
from .samples import class_names, scores_and_target

_BINS = 15
# Images per call: torchmetrics sums them up one by one in float32, which over a whole data set loses digits.
_IMAGES = 1024


class _Labels(NamedTuple):
    """What the metrics look at.

    Attributes:
        scores: Scores (N, K), float64.
        target: Targets (N, K), int64: 1 present, 0 absent, -1 unknown.
        predicted: Predicted labels (N, K), int64: 1 or 0.
    """

    scores: Tensor
    target: Tensor
    predicted: Tensor


@METRICS.register_module()
class MultiLabelTorchMetrics(BaseMetric):
    """AUROC, F1, ranking and calibration metrics, calculated by torchmetrics.

    Unknown labels (-1 in ``gt_score``), and labels of PASCAL VOC with only difficult objects, count in none of them.
    docs/metrics.md says what each item is.

    Args:
        items: What to calculate; by default all of 'auroc', 'average_precision', 'f1_macro', 'f1_micro',
            'exact_match', 'hamming_distance', 'ranking_average_precision', 'ranking_loss', 'coverage_error',
            'calibration_error' and 'brier_score'.
        collect_device: 'cpu' or 'gpu', where the processes' results meet.
        prefix: Prefix of the names.

    Raises:
        ValueError: An unknown item.

    Source: torchmetrics.functional.classification.

    Example:
        >>> import torch
        >>> from kmcl_mm.evaluation import MultiLabelTorchMetrics
        >>> metric = MultiLabelTorchMetrics(items=('auroc', 'ranking_loss'))
        >>> metric.dataset_meta = dict(classes=('cat', 'dog'))
        >>> scores = torch.tensor([[0.9, 0.2], [0.8, 0.1], [0.1, 0.7]])
        >>> target = torch.tensor([[0, 0], [1, 0], [0, 1]])
        >>> metric.calculate(scores, target, scores > 0.5)
        {'AUROC/cat': 50.0, 'AUROC/dog': 100.0, 'AUROC': 75.0, 'ranking_loss': 0.0}
    """

    default_prefix = 'torchmetrics'

    def __init__(
        self, items: Sequence[str] | None = None, collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.items = ITEMS if items is None else tuple(items)
        for item in self.items:
            check_choice('items', item, ITEMS)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores, targets and predicted labels of a batch.

        Args:
            data_batch: The batch.
            data_samples: Data samples as dicts, with ``pred_score``, ``pred_label``, indices, and ``gt_score`` or
                ``gt_label``.
        """
        for sample in data_samples:
            scores, target = scores_and_target(sample, difficult=UNKNOWN)
            predicted = label_to_onehot(sample['pred_label'], len(scores)).cpu() == 1
            self.results.append((scores, target, predicted))

    def compute_metrics(self, results: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
        """The metrics of all images; logs which labels the mean AUROC and the mean AP leave out.

        Args:
            results: Scores (K,), target (K,) and predicted labels (K,) of each image.

        Returns:
            Numbers by name.
        """
        if {'auroc', 'average_precision'} & set(self.items):
            self._log_labels_left_out(torch.stack([target for _, target, _ in results]))
        return self.measure(results)

    def measure(self, results: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
        """The metrics of all images; logs nothing.

        Args:
            results: Scores (K,), target (K,) and predicted labels (K,) of each image.

        Returns:
            Numbers by name.
        """
        scores, target, predicted = map(torch.stack, zip(*results))
        return self.calculate(scores, target, predicted)

    def calculate(self, scores: Tensor, target: Tensor, predicted: Tensor) -> dict[str, float]:
        """The metrics of scores and predicted labels.

        Args:
            scores: Scores (N, K) in [0, 1].
            target: Targets (N, K): 1 present, 0 absent, -1 unknown.
            predicted: Whether a label is predicted (N, K), bool.

        Returns:
            Numbers by name. ``AUROC`` and ``AP`` with ``AUROC/<label>`` and ``AP/<label>``, ``F1_macro``, ``F1_micro``,
            ``exact_match``, ``hamming_distance`` and ``ranking_AP`` are in percent; ``ranking_loss``,
            ``calibration_error`` and ``brier_score`` are in [0, 1]; ``coverage_error`` is a number of labels. A number
            that no known label decides is nan; F1 is 0 there.

        Raises:
            ValueError: The shapes differ, the data set names another number of labels, or scores are outside [0, 1].
        """
        check_shape('target', target, scores.shape, 'of `scores`')
        check_shape('predicted', predicted, scores.shape, 'of `scores`')
        if not ((scores >= 0) & (scores <= 1)).all():
            # torchmetrics would take them for logits.
            raise ValueError(
                f'Expected argument `scores` to be in [0, 1], but got {scores.min():g} to {scores.max():g}.'
            )
        names = class_names(self.dataset_meta, scores.shape[1])
        labels = _Labels(scores.double(), target.long(), predicted.long())
        metrics: dict[str, float] = {}
        for item in self.items:
            if item in _OF_EACH_LABEL:
                metrics.update(_by_name(item, labels, names))
            else:
                key, factor, function = _OF_ALL_LABELS[item]
                metrics[key] = factor * function(labels)
        return metrics

    def _log_labels_left_out(self, target: Tensor) -> None:
        names = class_names(self.dataset_meta, target.shape[1])
        lacking = [
            f'without a {kind}: {", ".join(name for name, is_there in zip(names, occurs) if not is_there)}'
            for kind, occurs in (
                ('positive', (target == 1).any(dim=0).tolist()),
                ('negative', (target == 0).any(dim=0).tolist()),
            )
            if not all(occurs)
        ]
        if lacking:
            print_log(
                f'Labels {"; ".join(lacking)}. AUROC needs both, AP a positive: the means leave out the others.',
                logger='current',
            )


def _functions() -> Any:
    """torchmetrics' functions. Its import takes seconds, so it waits until a metric needs one."""
    from torchmetrics.functional import classification

    return classification


def _by_name(item: str, labels: _Labels, names: Sequence[str]) -> dict[str, float]:
    """The metric of each label that has what it needs, and the mean over these labels, in percent."""
    key, function_name, needed = _OF_EACH_LABEL[item]
    function = getattr(_functions(), function_name)
    values = {}
    for name, scores, target in zip(names, labels.scores.T, labels.target.T):
        if all((target == value).any() for value in needed):
            is_known = target != UNKNOWN
            value = function(scores[is_known], target[is_known], validate_args=False)
            values[f'{key}/{name}'] = 100 * value.item()
    return {**values, key: sum(values.values()) / len(values) if values else math.nan}


def _f1(labels: _Labels, average: str) -> float:
    value = _functions().multilabel_f1_score(
        labels.predicted,
        labels.target,
        num_labels=labels.target.shape[1],
        average=average,
        ignore_index=UNKNOWN,
        validate_args=False,
    )
    return value.item()


def _exact_match(labels: _Labels) -> float:
    # torchmetrics would count an image of which nothing is known as a match.
    is_known = (labels.target != UNKNOWN).any(dim=1)
    if not is_known.any():
        return math.nan
    value = _functions().multilabel_exact_match(
        labels.predicted[is_known],
        labels.target[is_known],
        num_labels=labels.target.shape[1],
        ignore_index=UNKNOWN,
        validate_args=False,
    )
    return value.item()


def _hamming_distance(labels: _Labels) -> float:
    # The mean over labels ('macro') would count a label of which nothing is known as all wrong.
    if (labels.target == UNKNOWN).all():
        return math.nan
    value = _functions().multilabel_hamming_distance(
        labels.predicted,
        labels.target,
        num_labels=labels.target.shape[1],
        average='micro',
        ignore_index=UNKNOWN,
        validate_args=False,
    )
    return value.item()


def _calibration_error(labels: _Labels) -> float:
    is_known = labels.target != UNKNOWN
    if not is_known.any():
        return math.nan
    value = _functions().binary_calibration_error(
        labels.scores[is_known], labels.target[is_known], n_bins=_BINS, norm='l1', validate_args=False
    )
    return value.item()


def _brier_score(labels: _Labels) -> float:
    is_known = labels.target != UNKNOWN
    return (labels.scores[is_known] - labels.target[is_known]).square().mean().item()


def _ranking_average_precision(labels: _Labels) -> float:
    return _mean_over_images(_functions().multilabel_ranking_average_precision, labels.scores, labels.target)


def _ranking_loss(labels: _Labels) -> float:
    return _mean_over_images(
        _functions().multilabel_ranking_loss, _positives_last_among_equals(labels.scores, labels.target), labels.target
    )


def _coverage_error(labels: _Labels) -> float:
    return _mean_over_images(_functions().multilabel_coverage_error, labels.scores, labels.target)


def _mean_over_images(function: Callable[..., Tensor], scores: Tensor, target: Tensor) -> float:
    """Mean of a ranking metric over the images, each ranked by its known labels alone.

    With ``ignore_index``, torchmetrics ranks the unknown labels too. So images with the same number of known labels go
    to it together, without the unknown ones. Images of which nothing is known are left out.

    Args:
        function: A ranking metric of torchmetrics.
        scores: Scores (N, K).
        target: Targets (N, K): 1 present, 0 absent, -1 unknown.

    Returns:
        The mean; nan where nothing is known.
    """
    is_known = target != UNKNOWN
    known_first = is_known.long().argsort(dim=1, descending=True, stable=True)
    scores, target, number_known = scores.gather(1, known_first), target.gather(1, known_first), is_known.sum(dim=1)
    total, images = 0.0, 0
    for number in number_known.unique().tolist():
        if number == 0:
            continue
        for rows in (number_known == number).nonzero().flatten().split(_IMAGES):
            # torchmetrics' check refuses a single label, which it can rank.
            value = function(scores[rows, :number], target[rows, :number], num_labels=number, validate_args=False)
            total += value.item() * len(rows)
            images += len(rows)
    return total / images if images else math.nan


def _positives_last_among_equals(scores: Tensor, target: Tensor) -> Tensor:
    """Ranks in place of scores, in [0, 1): a pair of equal scores counts as wrong, as in scikit-learn.

    torchmetrics' ranking loss puts equal scores into any order.

    Args:
        scores: Scores (N, K).
        target: Targets (N, K).

    Returns:
        Ranks over K (N, K), the higher the better; none equals another of its image.
    """
    positives_first = target.argsort(dim=1, descending=True, stable=True)
    ascending = scores.gather(1, positives_first).argsort(dim=1, stable=True)
    order = positives_first.gather(1, ascending)
    return order.argsort(dim=1).to(scores.dtype) / scores.shape[1]


# Item -> name, function of torchmetrics, and the targets that a label needs.
_OF_EACH_LABEL: dict[str, tuple[str, str, tuple[int, ...]]] = {
    'auroc': ('AUROC', 'binary_auroc', (0, 1)),
    'average_precision': ('AP', 'binary_average_precision', (1,)),
}
# Item -> name, factor and function.
_OF_ALL_LABELS: dict[str, tuple[str, int, Callable[[_Labels], float]]] = {
    'f1_macro': ('F1_macro', 100, lambda labels: _f1(labels, 'macro')),
    'f1_micro': ('F1_micro', 100, lambda labels: _f1(labels, 'micro')),
    'exact_match': ('exact_match', 100, _exact_match),
    'hamming_distance': ('hamming_distance', 100, _hamming_distance),
    'ranking_average_precision': ('ranking_AP', 100, _ranking_average_precision),
    'ranking_loss': ('ranking_loss', 1, _ranking_loss),
    'coverage_error': ('coverage_error', 1, _coverage_error),
    'calibration_error': ('calibration_error', 1, _calibration_error),
    'brier_score': ('brier_score', 1, _brier_score),
}
ITEMS = (*_OF_EACH_LABEL, *_OF_ALL_LABELS)
