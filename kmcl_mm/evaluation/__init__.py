"""Metrics that the host lacks."""

from .multilabel_f1 import MultiLabelF1
from .per_label_ap import PerLabelAP

__all__ = ['MultiLabelF1', 'PerLabelAP']
