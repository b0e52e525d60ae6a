"""Checks of the data before training: labels, images, and overlap of the splits."""

from .dataset_check import DatasetReport, check_dataset
from .findings import Finding

__all__ = ['DatasetReport', 'Finding', 'check_dataset']
