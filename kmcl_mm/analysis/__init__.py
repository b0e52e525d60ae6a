"""Checks of the data before training: labels, images, and what the splits have in common."""

from .dataset_check import DatasetReport, check_dataset
from .findings import Finding

__all__ = ['DatasetReport', 'Finding', 'check_dataset']
