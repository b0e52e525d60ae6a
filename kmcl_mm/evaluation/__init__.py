"""Metrics that MMPretrain lacks."""

from .bootstrapped import Bootstrapped
from .multilabel_f1 import MultiLabelF1
from .multilabel_torchmetrics import MultiLabelTorchMetrics
from .partial_label_ap import PartialLabelAP
from .per_label_ap import PerLabelAP

__all__ = ['Bootstrapped', 'MultiLabelF1', 'MultiLabelTorchMetrics', 'PartialLabelAP', 'PerLabelAP']
