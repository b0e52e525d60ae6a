"""A kind of input, and what becomes of one: loaded, refused, or something that must not be."""

import contextlib
import gc
import io
import signal
import time
import traceback
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kmcl_mm.apps.command_line import run_command

from .mutations import Mutation, choose

SEED = 0
# Far beyond what any input takes, so that a busy machine fails no test.
MOST_SECONDS, MOST_MEBIBYTES, LONGEST_MESSAGE = 20, 600, 12_000
LOADED, REFUSED = 'loaded', 'refused'


class Target(ABC):
    """A kind of input.

    Attributes:
        name: Its name.
        number: How many of the 1,000 inputs are of this kind.
        mutations: What is done to a good one, drawn with equal chances.
        folder: Where it is written; every message names a file in it.
    """

    name: str
    number: int
    mutations: Sequence[Mutation]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def original(self, generator: np.random.Generator) -> bytes:
        """A good input."""

    @abstractmethod
    def load(self, content: bytes) -> Any:
        """Write an input and let it through the package's door."""

    @abstractmethod
    def check(self, content: bytes, loaded: Any) -> None:
        """Raise an AssertionError where what was loaded is not what the input says."""

    def generator(self, number: int) -> np.random.Generator:
        """What the mutation of a number is drawn from."""
        return np.random.default_rng((SEED, zlib.crc32(self.name.encode()), number))

    def mutate(self, number: int) -> bytes:
        """The input of a number, the same one each time."""
        generator = self.generator(number)
        return choose(self.mutations, generator)(self.original(generator), generator)


class Outcome(NamedTuple):
    """What became of an input.

    Attributes:
        kind: 'loaded', 'refused', or else what is wrong.
        detail: The message of a refusal, or the traceback of what is wrong.
        seconds: Time that loading took.
        mebibytes: By how much the peak of the process's memory was above what it had before; 0 where the system does
            not tell.
    """

    kind: str
    detail: str = ''
    seconds: float = 0.0
    mebibytes: float = 0.0


class TooSlowError(BaseException):
    """Raised by the time limit; no ``except Exception`` of a loader may catch it."""


def outcome_of(target: Target, number: int) -> Outcome:
    """Mutate, load and judge one input."""
    content = target.mutate(number)
    before, start = _reset_peak(), time.perf_counter()
    outcome = _load(target, content)
    outcome = outcome._replace(seconds=time.perf_counter() - start, mebibytes=_peak() - before)
    if outcome.mebibytes > MOST_MEBIBYTES:
        return outcome._replace(kind=f'took {outcome.mebibytes:.0f} MiB', detail=f'{outcome.kind} {outcome.detail}')
    return outcome


def _load(target: Target, content: bytes) -> Outcome:
    said = io.StringIO()
    try:
        with _time_limit(), contextlib.redirect_stderr(said):
            loaded = run_command(lambda: target.load(content))
    except SystemExit as stopped:
        return _judge_refusal(target, said.getvalue(), stopped)
    except TooSlowError:
        return Outcome('took too long', traceback.format_exc(limit=-3))
    except Exception:
        return Outcome('another error', traceback.format_exc(limit=-3))
    try:
        target.check(content, loaded)
    except Exception:
        return Outcome('loaded something wrong', traceback.format_exc(limit=-3))
    return Outcome(LOADED)


def _judge_refusal(target: Target, said: str, stopped: SystemExit) -> Outcome:
    """A tool ends so where the package raised an error on purpose: its message is what the user sees."""
    message = said.partition(': error: ')[2].strip()
    if stopped.code != 2 or not isinstance(stopped.__cause__, (ValueError, FileNotFoundError)):
        return Outcome('stopped', traceback.format_exc(limit=-3))
    if str(target.folder) not in message:
        return Outcome('a message without the file', message)
    if len(message) > LONGEST_MESSAGE:
        return Outcome(f'a message of {len(message)} characters', message[:500])
    return Outcome(REFUSED, message)


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    if not hasattr(signal, 'setitimer'):
        yield
        return

    def stop(*_):
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _reset_peak() -> float:
    """Let the system measure the peak of the memory anew, and return what the process has now, in MiB."""
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')
    return _peak()


def _peak() -> float:
    try:
        lines = Path('/proc/self/status').read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM:')) / 1024


def run(target: Target) -> dict[int, Outcome]:
    """The outcomes of all inputs of a kind, by number."""
    # MMEngine collects garbage for each data set; what stands at the start is left out, which is many times faster.
    gc.freeze()
    try:
        return {number: outcome_of(target, number) for number in range(target.number)}
    finally:
        gc.unfreeze()
