"""KMCL, kernel multilabel contrastive learning (arXiv:2307.03967), for MMPretrain.

Importing the package checks the host and registers its modules, so that a configuration needs no more than
``custom_imports = dict(imports=['kmcl_mm'], allow_failed_imports=False)``.
"""

from . import host

host.check()
host.leave_out_broken_multimodal_models()
host.import_quietly()
host.average_precision_of_unknown_labels()
host.load_checkpoints_safely()
host.write_checkpoints_whole()
host.resume_from_whole_checkpoints()

from . import datasets, engine, evaluation, models  # noqa: E402
from .config import get_config  # noqa: E402
from .version import __version__  # noqa: E402
from .zoo import get_model, list_models  # noqa: E402

__all__ = [
    '__version__',
    'datasets',
    'engine',
    'evaluation',
    'get_config',
    'get_model',
    'list_models',
    'models',
]
