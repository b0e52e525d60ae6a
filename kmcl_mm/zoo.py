"""The package's models by name."""

import warnings
from fnmatch import fnmatchcase
from pathlib import Path
from typing import List, Union

from mmengine.model import BaseModel
from mmpretrain.apis import get_model as build_model

from . import host
from .config import config_folder, get_config
from .conversion import load_weights


def list_models(pattern: str = '*') -> List[str]:
    """List the models that there are, one a configuration.

    Args:
        pattern: Pattern of their names, with ``*`` and ``?`` as in file names.

    Returns:
        The names, in order.

    Example:
        >>> from kmcl_mm import list_models
        >>> list_models('kmcl_tresnet_*_voc07')
        ['kmcl_tresnet_l_voc07', 'kmcl_tresnet_m_voc07']
    """
    return sorted(path.stem for path in config_folder().glob('*.py') if fnmatchcase(path.stem, pattern))


def get_model(name: str, pretrained: Union[str, Path, None] = None) -> BaseModel:
    """Build the model of one of the package's configurations.

    Args:
        name: Name of the configuration; :func:`list_models` has them.
        pretrained: A checkpoint: of this package, with the thresholds in it if it has some, or in the names of the
            published code, of ASL or of MIIL. Weights of the head that it lacks keep their initial values, with a
            warning. Default: initial values throughout; nothing is fetched.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        ValueError: There is no such configuration, or the checkpoint is of another model, not whole or could run code.
        FileNotFoundError: There is no such checkpoint.

    Example:
        >>> from kmcl_mm import get_model
        >>> get_model('kmcl_tresnet_m_voc07').head.num_classes
        20
    """
    cfg = get_config(name)
    host.leave_out_pretrained_weights(cfg)
    model = build_model(cfg)
    if pretrained is not None:
        initial = load_weights(model, pretrained).initial
        if initial:
            warnings.warn(f'{pretrained} has no {", ".join(initial)}: they keep their initial values.', stacklevel=2)
    return model
