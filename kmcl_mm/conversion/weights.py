"""Search for the weights in a checkpoint."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ..errors import listed

# Prefixes that parallel training, compiling and averaging add to names.
_WRAPPERS = re.compile(r'^(?:(?:module|model|ema|_orig_mod)\.)+')
# A name in each kind of network.
_KINDS = dict(
    KMCL=re.compile(r'kmm\.pi\.weight'),
    TResNet=re.compile(r'body\.conv1\.(?:0|conv)\.weight'),
    kmcl_mm=re.compile(r'backbone\..+'),
)


class Weights(NamedTuple):
    """One set of weights of a checkpoint.

    Attributes:
        path: The checkpoint.
        entry: Their entry in it, such as 'state_dict'; '' if the checkpoint consists of weights only.
        kind: 'KMCL' (``encoder.*``, ``kmm.*``), 'TResNet' (``body.*``), or 'kmcl_mm', this package's own.
        tensors: Tensors by names without prefixes of wrappers.
        others: The other entries of the checkpoint.
    """

    path: str
    entry: str
    kind: str
    tensors: dict[str, Tensor]
    others: list[str]


def weights_in(content: Any, path: str | Path, entry: str | None = None, own_names: Collection[str] = ()) -> Weights:
    """Find the weights of a network in a checkpoint.

    Args:
        content: The content of the checkpoint.
        path: Its path, for messages.
        entry: The entry to take. Default: any that has weights, preferably averaged ones (with 'ema' in its name); in a
            checkpoint of MMEngine ``state_dict``, which has the averaged ones.
        own_names: Names of the weights of a model: what has one of them is of this package's kind, too.

    Returns:
        The weights.

    Raises:
        ValueError: There are no weights of a known kind, none in ``entry``, or two with the same name.

    Example:
        >>> import torch
        >>> content = dict(epoch=3, state_dict={'module.kmm.pi.weight': torch.ones(20, 128)})
        >>> weights = weights_in(content, 'last.ckpt')
        >>> weights.entry, weights.kind, list(weights.tensors), weights.others
        ('state_dict', 'KMCL', ['kmm.pi.weight'], ['epoch'])
    """
    found = {name: (kind, part) for name, part in _dicts(content) if (kind := _kind(part, own_names)) is not None}
    if not found:
        raise ValueError(
            f'{path} has no weights of a KMCL network (encoder.*, kmm.*), a TResNet (body.*) or a model of kmcl_mm '
            f'(backbone.*), but {_summary(content)}. Use a checkpoint of one of these.'
        )
    if entry is None:
        entry = _preferred({name: kind for name, (kind, _) in found.items()})
    if entry not in found:
        raise ValueError(
            f'Expected argument `entry` to be one of {list(found)}, where {path} has weights, but got {entry!r}.'
        )
    kind, part = found[entry]
    return Weights(str(path), entry, kind, _unwrapped(part, path, own_names), _other_entries(content, entry))


def _preferred(kinds: dict[str, str]) -> str:
    if kinds.get('state_dict') == 'kmcl_mm':
        return 'state_dict'
    return next((name for name in kinds if 'ema' in name.lower()), next(iter(kinds)))


def _dicts(content: Any, name: str = '', depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Dictionaries in a checkpoint, including itself, with dotted names."""
    if isinstance(content, dict) and depth < 3:
        yield name, content
        for key, value in content.items():
            yield from _dicts(value, f'{name}.{key}'.lstrip('.'), depth + 1)


def _kind(part: dict[str, Any], own_names: Collection[str]) -> str | None:
    names = {
        _without_wrappers(name, own_names)
        for name, value in part.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    own = None if names.isdisjoint(own_names) else 'kmcl_mm'
    return next((kind for kind, known in _KINDS.items() if any(known.fullmatch(name) for name in names)), own)


def _without_wrappers(name: str, own_names: Collection[str]) -> str:
    return name if name in own_names else _WRAPPERS.sub('', name)


def _unwrapped(part: dict[str, Any], path: str | Path, own_names: Collection[str]) -> dict[str, Tensor]:
    tensors = {}
    for name, value in part.items():
        short = _without_wrappers(str(name), own_names)
        if not isinstance(value, Tensor):
            raise ValueError(f'Expected {name} in {path} to be a tensor, but got {type(value).__name__}.')
        if short in tensors:
            raise ValueError(
                f'{path} has two tensors {short}, with and without a prefix. Save the state_dict of one network.'
            )
        tensors[short] = value
    return tensors


def _other_entries(content: dict[str, Any], entry: str) -> list[str]:
    return [str(name) for name in content if entry and str(name) != entry.split('.')[0]]


def _summary(content: Any) -> str:
    if not isinstance(content, dict):
        return f'a {type(content).__name__}'
    return f'the entries {listed(list(content))}' if content else 'an empty dictionary'
