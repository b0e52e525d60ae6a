"""Pictures of data sets and of predictions."""

from .label_statistics import draw_cooccurrence, draw_label_counts
from .prediction_grid import draw_prediction_grid
from .sample_grid import draw_sample_grid

__all__ = ['draw_cooccurrence', 'draw_label_counts', 'draw_prediction_grid', 'draw_sample_grid']
