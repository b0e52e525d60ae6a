"""The host: MMEngine, MMCV and MMPretrain, whichever family and release of them is installed.

No other part knows that there are two families. Every work-around stands here, under the fault that it answers.
"""

from .configurations import refuse_circular_bases
from .launch import allow_no_workers, fit_to_machine, leave_out_pretrained_weights, leave_process_group, run_tool
from .release import (
    average_precision_of_unknown_labels,
    check,
    import_quietly,
    leave_out_broken_multimodal_models,
)
from .safe_loading import load_checkpoints_safely
from .whole_checkpoints import resume_from_whole_checkpoints, write_checkpoints_whole

__all__ = [
    'allow_no_workers',
    'average_precision_of_unknown_labels',
    'check',
    'fit_to_machine',
    'import_quietly',
    'leave_out_broken_multimodal_models',
    'leave_out_pretrained_weights',
    'leave_process_group',
    'load_checkpoints_safely',
    'refuse_circular_bases',
    'resume_from_whole_checkpoints',
    'run_tool',
    'write_checkpoints_whole',
]
