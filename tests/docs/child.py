"""Run Python programs one after another in processes of their own that need not import the host anew."""

import argparse
import multiprocessing
import os
import runpy
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from yapf.yapflib import yapf_api

# Each program starts as a fork of a process that has imported these: in a tenth of the time.
_CONTEXT = multiprocessing.get_context('forkserver')
_CONTEXT.set_forkserver_preload(
    ['kmcl_mm', 'kmcl_mm.apps.inference', 'kmcl_mm.apps.pictures', 'kmcl_mm.apps.data_check']
)
MOST_SECONDS = 600


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
        status: Its exit status.
        output: What it printed.
    """

    status: int
    output: str


def run_python(words: Sequence[str], folder: Path, parse_only: bool = False, stop_after: str | None = None) -> Ended:
    """Run a Python program.

    Args:
        words: Its words, as behind ``python``: a file, or -m and a module, and arguments.
        folder: Where it runs.
        parse_only: End it, with status 0, when it has parsed its arguments.
        stop_after: Terminate it when it has printed this text.

    Returns:
        How it ended.
    """
    log = folder / 'output.log'
    log.write_text('')
    process = _CONTEXT.Process(target=_run, args=(list(words), folder, log, parse_only))
    process.start()
    _wait(process, lambda: stop_after is not None and stop_after in log.read_text())
    return Ended(process.exitcode, log.read_text())


def _wait(process, is_to_stop: Callable[[], bool]) -> None:
    end = time.monotonic() + MOST_SECONDS
    while process.is_alive() and time.monotonic() < end:
        process.join(0.2)
        if is_to_stop():
            process.terminate()
            process.join(30)
    if process.is_alive():
        process.kill()
        process.join()


def _run(words, folder, log, parse_only) -> None:
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # The host lays out the text of the configuration for each checkpoint anew, most of what a short training takes.
    yapf_api.FormatCode = lambda text, **_: (text, False)
    if parse_only:
        _end_after_parsing()
    is_module = words[0] == '-m'
    sys.argv = words[1:] if is_module else words
    run = runpy.run_module if is_module else runpy.run_path
    run(sys.argv[0], run_name='__main__', **(dict(alter_sys=True) if is_module else {}))


def _end_after_parsing() -> None:
    parse_args = argparse.ArgumentParser.parse_args

    def parse_and_end(self, *args, **kwargs):
        parse_args(self, *args, **kwargs)
        raise SystemExit(0)

    argparse.ArgumentParser.parse_args = parse_and_end
