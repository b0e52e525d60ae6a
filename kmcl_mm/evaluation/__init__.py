"""Metrics that MMPretrain lacks."""

from .multilabel_f1 import MultiLabelF1
from .partial_label_ap import PartialLabelAP
from .per_label_ap import PerLabelAP

__all__ = ['MultiLabelF1', 'PartialLabelAP', 'PerLabelAP']
