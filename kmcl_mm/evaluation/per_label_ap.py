"""Average precision of each label, by its name."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from mmpretrain.registry import METRICS
from torch import Tensor

from ..checks import UNKNOWN
from ..files import atomic_write
from .partial_label_ap import PartialLabelAP
from .samples import class_names, scores_and_target, stack


@METRICS.register_module()
class PerLabelAP(BaseMetric):
    """Average precision of each label by name, in percent: as a table in the log, and as numbers among the metrics.

    The average precision is MMPretrain's. A label that no image has is named and left out of the mean, where MMPretrain
    counts it as 0. Unknown labels (-1 in ``gt_score``), and labels of PASCAL VOC with only difficult objects, leave the
    image out of that label's average precision.

    Args:
        out_dir: Folder for ``per_label_ap.csv`` and ``per_label_ap.png``. Default: the folder of the run's log;
            without a run no files are written.
        collect_device: 'cpu' or 'gpu', where the processes' results meet.
        prefix: Prefix of the names.

    Source: the published recipe's mean average precision.

    Example:
        >>> import torch
        >>> from kmcl_mm.evaluation import PerLabelAP
        >>> metric = PerLabelAP()
        >>> metric.dataset_meta = dict(classes=('cat', 'dog'))
        >>> scores, target = torch.tensor([[.9, .2], [.8, .1]]), torch.tensor([[0, 0], [1, 0]])
        >>> metric.calculate(scores, target)
        {'AP/cat': 50.0, 'mAP': 50.0}
    """

    default_prefix = 'per-label'

    def __init__(
        self,
        out_dir: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.out_dir = out_dir

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores and targets of a batch.

        Args:
            data_batch: The batch.
            data_samples: Data samples as dicts, with ``pred_score``, and ``gt_score`` or ``gt_label``.
        """
        self.results += [scores_and_target(sample, difficult=UNKNOWN) for sample in data_samples]

    def compute_metrics(self, results: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Average precisions of all images; writes the table and the files.

        Args:
            results: Scores and target of each image.

        Returns:
            Percentages by name, ``AP/<label>`` for each label that an image has, and ``mAP``.
        """
        metrics = self.measure(results)
        _, target = stack(results)
        num_positives = dict(zip(class_names(self.dataset_meta, target.shape[1]), (target == 1).sum(dim=0).tolist()))
        rows = [(name, metrics.get(f'AP/{name}', math.nan), count) for name, count in num_positives.items()]
        rows.sort(key=lambda row: -row[1] if row[2] else math.inf)
        print_log(_table(rows, metrics['mAP']), logger='current')
        folder = self._folder()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            with (
                atomic_write(folder / 'per_label_ap.csv') as path,
                path.open('w', newline='', encoding='utf-8') as file,
            ):
                csv.writer(file).writerows([('label', 'average_precision', 'positives'), *rows])
            with atomic_write(folder / 'per_label_ap.png') as path:
                _draw(rows, metrics['mAP'], path)
        return metrics

    def measure(self, results: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Average precisions of images, without the table and the files.

        Args:
            results: Scores (K,) and target (K,) of each image.

        Returns:
            Percentages by name, as :meth:`calculate` gives them.
        """
        return self.calculate(*stack(results))

    def calculate(self, scores: Tensor, target: Tensor) -> dict[str, float]:
        """Average precisions of scores.

        Args:
            scores: Scores (N, K).
            target: Targets (N, K): 1 present, 0 absent, -1 unknown.

        Returns:
            Percentages by name; nan as the mean where no image has a label.

        Raises:
            ValueError: The data set names another number of labels.
        """
        average_precision = PartialLabelAP.calculate(scores, target, average=None).tolist()
        occurs = (target == 1).any(dim=0).tolist()
        names = class_names(self.dataset_meta, target.shape[1])
        counted = [value for value, is_there in zip(average_precision, occurs) if is_there]
        metrics = {f'AP/{name}': value for name, value, is_there in zip(names, average_precision, occurs) if is_there}
        return dict(metrics, mAP=sum(counted) / len(counted) if counted else math.nan)

    def _folder(self) -> Path | None:
        if self.out_dir is not None:
            return Path(self.out_dir)
        log_file = MMLogger.get_current_instance().log_file
        return None if log_file is None else Path(log_file).parent


def _table(rows: Sequence[tuple[str, float, int]], mean: float) -> str:
    width = max(len(name) for name, _, _ in rows)
    lines = [f'    {name:{width}}  {value:6.2f}  {count:7} positives' for name, value, count in rows if count]
    absent = [name for name, _, count in rows if not count]
    lines.append(f'    {"mean":{width}}  {mean:6.2f}')
    if absent:
        lines.append(f'    without a positive: {", ".join(absent)}')
    return '\n'.join(['Average precision of each label, in percent:', *lines])


@rc_context({'text.parse_math': False})
def _draw(rows: Sequence[tuple[str, float, int]], mean: float, path: Path) -> None:
    """Bars of the labels that occur, the best on top."""
    rows = [row for row in rows if row[2]]
    figure = Figure(figsize=(8, 1 + 0.22 * max(len(rows), 3)), layout='constrained')
    ax = figure.subplots()
    ax.barh([f'{name} ({count})' for name, _, count in rows], [value for _, value, _ in rows], color='tab:blue')
    ax.axvline(mean, color='tab:orange')
    ax.set_title(f'Average precision of each label (line: mean {mean:.1f})')
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel('average precision in percent (number of positives in brackets)')
    ax.margins(y=0.01)
    figure.savefig(path, dpi=100)
