"""Arguments and error messages that the command-line tools share."""

import argparse
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mmengine.config import ConfigDict, DictAction

from ..errors import UnreadableImageError

Result = TypeVar('Result')

# Errors that the user can do something about.
_DISK_ERRORS = (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument of a configuration, and the option of settings on top of it.

    Args:
        parser: The parser; it gets ``config`` and ``--cfg-options``, for :func:`kmcl_mm.config.load_config`.
    """
    parser.add_argument('config', type=Path, help='the configuration')
    add_config_options(parser)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a configuration and a checkpoint, and the options of settings and a device.

    Args:
        parser: The parser; it gets ``config``, ``checkpoint``, ``--cfg-options`` and ``--device``.
    """
    add_config_argument(parser)
    parser.add_argument('checkpoint', help='the checkpoint')
    add_device_option(parser)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add the option of the device that the network runs on.

    Args:
        parser: The parser; it gets ``--device``.
    """
    parser.add_argument('--device', help='device of the network, such as cpu or cuda:1 (a GPU if there is one)')


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add the option of settings on top of a configuration.

    Args:
        parser: The parser; it gets ``--cfg-options``.
    """
    parser.add_argument(
        '--cfg-options', nargs='+', action=_Settings, default={}, help='settings to override, KEY=VALUE'
    )


class _Settings(DictAction):
    """MMEngine's KEY=VALUE, with a message where it cannot read one."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: Any) -> None:
        try:
            super().__call__(parser, *arguments)
        except (ValueError, AssertionError, RecursionError):
            parser.error(
                'expected --cfg-options KEY=VALUE, a list or tuple in quotes such as "KEY=[1,2]", and each entry of a '
                f'dictionary by itself, such as KEY.ENTRY=1, but got {" ".join(arguments[1])}'
            )


def add_launcher_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of MMPretrain's tools about processes and loaders.

    Args:
        parser: The parser; it gets ``--launcher``, ``--local-rank`` (which older launchers pass instead of setting
            LOCAL_RANK) and ``--no-pin-memory``.
    """
    parser.add_argument('--no-pin-memory', action='store_true', help='do not load into page-locked memory')
    parser.add_argument(
        '--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none', help='what starts the processes'
    )
    parser.add_argument('--local-rank', '--local_rank', type=_set_local_rank, help=argparse.SUPPRESS)


def _set_local_rank(text: str) -> int:
    os.environ.setdefault('LOCAL_RANK', text)
    return int(text)


def set_loader_defaults(loader: ConfigDict, no_pin_memory: bool, persistent_workers: bool | None = None) -> None:
    """Give a data loader the defaults of MMPretrain's tools.

    Args:
        loader: Its configuration, changed in place.
        no_pin_memory: Do not load into page-locked memory, whatever the configuration says.
        persistent_workers: The default, or False for never; None leaves the setting alone.
    """
    loader.setdefault('collate_fn', dict(type='default_collate'))
    loader.setdefault('pin_memory', True)
    if no_pin_memory:
        loader.pin_memory = False
    if persistent_workers is not None:
        loader.persistent_workers = persistent_workers and loader.get('persistent_workers', True)


def positive_integer(text: str) -> int:
    """Read a whole number of at least 1 from the command line, as the ``type`` of an argument.

    Args:
        text: The text of the argument.

    Returns:
        The number.

    Raises:
        argparse.ArgumentTypeError: It is another text; argparse prints the message after the argument's name.

    Example:
        >>> positive_integer('12')
        12
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number of at least 1, but got {text}')
    return number


@contextmanager
def needs_extra(extra: str, packages: Sequence[str]) -> Iterator[None]:
    """Import what needs an extra of the package, and end with the command that installs it where it is missing.

    Args:
        extra: Name of the extra.
        packages: Import names of its packages; other failing imports raise as usual.

    Raises:
        SystemExit: One of the packages cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or '').partition('.')[0] not in packages:
            raise
        raise SystemExit(f'{error}. Install:\n    pip install "kmcl_mm[{extra}]"') from error


def run_command(main: Callable[[], Result]) -> Result:
    """Run a tool, and print a message in place of a traceback where the package itself raises an error.

    Errors that the package did not raise on purpose keep their traceback, and so do all under ``python -X dev``. A
    character that the terminal's encoding lacks, in the name of a label or a file, is printed as an escape such as
    ``\\xdf``.

    Args:
        main: The tool.

    Returns:
        What the tool returns.

    Raises:
        SystemExit: Status 2, after the message.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    try:
        return main()
    except Exception as error:
        message = None if sys.flags.dev_mode else _own_message(error)
        if message is None:
            raise
        print(f'{Path(sys.argv[0]).name}: error: {message}', file=sys.stderr)
        raise SystemExit(2) from error


def _own_message(error: BaseException | None) -> str | None:
    """The message of an error that the package raised, also where MMEngine has wrapped it into another one."""
    package = Path(__file__).parents[1]
    while error is not None:
        if isinstance(error, UnreadableImageError):
            # torch puts the traceback of a data worker before the message.
            return str(error).rpartition(f'{UnreadableImageError.__name__}: ')[2].strip()
        if isinstance(error, OSError) and error.filename and error.errno in _DISK_ERRORS:
            return f'{error.filename}: {error.strerror}. Check its permissions and the free space, or use another path.'
        frames = traceback.extract_tb(error.__traceback__)
        if frames and package in Path(frames[-1].filename).parents and (frames[-1].line or '').startswith('raise '):
            return str(error)
        error = error.__cause__ or error.__context__
    return None
