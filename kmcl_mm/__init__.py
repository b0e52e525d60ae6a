"""KMCL, kernel multilabel contrastive learning (arXiv:2307.03967), in torch and for MMPretrain.

The losses and the head need torch alone. Where MMPretrain is installed, importing the package registers its modules, so
that a configuration needs no more than ``custom_imports = dict(imports=['kmcl_mm'])``.
"""

import importlib
from typing import Any

from . import functional, host
from .modules import ASLLoss, KernelMixture, KernelMixtureHead, KMCLLoss
from .version import __version__

# Imported when they are asked for: they need MMPretrain, and some more than that.
_PLACES = {
    'KMCLInferencer': 'apps.inference',
    'get_config': 'config',
    'get_model': 'apps.models_by_name',
    'list_models': 'apps.models_by_name',
}

__all__ = ['ASLLoss', 'KMCLLoss', 'KernelMixture', 'KernelMixtureHead', '__version__', 'functional']


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    host.check()
    return getattr(importlib.import_module(f'{__name__}.{_PLACES[name]}'), name)


if host.is_wanted():
    host.check()
    host.import_quietly()
    from . import datasets, engine, evaluation, models  # noqa: F401  registers their modules
    from .config import register_models

    register_models()
