"""Pictures of what a model does."""

from .prediction_grid import draw_prediction_grid

__all__ = ['draw_prediction_grid']
