"""Configurations: a user's by path, the package's by name, in a checkout and away from one."""

import contextlib
import copy
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmpretrain.apis.model import ModelHub

from .config_options import check_options


def config_folder() -> Path:
    """Find the folder of the configurations: in the installed package (``.mim``, MIM's place), or in a checkout.

    Raises:
        FileNotFoundError: The package was installed without them.
    """
    package = Path(__file__).parent
    if (package / '.mim/configs').is_dir():
        return package / '.mim/configs'
    if (package.parent / 'setup.py').is_file():
        return package.parent / 'configs'
    raise FileNotFoundError(
        f'The configurations of kmcl_mm are not in {package / ".mim/configs"}. Reinstall kmcl_mm from a wheel or a '
        'whole checkout.'
    )


def register_models() -> None:
    """Let MMPretrain's ``get_model`` and ``list_models`` find the package's models by name."""
    with contextlib.suppress(FileNotFoundError):
        folder = config_folder()
        if not ModelHub.has(next(folder.glob('*.py')).stem):
            ModelHub.register_model_index(folder.parent / 'model-index.yml', config_prefix=folder.parent)


def get_config(name: str) -> Config:
    """Load one of the package's configurations.

    Args:
        name: Name of its file, without the ending.

    Returns:
        The configuration, to be changed. To run it set its ``work_dir`` and hand it to
        ``kmcl_mm.engine.KMCLRunner.from_cfg``.

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


def load_config(config: str | Path | Config, options: dict[str, Any] | None = None) -> Config:
    """Load a configuration, with settings on top.

    Args:
        config: The path of its file, the name of one of the package's, or a configuration.
        options: Settings to override, by name, such as ``{'model.head.thr': 0.5}``.

    Returns:
        The configuration, to be changed; a copy of one that was given.

    Raises:
        ValueError: The file is missing or cannot be read, or a setting is refused: see
            :func:`kmcl_mm.config_options.check_options`.

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
    name = str(config.filename if isinstance(config, Config) else config)
    check_options(options or {}, loaded, name)
    try:
        loaded.merge_from_dict(options or {})
    except Exception as error:
        raise ValueError(
            f'The configuration {name} does not take the settings {options}: {error!r}. Name settings as its file '
            'nests them.'
        ) from error
    return loaded


def leave_out_pretrained_weights(cfg: Config) -> None:
    """Build the model without fetching weights for its backbone, where a checkpoint brings them all.

    Args:
        cfg: The configuration, changed in place.
    """
    backbone = cfg.model.get('backbone', {})
    for setting, without in (('pretrained', False), ('checkpoint_path', '')):
        if setting in backbone:
            backbone[setting] = without


def _read(path: Path) -> Config:
    if not path.is_file():
        raise ValueError(f'There is no configuration {path}. Check the path; it starts from {Path.cwd()}.')
    try:
        _refuse_circular_bases(path)
        return Config.fromfile(path)
    except (Exception, SystemExit) as error:  # A configuration is a program: it can fail, and end, in any way.
        raise ValueError(f'The configuration {path} cannot be read: {error!r}.') from error


def _refuse_circular_bases(path: Path, above: tuple[Path, ...] = ()) -> None:
    """Refuse a file that is based on itself: MMEngine follows such bases for a quarter of a minute."""
    path = path.resolve()
    if path in above:
        raise ValueError(f'it is based on itself, {" > ".join(map(str, (*above, path)))}')
    try:
        bases = Config._get_base_files(str(path))
    except Exception:
        # What MMEngine makes of it, once it has put in what the file refers to, is MMEngine's to say.
        return
    for base in bases:
        if (path.parent / base).is_file():
            _refuse_circular_bases(path.parent / base, (*above, path))
