"""The package's configurations by name, in a checkout and away from one."""

from pathlib import Path

from mmengine.config import Config


def config_folder() -> Path:
    """Folder of the configurations: in the installed package (``.mim``, MIM's place), or beside it in a checkout.

    Raises:
        FileNotFoundError: The package was installed without them.
    """
    package = Path(__file__).parent
    for folder in (package / '.mim/configs', package.parent / 'configs'):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f'Expected the configurations of kmcl_mm in {package / ".mim/configs"}, but there are none. '
        'Reinstall kmcl_mm from a wheel or a whole checkout.'
    )


def get_config(name: str) -> Config:
    """Load one of the package's configurations.

    Args:
        name: Name of its file, without the ending.

    Returns:
        The configuration, ready to be changed and run.

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
