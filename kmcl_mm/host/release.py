"""Which family and release of the host is installed, and what has to be done before it is used."""

import contextlib
import importlib
import io
import warnings
from importlib import metadata
from typing import Dict, List, Tuple

from packaging.version import Version
from torch import Tensor

# Import name -> (distributions that provide it, lowest release), for the originals and for the maintained family.
_ORIGINAL = dict(
    mmengine=(('mmengine', 'mmengine-lite'), '0.10.7'),
    mmcv=(('mmcv', 'mmcv-lite'), '2.0.0'),
    mmpretrain=(('mmpretrain',), '1.2.0'),
)
_MAINTAINED = dict(
    mmengine=(('onedl-mmengine',), '0.10.12'),
    mmcv=(('onedl-mmcv',), '2.3.5'),
    mmpretrain=(('onedl-mmpretrain',), '1.3.6'),
)
_INSTALL_ORIGINAL = 'pip install --upgrade mmengine==0.10.7 mmcv-lite==2.2.0 mmpretrain==1.2.0'
_MAINTAINED_REQUIREMENTS = '"onedl-mmengine>=0.10.12" "onedl-mmcv>=2.3.5" "onedl-mmpretrain>=1.3.6"'
INSTALL_MAINTAINED = f'pip install --upgrade {_MAINTAINED_REQUIREMENTS}'


def check() -> None:
    """Check that one family of the host is installed, whole and recent enough.

    Raises:
        ImportError: A package is missing, too old, or both families are mixed. The message holds the command that
            mends it.
    """
    original, maintained = _installed(_ORIGINAL), _installed(_MAINTAINED)
    if original and maintained:
        names = ' '.join(sorted(distribution for _, distribution, _ in (*original, *maintained)))
        raise ImportError(
            f'kmcl_mm found packages of two families that overwrite each other: {names}. Keep one:\n'
            f'    pip uninstall -y {names}\n    {INSTALL_MAINTAINED}'
        )
    family, installed, command = (
        (_ORIGINAL, original, _INSTALL_ORIGINAL) if original else (_MAINTAINED, maintained, INSTALL_MAINTAINED)
    )
    missing = [name for name in family if name not in {found for found, _, _ in installed}]
    if missing:
        raise ImportError(
            f'kmcl_mm needs mmengine, mmcv and mmpretrain; not installed: {", ".join(missing)}. '
            f'Install them:\n    {command}'
        )
    for name, distribution, version in installed:
        lowest = family[name][1]
        if Version(version) < Version(lowest):
            raise ImportError(
                f'kmcl_mm needs {distribution} {lowest} or later, but {version} is installed. Upgrade:\n    {command}'
            )


def _installed(family: Dict) -> List[Tuple[str, str, str]]:
    """Import name, distribution and version of what is installed of a family."""
    found = []
    for name, (distributions, _) in family.items():
        for distribution in distributions:
            with contextlib.suppress(metadata.PackageNotFoundError):
                found.append((name, distribution, metadata.version(distribution)))
    return found


def import_quietly() -> None:
    """Import the host without its remarks about optional parts that nothing here uses.

    Faults: MMCV without compiled operators (mmcv-lite and the maintained family's wheel) warns of one at each import,
    and the maintained MMPretrain prints that an optional package is missing.
    """
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
    # Its progress bars write to what the standard output is at this moment.
    importlib.import_module('mmengine.utils')
    with contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module('mmpretrain.datasets')


def leave_out_broken_multimodal_models() -> None:
    """Keep MMPretrain importable beside transformers 5.

    Fault: with pycocotools and any transformers from 4.28 on, ``mmpretrain.models`` imports its vision-language models,
    and these fail at import with transformers 5. They are registered as placeholders instead, as MMPretrain does where
    transformers is missing.
    """
    with contextlib.suppress(metadata.PackageNotFoundError):
        if Version(metadata.version('transformers')) >= Version('5'):
            from mmpretrain.utils import dependency

            dependency.WITH_MULTIMODAL = False


def average_precision_of_unknown_labels() -> None:
    """Let the host's average precision go on where a label is unknown (-1) in all images.

    Fault: it takes the last element of an empty tensor. The label counts as 0 instead, as the host has it for a label
    that no image has.
    """
    from mmpretrain.evaluation.metrics import multi_label

    average_precision = multi_label._average_precision
    if average_precision.__module__ == __name__:
        return

    def average_precision_or_zero(pred: Tensor, target: Tensor) -> Tensor:
        return average_precision(pred, target) if (target > -1).any() else pred.new_zeros(())

    multi_label._average_precision = average_precision_or_zero
