"""The host: MMEngine, MMCV and MMPretrain, whichever family and release of them is installed.

No other part knows that there are two families. Every work-around stands here, under the fault that it answers.
"""

from .launch import allow_no_workers, fit_to_machine, leave_out_pretrained_weights, run_tool
from .release import (
    average_precision_of_unknown_labels,
    check,
    import_quietly,
    leave_out_broken_multimodal_models,
)
from .safe_loading import load_checkpoints_safely

__all__ = [
    'allow_no_workers',
    'average_precision_of_unknown_labels',
    'check',
    'fit_to_machine',
    'import_quietly',
    'leave_out_broken_multimodal_models',
    'leave_out_pretrained_weights',
    'load_checkpoints_safely',
    'run_tool',
]
