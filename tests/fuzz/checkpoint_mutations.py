"""Mutations of what is in a checkpoint: values of other types, tensors of other shapes, something missing or run."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from numpy.random import Generator

from tests.attacks import ATTACKS

from .mutations import choose

_PLAIN = (None, 5, -1.5, float('nan'), True, 'text', b'bytes', (), [], [1, 'a'], {}, {1: 2}, {'classes': 3}, {'a': {}})
_NAMES = ('', 'module', 'state_dict', 'ema_state_dict', 'meta', 'weight', 'body.conv1.0.weight', 'kmm.pi.weight')


def change_a_value(content: Any, generator: Generator) -> Any:
    parent, key = _choose_place(content, generator)
    parent[key] = choose((*_PLAIN, *_objects()), generator)
    return content


def change_what_is_no_tensor(content: Any, generator: Generator) -> Any:
    parent, key = _choose_place(content['meta'], generator)
    parent[key] = choose((*_PLAIN, *_objects()), generator)
    return content


def change_a_tensor(content: Any, generator: Generator) -> Any:
    """Another shape, type or layout, or values that are not finite."""
    tensors = content['state_dict']
    name = choose(list(tensors), generator)
    tensors[name] = choose(_others(tensors[name]), generator)
    return content


def drop_a_value(content: Any, generator: Generator) -> Any:
    parent, key = _choose_place(content, generator)
    del parent[key]
    return content


def rename_a_key(content: Any, generator: Generator) -> Any:
    parent, key = _choose_place(content, generator)
    parent[choose((*_NAMES, 3, None, (1, 2)), generator)] = parent.pop(key)
    return content


def move_it(content: Any, generator: Generator) -> Any:
    """The weights elsewhere, alone, or behind a prefix."""
    tensors = content['state_dict']
    behind = {f'module.{name}': value for name, value in tensors.items()}
    return choose(
        (tensors, dict(net=dict(weights=tensors)), dict(state_dict=behind), dict(content, ema=behind)), generator
    )


def replace_it(content: Any, generator: Generator) -> Any:
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    wrong = (dict(state_dict=5), dict(state_dict={}), dict(state_dict=deep), deep)
    return choose((*_PLAIN, *_objects(), *2 * wrong), generator)


def let_it_run_code(content: Any, generator: Generator) -> Any:
    return dict(content, extra=choose(ATTACKS, generator))


def save(content: Any, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def _objects() -> list[Any]:
    return [torch.ones(2), torch.tensor(float('nan')), np.ones(3), np.float64(1), HistoryBuffer([1.0], [1]), 1 + 2j]


def _others(tensor: torch.Tensor) -> list[Any]:
    number = max(tensor.numel(), 1)
    return [
        tensor.unsqueeze(0),
        tensor.flatten()[:1],
        torch.empty(0),
        tensor.double(),
        tensor.half(),
        tensor.bfloat16(),
        tensor.to(torch.complex64),
        tensor > 0,
        tensor.long(),
        tensor.float() * float('nan'),
        tensor.float() + float('inf'),
        tensor.float().to_sparse(),
        tensor.to('meta'),
        torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        torch.zeros(1).expand(number).reshape(tensor.shape),
        tensor.numpy(),
        tensor.tolist(),
        torch.nn.Parameter(tensor.float()),
    ]


def _choose_place(content: Any, generator: Generator) -> tuple[Any, Any]:
    return choose(list(_places(content)), generator)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield tree, key
        yield from _places(value)


CONTENT = (change_a_value, change_what_is_no_tensor, change_what_is_no_tensor, change_a_tensor, change_a_tensor)
CONTENT += (drop_a_value, drop_a_value, rename_a_key, move_it, replace_it, let_it_run_code)
