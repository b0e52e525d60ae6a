"""What the command-line tools share: their first arguments, and how they end where something is wrong."""

import argparse
import sys
import traceback
from pathlib import Path
from typing import Callable, Optional, TypeVar

from mmengine.config import DictAction

from .errors import UnreadableImageError

Result = TypeVar('Result')


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Let a tool take a configuration, and settings on top of it.

    Args:
        parser: The parser; it gets ``config`` and ``--cfg-options``, for :func:`kmcl_mm.config.load_config`.
    """
    parser.add_argument('config', type=Path, help='the configuration')
    add_config_options(parser)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a tool take a configuration, settings on top of it, and a checkpoint.

    Args:
        parser: The parser; it gets ``config``, ``checkpoint`` and ``--cfg-options``.
    """
    add_config_argument(parser)
    parser.add_argument('checkpoint', help='the checkpoint')


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Let a tool take settings on top of a configuration.

    Args:
        parser: The parser; it gets ``--cfg-options``.
    """
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='settings to override, KEY=VALUE'
    )


def positive_integer(text: str) -> int:
    """Read a number of things from the command line, as the ``type`` of an argument.

    Args:
        text: What the user has written.

    Returns:
        The number, at least 1.

    Raises:
        argparse.ArgumentTypeError: It is none; argparse prints the message behind the argument's name.

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


def run_command(main: Callable[[], Result]) -> Result:
    """Run a tool; where the package refuses what it was given, print why instead of a traceback.

    Errors that the package did not raise on purpose keep their traceback, and so do all under ``python -X dev``.

    Args:
        main: The tool.

    Returns:
        What the tool returns.

    Raises:
        SystemExit: Status 2, after the message of an error that the package raised.
    """
    try:
        return main()
    except Exception as error:
        message = None if sys.flags.dev_mode else _own_message(error)
        if message is None:
            raise
        print(f'{Path(sys.argv[0]).name}: error: {message}', file=sys.stderr)
        raise SystemExit(2) from error


def _own_message(error: Optional[BaseException]) -> Optional[str]:
    """The message of an error raised by a statement of the package, be it wrapped into an error of the host."""
    package = Path(__file__).parent
    while error is not None:
        if isinstance(error, UnreadableImageError):
            # A data worker puts its traceback before the message.
            return str(error).rpartition(f'{UnreadableImageError.__name__}: ')[2].strip()
        frames = traceback.extract_tb(error.__traceback__)
        if frames and package in Path(frames[-1].filename).parents and (frames[-1].line or '').startswith('raise '):
            return str(error)
        error = error.__cause__ or error.__context__
    return None
