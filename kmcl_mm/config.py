"""Configurations: a user's by path, the package's by name, in a checkout and away from one."""

import copy
import inspect
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Dict, Optional, Union

from mmengine.config import Config
from mmengine.runner import Runner

from . import host

# How alike a misspelt name is, by difflib's ratio.
_ALIKE = 0.8
# These are no misspellings of one another, as 'val_dataloader' might be of 'train_dataloader'.
_READ_BY_THE_HOST = frozenset(inspect.signature(Runner).parameters)


def config_folder() -> Path:
    """Folder of the configurations: in the installed package (``.mim``, MIM's place), or beside it in a checkout.

    Raises:
        FileNotFoundError: The package was installed without them.
    """
    package = Path(__file__).parent
    if (package / '.mim/configs').is_dir():
        return package / '.mim/configs'
    if (package.parent / 'setup.py').is_file():
        return package.parent / 'configs'
    raise FileNotFoundError(
        f'Expected the configurations of kmcl_mm in {package / ".mim/configs"}, but there are none. '
        'Reinstall kmcl_mm from a wheel or a whole checkout.'
    )


def get_config(name: str) -> Config:
    """Load one of the package's configurations.

    Args:
        name: Name of its file, without the ending.

    Returns:
        The configuration, to be changed. To run it set its ``work_dir``, call :func:`kmcl_mm.host.fit_to_machine` where
        there is no GPU, and hand it to MMEngine's ``Runner.from_cfg``.

    Raises:
        ValueError: There is no such configuration; the message lists those there are.

    Example:
        >>> from kmcl_mm import get_config
        >>> get_config('kmcl_tresnet_l_coco').model.head.num_classes
        80
    """
    folder = config_folder()
    path = folder / f'{name}.py'
    if not path.is_file():
        names = ', '.join(sorted(path.stem for path in folder.glob('*.py')))
        raise ValueError(f'Expected argument `name` to be one of {names}, but got {name!r}.')
    return Config.fromfile(path)


def load_config(config: Union[str, Path, Config], options: Optional[Dict[str, Any]] = None) -> Config:
    """Load a configuration, with settings on top.

    Args:
        config: The path of its file, the name of one of the package's, or a configuration.
        options: Settings to override, by name, such as ``{'model.head.thr': 0.5}``.

    Returns:
        The configuration, to be changed; a copy of one that was given.

    Raises:
        ValueError: There is none, it cannot be read, or it does not take a setting; or a setting is in a part that the
            configuration has not, but for another spelling: the host would add that part, and nobody would read it.

    Example:
        >>> from kmcl_mm.config import load_config
        >>> load_config('kmcl_tresnet_l_coco', {'model.head.thr': 0.5}).model.head.thr
        0.5
    """
    if isinstance(config, Config):
        loaded = copy.deepcopy(config)
    elif Path(config).suffix:
        loaded = _read(Path(config))
    else:
        loaded = get_config(str(config))
    for option in options or {}:
        _check_spelling(option, loaded.to_dict(), _name(config))
    try:
        loaded.merge_from_dict(options or {})
    except Exception as error:
        raise ValueError(
            f'Expected the configuration {_name(config)} to take the settings {options}, but it does not: {error!r}. '
            'Name settings that it has, as its file nests them.'
        ) from error
    return loaded


def _read(path: Path) -> Config:
    if not path.is_file():
        raise ValueError(
            f'Expected {path} to be a configuration, but there is no such file. Check the path; it starts from '
            f'{Path.cwd()}.'
        )
    try:
        host.refuse_circular_bases(path)
        return Config.fromfile(path)
    except (Exception, SystemExit) as error:  # A configuration is a program: it can fail, and end, in any way.
        raise ValueError(f'Expected {path} to be a configuration, but it cannot be read: {error!r}.') from error


def _check_spelling(option: str, settings: Any, config: str) -> None:
    """Refuse a setting in a part that is not there, where there is one of nearly the same name."""
    *parts, last = option.split('.')
    for part in parts or [last]:
        if isinstance(settings, list) and part.isdigit() and int(part) < len(settings):
            settings = settings[int(part)]
            continue
        if not isinstance(settings, dict):
            return
        if part not in settings:
            alike = get_close_matches(part, settings, n=1, cutoff=_ALIKE)
            if alike and part not in _READ_BY_THE_HOST:
                raise ValueError(
                    f'Expected the setting {option} to be in {config}, but it has no {part} there. It has {alike[0]}: '
                    'mend the name.'
                )
            return
        settings = settings[part]


def _name(config: Union[str, Path, Config]) -> str:
    return str(config.filename if isinstance(config, Config) else config)
