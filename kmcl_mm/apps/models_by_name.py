"""The package's models by the names of their configurations."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import filter as matching
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel

from ..config import config_folder, load_config
from ..engine import load_weights
from ..errors import listed
from .model_building import build_model


def list_models(pattern: str = '*') -> list[str]:
    """List the package's models, one per configuration.

    Args:
        pattern: Pattern of their names, with ``*`` and ``?`` as in file names.

    Returns:
        The names, sorted.

    Example:
        >>> from kmcl_mm import list_models
        >>> list_models('kmcl_tresnet_*_voc07')
        ['kmcl_tresnet_l_voc07', 'kmcl_tresnet_m_voc07']
    """
    return sorted(matching([path.stem for path in config_folder().glob('*.py')], pattern))


def get_model(
    name: str | Path | Config, num_classes: int | None = None, pretrained: str | Path | None = None, **overrides: Any
) -> BaseModel:
    """Build the model of a configuration, with its initial values.

    Args:
        name: Name of one of this package's configurations, see :func:`list_models`; the path of another one, or a
            configuration.
        num_classes: Number of labels. Default: the configuration's.
        pretrained: A checkpoint: of this package, with its fitted thresholds, or in the names of the published code, of
            ASL or of MIIL. Weights of the head that it lacks keep their initial values, with a warning. Default:
            initial values throughout; nothing is downloaded.
        **overrides: Other settings of the model, such as ``head=dict(thr=0.5)``.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        ValueError: There is no such configuration, or the checkpoint is of another model, corrupt or could run code.
        FileNotFoundError: There is no such checkpoint.

    Example:
        >>> from kmcl_mm import get_model
        >>> get_model('kmcl_tresnet_m_voc07', num_classes=3, head=dict(thr=0.5)).head.num_classes
        3
    """
    cfg = load_config(name)
    cfg.merge_from_dict(dict(model=overrides))
    if num_classes is not None:
        cfg.model.head.num_classes = num_classes
        for preprocessor in (cfg.get('data_preprocessor'), cfg.model.get('data_preprocessor')):
            if preprocessor is not None:
                preprocessor.num_classes = num_classes
    with _quietly():
        model = build_model(cfg)
        model.init_weights()
    if pretrained is not None:
        initial = load_weights(model, pretrained).initial
        if initial:
            warnings.warn(f'{pretrained} has no {listed(initial)}: they keep their initial values.', stacklevel=2)
    return model


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep MMEngine from logging a line about each weight, also into the file of a former training."""
    logger = MMLogger.get_current_instance()
    level, handlers = logger.level, logger.handlers
    logger.setLevel(logging.WARNING)
    # MMEngine writes into files past the level.
    logger.handlers = []
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.handlers = handlers
