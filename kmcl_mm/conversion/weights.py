"""The weights in a checkpoint, wherever in it they lie."""

import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

# What parallel training, compiling and averages put in front of a name.
_WRAPPERS = re.compile(r'^(?:(?:module|model|ema|_orig_mod)\.)+')
# A name that each kind of network has.
_KINDS = dict(
    KMCL=re.compile(r'kmm\.pi\.weight'),
    TResNet=re.compile(r'body\.conv1\.(?:0|conv)\.weight'),
    kmcl_mm=re.compile(r'backbone\..+'),
)


class Weights(NamedTuple):
    """One set of weights of a checkpoint.

    Attributes:
        path: The checkpoint.
        entry: Where in it they lie, 'state_dict' for instance; '' where the checkpoint is nothing but them.
        kind: 'KMCL' (``encoder.*``, ``kmm.*``), 'TResNet' (``body.*``), or 'kmcl_mm', this package's own.
        tensors: Name, without what wrappers put in front, and tensor.
        others: The other entries of the checkpoint.
    """

    path: str
    entry: str
    kind: str
    tensors: Dict[str, Tensor]
    others: List[str]


def read_checkpoint(path: Union[str, Path]) -> Any:
    """Load a checkpoint without running code from it.

    Args:
        path: A local file.

    Returns:
        What is in it, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not whole, or could run code.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'Expected a checkpoint at {path}, but there is no such file.')
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


def weights_in(content: Any, path: Union[str, Path], entry: Optional[str] = None) -> Weights:
    """Find the weights of a network in a checkpoint.

    Args:
        content: What is in the checkpoint.
        path: Its path, for messages.
        entry: Where in it to look. Default: wherever there are weights, and averaged ones (an entry with 'ema' in its
            name) before others; in a checkpoint of the host ``state_dict``, which has the averaged ones.

    Returns:
        The weights.

    Raises:
        ValueError: There are none of a known kind, none in ``entry``, or two of one name.

    Example:
        >>> import torch
        >>> content = dict(epoch=3, state_dict={'module.kmm.pi.weight': torch.ones(20, 128)})
        >>> weights = weights_in(content, 'last.ckpt')
        >>> weights.entry, weights.kind, list(weights.tensors), weights.others
        ('state_dict', 'KMCL', ['kmm.pi.weight'], ['epoch'])
    """
    found = {name: (kind, part) for name, part in _dicts(content) if (kind := _kind(part)) is not None}
    if not found:
        raise ValueError(
            f'Expected {path} to hold the weights of a KMCL network (encoder.*, kmm.*), of a TResNet (body.*) or of a '
            f'model of kmcl_mm (backbone.*), but got {_summary(content)}. Give a checkpoint of one of these.'
        )
    if entry is None:
        entry = _preferred({name: kind for name, (kind, _) in found.items()})
    if entry not in found:
        raise ValueError(
            f'Expected argument `entry` to be one of {list(found)}, where {path} holds weights, but got {entry!r}.'
        )
    kind, part = found[entry]
    return Weights(str(path), entry, kind, _unwrapped(part, path), _other_entries(content, entry))


def _preferred(kinds: Dict[str, str]) -> str:
    if kinds.get('state_dict') == 'kmcl_mm':
        return 'state_dict'
    return next((name for name in kinds if 'ema' in name.lower()), next(iter(kinds)))


def _dicts(content: Any, name: str = '', depth: int = 0) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """The dictionaries in a checkpoint, itself included, with dotted names."""
    if isinstance(content, dict) and depth < 3:
        yield name, content
        for key, value in content.items():
            yield from _dicts(value, f'{name}.{key}'.lstrip('.'), depth + 1)


def _kind(part: Dict[str, Any]) -> Optional[str]:
    names = {
        _WRAPPERS.sub('', name) for name, value in part.items() if isinstance(name, str) and isinstance(value, Tensor)
    }
    return next((kind for kind, known in _KINDS.items() if any(known.fullmatch(name) for name in names)), None)


def _unwrapped(part: Dict[str, Any], path: Union[str, Path]) -> Dict[str, Tensor]:
    tensors = {}
    for name, value in part.items():
        short = _WRAPPERS.sub('', str(name))
        if not isinstance(value, Tensor):
            raise ValueError(f'Expected {name} in {path} to be a tensor, but got {type(value).__name__}.')
        if short in tensors:
            raise ValueError(
                f'Expected {path} to hold one network, but got two tensors {short}, with and without a prefix. Save '
                'the state_dict of one network.'
            )
        tensors[short] = value
    return tensors


def _other_entries(content: Dict[str, Any], entry: str) -> List[str]:
    return [str(name) for name in content if entry and str(name) != entry.split('.')[0]]


def _summary(content: Any) -> str:
    if not isinstance(content, dict):
        return f'a {type(content).__name__}'
    names = [str(name) for name in content]
    return f'the entries {", ".join(names[:5])}{", ..." if len(names) > 5 else ""}' if names else 'an empty dictionary'
