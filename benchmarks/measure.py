"""Time and peak memory of a function."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch


class Measurement(NamedTuple):
    """What a function costs.

    Attributes:
        seconds: Median time of a call.
        megabytes: Peak of the memory of its first call above what was in use before.
    """

    seconds: float
    megabytes: float


def measure(function: Callable[[], None], device: torch.device, enough_seconds: float = 2.0) -> Measurement:
    """Call a function for its peak memory, and then again for its time.

    Args:
        function: What to measure.
        device: Where it computes, 'cpu' or a CUDA device.
        enough_seconds: After this time and three calls no further one is begun.

    Returns:
        The median time and the peak of the first call.

    Raises:
        OSError: On a CPU, where there is no /proc to read the peak from (it is there on Linux).
    """
    before = _reset_peak(device)
    function()
    _wait(device)
    megabytes = (_peak(device) - before) / 2**20
    seconds = []
    while len(seconds) < 3 or (sum(seconds) < enough_seconds and len(seconds) < 50):
        start = time.perf_counter()
        function()
        _wait(device)
        seconds.append(time.perf_counter() - start)
    return Measurement(median(seconds), megabytes)


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> int:
    """Forget the peak so far; return the bytes in use."""
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path('/proc/self/clear_refs').write_text('5', encoding='utf-8')
    return _status('VmRSS')


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == 'cuda' else _status('VmHWM')


def _status(name: str) -> int:
    kilobytes = re.search(rf'{name}:\s+(\d+) kB', Path('/proc/self/status').read_text(encoding='utf-8'))[1]
    return int(kilobytes) * 1024
