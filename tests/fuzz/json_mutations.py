"""Mutations of a JSON file that leave it one: another value, another key, something missing, nested too deep."""

import json
from collections.abc import Iterator
from typing import Any

from numpy.random import Generator

from .mutations import TEXT, choose

_DEEP = 'nested deep'
_VALUES = (
    None,
    True,
    -1,
    0,
    2,
    10**30,
    0.5,
    1.0,
    float('nan'),
    float('inf'),
    '',
    'été',
    '\ud800',
    'x\0y',
    '..',
    'x://y',
)
_VALUES += ([], [[]], [1, 1], {}, dict(id=1), 'a' * 50_000, _DEEP)


def change_a_value(content: bytes, generator: Generator) -> bytes:
    tree = json.loads(content)
    parent, key = choose(list(_places(tree)), generator)
    parent[key] = choose(_VALUES, generator)
    return _write(tree)


def drop_a_value(content: bytes, generator: Generator) -> bytes:
    tree = json.loads(content)
    parent, key = choose(list(_places(tree)), generator)
    del parent[key]
    return _write(tree)


def copy_a_value(content: bytes, generator: Generator) -> bytes:
    tree = json.loads(content)
    (parent, key), (other, other_key) = (choose(list(_places(tree)), generator) for _ in range(2))
    parent[key] = json.loads(json.dumps(other[other_key]))
    return _write(tree)


def double_a_value(content: bytes, generator: Generator) -> bytes:
    tree = json.loads(content)
    lists = [parent for parent, _ in _places(tree) if isinstance(parent, list)]
    chosen = choose(lists, generator)
    chosen.append(choose(chosen, generator))
    return _write(tree)


def rename_a_key(content: bytes, generator: Generator) -> bytes:
    tree = json.loads(content)
    parent, key = choose([place for place in _places(tree) if isinstance(place[0], dict)], generator)
    parent[choose(('', key.upper(), f'{key} ', 'id', 'classes'), generator)] = parent.pop(key)
    return _write(tree)


def put_it_into_a_list(content: bytes, generator: Generator) -> bytes:
    return _write([json.loads(content)])


def write_it_otherwise(content: bytes, generator: Generator) -> bytes:
    """The same content."""
    return json.dumps(json.loads(content), indent=int(generator.integers(8)), ensure_ascii=False).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Each value in a tree, as what holds it and its key there."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)


def _write(tree: Any) -> bytes:
    return json.dumps(tree).replace(f'"{_DEEP}"', '[' * 50_000 + ']' * 50_000).encode()


_OF_JSON = (change_a_value, drop_a_value, copy_a_value, double_a_value, rename_a_key)
JSON = (*TEXT, *3 * _OF_JSON, *2 * (change_a_value,), put_it_into_a_list, write_it_otherwise)
