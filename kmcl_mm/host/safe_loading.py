"""Checkpoints loaded without running code from them."""

import contextlib
import os
import pickle
import re
import zipfile
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import torch

from .whole_checkpoints import is_whole


def load_checkpoints_safely() -> None:
    """Let MMEngine load checkpoints without running code from them.

    Fault: the originals cannot resume with torch 2.6 or later, whose ``weights_only`` refuses the training state in
    the checkpoint; the maintained family then falls back to unpickling whatever the file says. Here ``weights_only``
    stays on wherever MMEngine loads from, and only the few classes of the training state are named as safe.

    Fault: to resume, MMEngine runs the text in ``meta['config']`` as a program, though no release of it writes one
    there. It is left out.
    """
    from mmengine.runner import checkpoint
    from mmengine.runner.checkpoint import CheckpointLoader

    if hasattr(CheckpointLoader, 'load_without_running_code'):
        return
    load = CheckpointLoader.load_checkpoint

    def load_without_running_code(filename: str, map_location: Any = None, logger: str = 'current') -> Any:
        path = os.path.expanduser(filename)
        if os.path.isfile(path) and zipfile.is_zipfile(path) and not is_whole(path):
            raise ValueError(
                f'Expected {filename} to be a whole checkpoint, but its checksums are not those of its content: use an '
                'earlier checkpoint, or copy it again.'
            )
        with _only_safe_classes():
            try:
                content = load(filename, map_location, logger)
            except pickle.UnpicklingError as error:
                raise ValueError(
                    f'Expected the checkpoint {filename} to hold tensors, plain containers and the training state '
                    f'only, but it {_what_was_refused(error)}. It was not loaded. Use a checkpoint that holds a '
                    'state_dict, from a source you trust.'
                ) from None
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # A damaged file can fail in any way.
                if isinstance(error, PermissionError) or not os.path.isfile(path):
                    raise
                raise ValueError(
                    f'Expected {filename} to be a whole checkpoint, but it cannot be read ({error!r}). '
                    'It is truncated, or no checkpoint at all: use an earlier one, or copy it again.'
                ) from error
        if isinstance(content, dict) and isinstance(content.get('meta'), dict):
            content['meta'].pop('config', None)
        return content

    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = torch.load
    CheckpointLoader.load_checkpoint = CheckpointLoader.load_without_running_code = staticmethod(
        load_without_running_code
    )


def _what_was_refused(error: pickle.UnpicklingError) -> str:
    """The name in torch's message, the rest of which advises to load such a file all the same."""
    name = re.search(r'GLOBAL ([\w.]+)|asks for (.+)', str(error))
    if name is None:
        return 'is no such checkpoint, or holds something that could run code'
    return f'asks for {name[1] or name[2]}, which could run code'


@contextlib.contextmanager
def _only_safe_classes() -> Iterator[None]:
    """Make every ``torch.load`` within refuse all but tensors, containers and what the training state needs."""
    switches = ('TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD')
    before = {switch: os.environ.pop(switch) for switch in switches if switch in os.environ}
    os.environ[switches[0]] = '1'
    try:
        with torch.serialization.safe_globals(_state_classes()):
            yield
    finally:
        del os.environ[switches[0]]
        os.environ.update(before)


def _state_classes() -> List:
    """What MMEngine's training state is made of beside tensors: its log, its schedule, and numpy's arrays and numbers.

    Log and schedule name methods of their own through ``getattr``, which could reach anything: a stand-in reaches those
    methods only.
    """
    array, number = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in ('bool', 'int32', 'int64', 'float32', 'float64')]
    # Checkpoints have numpy's names of before and since release 2.
    named = [
        (function, f'numpy.{core}.multiarray.{name}')
        for core in ('core', '_core')
        for function, name in ((array, '_reconstruct'), (number, 'scalar'))
    ]
    named += [(_known_method, f'{module}.getattr') for module in ('builtins', '__builtin__')]
    return [np.ndarray, np.dtype, *kinds, *_methods_in_state(), *named]


def _methods_in_state() -> Dict[type, Tuple[str, ...]]:
    from mmengine.logging import HistoryBuffer
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

    return {
        HistoryBuffer: ('min', 'max', 'mean', 'current'),
        OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
    }


def _known_method(owner: type, name: str) -> Callable:
    names = next((names for known, names in _methods_in_state().items() if known is owner), ())
    if name not in names:
        raise pickle.UnpicklingError(f'asks for the attribute {name!r} of {owner!r}')
    return getattr(owner, name)
