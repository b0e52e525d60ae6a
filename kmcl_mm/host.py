"""The host: MMEngine, MMCV and MMPretrain, in whichever family and release is installed.

Two families of distributions provide the same import names. No other part of the package knows that.
"""

import contextlib
import functools
import importlib
import io
import sys
import warnings
from importlib import metadata
from importlib.util import find_spec

_IMPORT_NAMES = ('mmengine', 'mmcv', 'mmpretrain')
# Import name -> (distributions that provide it, first the one to install; lowest release; first that is too new).
_ORIGINAL = dict(
    mmengine=(('mmengine', 'mmengine-lite'), '0.10.7', '1'),
    mmcv=(('mmcv-lite', 'mmcv'), '2.0.0', '3'),
    mmpretrain=(('mmpretrain',), '1.2.0', '2'),
)
_MAINTAINED = dict(
    mmengine=(('onedl-mmengine',), '0.10.12', '1'),
    mmcv=(('onedl-mmcv',), '2.3.5', '3'),
    mmpretrain=(('onedl-mmpretrain',), '1.3.6', '2'),
)
_INSTALL_MAINTAINED = 'pip install --upgrade "kmcl_mm[host]"'
# What the extra `plugin` brings, by import name.
_PLUGIN = 'torchvision timm pycocotools pandas pyarrow numpy cv2 PIL scipy matplotlib packaging'.split()


def is_wanted() -> bool:
    """Tell whether ``import kmcl_mm`` should register its modules.

    Returns:
        Whether MMEngine, MMCV and MMPretrain can be imported, in releases that work. Where they do not work, it is
        wanted by programs that have imported MMEngine already, which then get the message of :func:`check`; others may
        want nothing but the method.
    """
    return all(find_spec(name) for name in _IMPORT_NAMES) and (problem() is None or 'mmengine' in sys.modules)


def check() -> None:
    """Refuse to go on without a host that works.

    Raises:
        ImportError: A package is missing, too old or too new, or both families are mixed. The message has the command
            that fixes it.
    """
    message = problem()
    if message is not None:
        raise ImportError(message)


@functools.cache
def problem() -> str | None:
    """Find out what is wrong with the installed host.

    Returns:
        What is wrong and the command that fixes it, or None.
    """
    original, maintained = _installed(_ORIGINAL), _installed(_MAINTAINED)
    if original and maintained:
        names = ' '.join(sorted(sum([*original.values(), *maintained.values()], [])))
        return (
            f'kmcl_mm found packages of two families that overwrite each other: {names}. Keep one:\n'
            f'    pip uninstall -y {names}\n    {_INSTALL_MAINTAINED}'
        )
    family, installed = (_ORIGINAL, original) if original else (_MAINTAINED, maintained)
    missing = [name for name in family if name not in installed]
    if missing:
        command = _command([family[name][0][0] for name in missing], family)
        return f'This part of kmcl_mm needs {", ".join(missing)}. Install:\n    {command}'
    lacking = [name for name in _PLUGIN if find_spec(name) is None]
    if lacking:
        return f'This part of kmcl_mm needs {", ".join(lacking)}. Install:\n    pip install "kmcl_mm[plugin]"'
    for name, distributions in installed.items():
        _, lowest, too_new = family[name]
        for distribution in distributions:
            version = metadata.version(distribution)
            if not _is_between(version, lowest, too_new):
                return (
                    f'kmcl_mm needs {distribution} >= {lowest}, < {too_new}, but {version} is installed. Install:\n'
                    f'    {_command([distribution], family)}'
                )
    return None


def _installed(family: dict) -> dict[str, list[str]]:
    """Import name to installed distributions."""
    found: dict[str, list[str]] = {}
    for name, (distributions, _, _) in family.items():
        for distribution in distributions:
            with contextlib.suppress(metadata.PackageNotFoundError):
                metadata.version(distribution)
                found.setdefault(name, []).append(distribution)
    return found


def _command(distributions: list[str], family: dict) -> str:
    """The command that installs these distributions and leaves the others of the family as they are."""
    if family is _MAINTAINED:
        return _INSTALL_MAINTAINED
    bounds = {name: limits for names, *limits in family.values() for name in names}
    requirements = ['"{}>={},<{}"'.format(name, *bounds[name]) for name in distributions]
    return f'pip install --upgrade {" ".join(requirements)} "kmcl_mm[plugin]"'


def _is_between(version: str, lowest: str, too_new: str) -> bool:
    from packaging.version import Version

    return Version(lowest) <= Version(version) < Version(too_new)


def import_quietly() -> None:
    """Import the host without its remarks about optional parts that nothing here uses.

    Raises:
        ImportError: MMPretrain cannot be imported. Where transformers is too new for it, the message has the command
            that fixes it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
        # Its progress bars keep the standard output of the moment at which they are imported.
        importlib.import_module('mmengine.utils')
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                importlib.import_module('mmpretrain.datasets')
                importlib.import_module('mmpretrain.models')
        except (ImportError, TypeError) as error:
            _explain_transformers(error)
            raise


def _explain_transformers(error: Exception) -> None:
    """MMPretrain 1 imports its vision-language models wherever there is a transformers, which may not fit them."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        version = metadata.version('transformers')
        if not _is_between(version, '0', '5'):
            raise ImportError(
                f'MMPretrain does not work with transformers {version}: {error}. Install:\n'
                '    pip install "transformers<5"'
            ) from error
