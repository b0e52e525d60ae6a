"""Checkpoints loaded without running code from them."""

import errno
import io
import os
import pickle
import re
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.fileio import get
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

# torch has one list of safe classes for all threads.
_LOCK = threading.Lock()


def load_checkpoint(path: str | Path, map_location: Any = 'cpu', check_damage: bool = True) -> Any:
    """Load a checkpoint by torch's ``weights_only=True``, with the classes of MMEngine's training state allowed.

    The text in ``meta['config']``, which MMEngine would run as a program to resume, is left out. Other classes are
    allowed by torch's own ``torch.serialization.add_safe_globals``.

    Args:
        path: A file, or an address that one of MMEngine's storage backends reads, such as ``https://...``.
        map_location: As in ``torch.load``.
        check_damage: Compare the checksums in a local file with its content, which reads it once more.

    Returns:
        What is in the checkpoint.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or could run code.
    """
    path = os.path.expanduser(path)
    is_local = '://' not in path
    if is_local and not os.path.isfile(path):
        raise FileNotFoundError(f'There is no checkpoint {path}. Check the path; it starts from {Path.cwd()}.')
    if is_local and check_damage and has_damage(path):
        raise ValueError(damage_message(path))
    try:
        content = load_safely(path if is_local else io.BytesIO(get(path)), map_location)
    except pickle.UnpicklingError as error:
        raise ValueError(f'{path} was not loaded: it {_what_was_refused(error)}') from None
    except Exception as error:  # A damaged file can fail in any way.
        if not is_local or is_trouble_of_machine(error):
            raise
        raise ValueError(
            f'{path} cannot be read as a checkpoint ({error!r}). Use an earlier checkpoint or copy it again.'
        ) from error
    if isinstance(content, dict) and isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    return content


def damage_message(path: str) -> str:
    """Say that a checkpoint is damaged, and what to do."""
    return f'{path} is corrupt: checksums do not match. Use an earlier checkpoint or copy it again.'


def has_damage(path: str | Path) -> bool:
    """Tell whether something in a checkpoint was changed after it was written, by its checksums.

    Nothing in it is loaded. Torch's older format, and files of ``torch.serialization.set_crc32_options(False)``, have
    no checksums: of these nobody can tell.

    Args:
        path: The file.

    Returns:
        Whether it is damaged. False for what is no archive in a local file, such as one in the older format.

    Raises:
        OSError: The file cannot be opened or read.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        return False
    with open(path, 'rb') as file:
        if not zipfile.is_zipfile(file):
            return False
        try:
            with zipfile.ZipFile(file) as archive:
                if all(entry.CRC == 0 for entry in archive.infolist()):
                    return False
                return archive.testzip() is not None
        except Exception as error:  # A damaged archive can fail in any way.
            if is_trouble_of_machine(error):
                raise
            return True


def is_trouble_of_machine(error: Exception) -> bool:
    """Tell whether reading a file failed for want of memory, rights or storage, not because of what is in it.

    Args:
        error: What was raised. Damaged content ends in an ``OSError`` too, of no number or that of an invalid position.

    Returns:
        Whether it is trouble of the machine.
    """
    if isinstance(error, OSError):
        return error.errno not in (None, errno.EINVAL)
    return isinstance(error, (MemoryError, torch.OutOfMemoryError))


def load_safely(file: str | io.BytesIO, map_location: Any) -> Any:
    """Load a file by ``torch.load``, refusing all but tensors, containers and MMEngine's training state.

    Args:
        file: Path or bytes.
        map_location: As in ``torch.load``.

    Returns:
        What is in the file.

    Raises:
        pickle.UnpicklingError: It asks for another class or function.
    """
    with _LOCK:
        # torch would take from its list what the user has put there too.
        allowed = set(torch.serialization.get_safe_globals())
        with torch.serialization.safe_globals([kind for kind in _safe_classes() if kind not in allowed]):
            return torch.load(file, map_location=map_location, weights_only=True)


def _what_was_refused(error: pickle.UnpicklingError) -> str:
    """The name in torch's message, the rest of which advises to load such a file all the same."""
    name = re.search(r'GLOBAL ([\w.]+)|asks for (.+)', str(error))
    if name is None:
        return 'is no checkpoint of torch, or holds something that could run code.'
    module, _, asked = (name[1] or '').rpartition('.')
    # Attacks ask for functions. A name in a module that is not imported yet may be a class of the user's.
    found = vars(sys.modules[module]).get(asked) if module in sys.modules else type
    if module in ('', 'builtins') or not isinstance(found, type):
        return f'asks for {name[1] or name[2]}, which could run code.'
    return (
        f'asks for {name[1]}, which could run code. If you trust the file, allow the class in a module of your own '
        f'that the configuration names in custom_imports:\n    from {module} import {asked}\n'
        f'    torch.serialization.add_safe_globals([{asked}])'
    )


def _safe_classes() -> list:
    """What MMEngine's checkpoints are made of, apart from tensors: log, schedule, numpy's arrays and numbers, settings.

    Log and schedule name methods of their own through ``getattr``, which could reach anything: a stand-in reaches those
    methods only. A ConfigDict comes as a plain dict.
    """
    array, number = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    # An array of objects may hold anything.
    kinds = {type(np.dtype(code)) for code in np.typecodes['All'] if code != 'O'}
    # Checkpoints have numpy's names of before and since release 2.
    named: list[tuple[Any, str]] = [
        (function, f'numpy.{core}.multiarray.{name}')
        for core in ('core', '_core')
        for function, name in ((array, '_reconstruct'), (number, 'scalar'))
    ]
    named += [(_known_method, f'{module}.getattr') for module in ('builtins', '__builtin__')]
    named.append((dict, 'mmengine.config.config.ConfigDict'))
    return [np.ndarray, np.dtype, *kinds, *_METHODS_IN_STATE, *named]


_METHODS_IN_STATE: dict[type, tuple[str, ...]] = {
    HistoryBuffer: ('min', 'max', 'mean', 'current'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}


def _known_method(owner: type, name: str) -> Callable:
    names = next((names for known, names in _METHODS_IN_STATE.items() if known is owner), ())
    if name not in names:
        raise pickle.UnpicklingError(f'asks for the attribute {name!r} of {owner!r}')
    return getattr(owner, name)
