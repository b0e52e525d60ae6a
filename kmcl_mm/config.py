"""The package's configurations by name, in a checkout and away from one."""

from pathlib import Path

from mmengine.config import Config


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
