"""A metric with the interval in which it lies when the test images are drawn again."""

import logging
import math
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from mmengine.utils import track_iter_progress
from mmpretrain.registry import METRICS
from torch import Tensor

from ..checks import check_at_least
from .resampling import RESAMPLINGS, Interval, draw_weights, interval_of


@METRICS.register_module()
class Bootstrapped(BaseMetric):
    """Another metric, each number of it with an interval of 95 % (bootstrap).

    As many images as there are get drawn with replacement, and the metric is computed of them, again and again. Images
    of one patient are drawn together, see ``groups``. A resampling in which a number cannot be computed, such as the
    average precision of a label that no drawn image has, does not count for that number.

    Args:
        metric: The metric, or its configuration. One with a method ``measure`` is computed of the resamplings by that,
            another by ``compute_metrics``, without its messages.
        resamplings: Number of resamplings.
        seed: Seed of the drawing; metrics with the same seed are computed of the same images.
        groups: The patient, say, of each image in the order of the data set, see :func:`groups_of`. Default: each image
            by itself.
        collect_device: 'cpu' or 'gpu', where the processes' results meet. Default: the metric's.

    Raises:
        ValueError: ``metric`` is no metric, ``resamplings`` is less than 1, or the groups are of another number of
            images.

    Example:
        >>> import torch
        >>> from kmcl_mm.evaluation import Bootstrapped, MultiLabelF1
        >>> metric = Bootstrapped(MultiLabelF1(thr=0.5), resamplings=100)
        >>> scores, target = torch.rand(50, 3), torch.ones(50, 3)
        >>> metric.process(None, [dict(pred_score=row, gt_score=truth) for row, truth in zip(scores, target)])
        >>> metrics = metric.evaluate(50)
        >>> metrics['multi-label/CR_low'] <= metrics['multi-label/CR'] <= metrics['multi-label/CR_high']
        True
    """

    def __init__(
        self,
        metric: dict[str, Any] | BaseMetric,
        resamplings: int = RESAMPLINGS,
        seed: int = 0,
        groups: Sequence[Hashable] | None = None,
        collect_device: str | None = None,
    ) -> None:
        check_at_least('resamplings', resamplings, 1)
        self.metric = METRICS.build(metric) if isinstance(metric, dict) else metric
        if not isinstance(self.metric, BaseMetric):
            raise ValueError(f'Expected argument `metric` to be a metric or its configuration, but got {metric!r}.')
        super().__init__(collect_device=collect_device or self.metric.collect_device, prefix=self.metric.prefix)
        self.collect_dir = self.metric.collect_dir
        self.resamplings = resamplings
        self.seed = seed
        self.groups = groups

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """What the data set says about itself, for the metric."""
        return self.metric.dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        self.metric.dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what the metric keeps of a batch.

        Args:
            data_batch: The batch.
            data_samples: Data samples as dicts.
        """
        self.metric.process(data_batch, data_samples)
        self.results += self.metric.results
        self.metric.results.clear()

    def compute_metrics(self, results: list) -> dict[str, Any]:
        """The metrics of all images, with their intervals; logs a table of them.

        Args:
            results: What the metric kept of each image, in the order of the data set.

        Returns:
            What the metric returns and, for each number in it, its ends ``NAME_low`` and ``NAME_high``.
        """
        metrics = self.metric.compute_metrics(results)
        intervals = self._intervals(results, _numbers(metrics))
        if not intervals:
            return metrics
        print_log(self._table(intervals, len(results)), logger='current')
        with_ends: dict[str, Any] = {}
        for name, value in metrics.items():
            with_ends[name] = value
            if name in intervals:
                with_ends.update({f'{name}_low': intervals[name].low, f'{name}_high': intervals[name].high})
        return with_ends

    def _intervals(self, results: list, numbers: dict[str, float]) -> dict[str, Interval]:
        if not numbers:
            return {}
        weights = draw_weights(len(results), self.groups, self.resamplings, self.seed)
        measure = getattr(self.metric, 'measure', self.metric.compute_metrics)
        values = {name: [number] for name, number in numbers.items()}
        name_of_metric = type(self.metric).__name__
        print_log(f'{name_of_metric} of {self.resamplings} resamplings of the images:', logger='current')
        with _no_messages():
            for row in track_iter_progress((weights[1:], self.resamplings)):
                drawn = [results[image] for image in np.repeat(np.arange(len(results)), row)]
                measured = _numbers(measure(drawn))
                for name, found in values.items():
                    found.append(measured.get(name, math.nan))
        return {name: interval_of(np.array(found)) for name, found in values.items()}

    def _table(self, intervals: dict[str, Interval], images: int) -> str:
        source = f'{self.resamplings} resamplings of {images} images'
        if self.groups is not None:
            source += f' in {len(set(self.groups))} groups'
        width = max(map(len, intervals))
        lines = [
            f'    {name:{width}}  {value:7.4g}  ({low:.4g} to {high:.4g})'
            for name, (value, low, high) in intervals.items()
        ]
        return '\n'.join([f'{type(self.metric).__name__} with intervals of 95 % ({source}):', *lines])


def groups_of(dataset: BaseDataset) -> list[Hashable] | None:
    """Which images of a data set are of one patient, for ``groups`` of :class:`Bootstrapped`.

    Args:
        dataset: A data set whose images may have a ``patient_id``.

    Returns:
        A value for each image, the same for images of one patient; an image without one has a value of its own. None
        where no image has a patient.

    Example:
        >>> from mmengine.dataset import BaseDataset
        >>> class Scans(BaseDataset):
        ...     def load_data_list(self):
        ...         return [dict(patient_id='a'), dict(patient_id='a'), dict()]
        >>> groups_of(Scans())
        [('patient', 'a'), ('patient', 'a'), ('image', 2)]
    """
    patients = [dataset.get_data_info(index).get('patient_id') for index in range(len(dataset))]
    if not any(patients):
        return None
    return [('image', index) if not patient else ('patient', patient) for index, patient in enumerate(patients)]


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """Those metrics that are one number."""
    return {name: float(value) for name, value in metrics.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor | np.ndarray):
        return value.ndim == 0
    return isinstance(value, Real) and not isinstance(value, bool)


@contextmanager
def _no_messages() -> Iterator[None]:
    """Log errors only."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
