"""Average precision where some labels are unknown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmpretrain.evaluation import AveragePrecision
from mmpretrain.registry import METRICS
from torch import Tensor

from ..checks import UNKNOWN
from .samples import scores_and_target


@METRICS.register_module()
class PartialLabelAP(AveragePrecision):
    """MMPretrain's ``AveragePrecision``, also where a label is unknown, or difficult, in all images.

    Unknown labels (-1 in ``gt_score``), and labels of PASCAL VOC with only difficult objects, leave the image out of
    that label's average precision, as in MMPretrain's ``VOCAveragePrecision``. MMPretrain fails where that leaves no
    image of a label; here the label counts as 0, as one does that no image has.

    Args:
        average: 'macro' for the mean over the labels, None for each label's.
        collect_device: 'cpu' or 'gpu', where the processes' results meet.
        prefix: Prefix of the names.

    Source: the published recipe's mean average precision.

    Example:
        The second label is known of no image.

        >>> import torch
        >>> from kmcl_mm.evaluation import PartialLabelAP
        >>> scores, target = torch.tensor([[0.9, 0.2], [0.8, 0.1]]), torch.tensor([[0, -1], [1, -1]])
        >>> PartialLabelAP.calculate(scores, target, average=None)
        tensor([50.,  0.])
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores and targets of a batch.

        Args:
            data_batch: The batch.
            data_samples: Data samples as dicts, with ``pred_score``, and ``gt_score`` or ``gt_label``.
        """
        for sample in data_samples:
            scores, target = scores_and_target(sample, difficult=UNKNOWN)
            self.results.append(dict(pred_score=scores, gt_score=target))

    @staticmethod
    def calculate(
        pred: Tensor | np.ndarray | list, target: Tensor | np.ndarray | list, average: str | None = 'macro'
    ) -> Tensor:
        """Calculate the average precision.

        Args:
            pred: Scores (N, K).
            target: Targets (N, K): 1 present, 0 absent, -1 unknown.
            average: 'macro' for the mean over the labels, None for each label's.

        Returns:
            Percent, a scalar or (K,).
        """
        pred, target = torch.as_tensor(pred), torch.as_tensor(target)
        is_known = (target != UNKNOWN).any(dim=0)
        precision = pred.new_zeros(pred.shape[1])
        if is_known.any():
            precision[is_known] = AveragePrecision.calculate(pred[:, is_known], target[:, is_known], average=None)
        return precision if average is None else precision.mean()
