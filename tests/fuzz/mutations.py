"""Mutations of any file: pure functions of its bytes and a random generator."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from numpy.random import Generator

Mutation = Callable[[bytes, Generator], bytes]
Item = TypeVar('Item')

_WORD = rb'[A-Za-z_]\w+'
_NUMBER = rb'-?\d+(?:\.\d+)?'
# What stands for a number or a word instead: huge, negative, not finite, of another alphabet, of another type.
_NUMBERS = ('0', '-1', '7', '99999999999999999999', '1e999', 'NaN', '-Infinity', '0.5', '٣', 'null', '"1"', '', 'True')
_WORDS = ('', 'dog', 'null', 'été', '犬', '../..', '\x00', '"', "'", 'x://y', 'a' * 300, 'b' * 5000, '\ud800', 'None')


def choose(items: Sequence[Item], generator: Generator) -> Item:
    """One of the items."""
    return items[generator.integers(len(items))]


def leave_as_it_is(content: bytes, generator: Generator) -> bytes:
    return content


def flip_a_bit(content: bytes, generator: Generator) -> bytes:
    if not content:
        return content
    changed = bytearray(content)
    changed[generator.integers(len(content))] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def flip_many_bits(content: bytes, generator: Generator) -> bytes:
    for _ in range(generator.integers(2, 20)):
        content = flip_a_bit(content, generator)
    return content


def delete_a_span(content: bytes, generator: Generator) -> bytes:
    start, end = _span(content, generator)
    return content[:start] + content[end:]


def insert_random_bytes(content: bytes, generator: Generator) -> bytes:
    position = int(generator.integers(len(content) + 1))
    return content[:position] + generator.bytes(int(generator.integers(1, 20))) + content[position:]


def zero_a_span(content: bytes, generator: Generator) -> bytes:
    start, end = _span(content, generator)
    return content[:start] + bytes(end - start) + content[end:]


def truncate(content: bytes, generator: Generator) -> bytes:
    return content[: int(generator.integers(len(content) + 1))]


def duplicate_a_span(content: bytes, generator: Generator) -> bytes:
    start, end = _span(content, generator)
    return content[:end] + content[start:]


def swap_spans(content: bytes, generator: Generator) -> bytes:
    a, b, c, d = sorted(int(generator.integers(len(content) + 1)) for _ in range(4))
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def replace_a_number(content: bytes, generator: Generator) -> bytes:
    return _replace_one(_NUMBER, choose(_NUMBERS, generator), content, generator)


def replace_a_word(content: bytes, generator: Generator) -> bytes:
    return _replace_one(_WORD, choose(_WORDS, generator), content, generator)


def move_a_word(content: bytes, generator: Generator) -> bytes:
    words = re.findall(_WORD, content) or [b'']
    return _replace_one(_WORD, choose(words, generator).decode(), content, generator)


def drop_a_line(content: bytes, generator: Generator) -> bytes:
    lines = content.splitlines(keepends=True)
    if lines:
        del lines[generator.integers(len(lines))]
    return b''.join(lines)


def double_a_line(content: bytes, generator: Generator) -> bytes:
    lines = content.splitlines(keepends=True) or [b'']
    position = int(generator.integers(len(lines)))
    return b''.join((*lines[: position + 1], *lines[position:]))


def encode_otherwise(content: bytes, generator: Generator) -> bytes:
    encoding = choose(('utf-8-sig', 'utf-16', 'utf-32', 'utf-7', 'cp500'), generator)
    return content.decode().encode(encoding)


def end_lines_otherwise(content: bytes, generator: Generator) -> bytes:
    return content.replace(b'\n', choose((b'\r\n', b'\r', b'\n\n', b' \n'), generator))


def _span(content: bytes, generator: Generator) -> Sequence[int]:
    start = int(generator.integers(len(content) + 1))
    return start, min(start + int(generator.integers(1, max(2, len(content) // 4))), len(content))


def _replace_one(pattern: bytes, text: str, content: bytes, generator: Generator) -> bytes:
    matches = list(re.finditer(pattern, content))
    if not matches:
        return content
    match = choose(matches, generator)
    return content[: match.start()] + text.encode(errors='surrogatepass') + content[match.end() :]


BYTES = (
    leave_as_it_is,
    flip_a_bit,
    flip_many_bits,
    delete_a_span,
    insert_random_bytes,
    zero_a_span,
    truncate,
    duplicate_a_span,
    swap_spans,
)
TEXT = (
    *BYTES,
    replace_a_number,
    replace_a_number,
    replace_a_word,
    replace_a_word,
    move_a_word,
    drop_a_line,
    double_a_line,
    encode_otherwise,
    end_lines_otherwise,
)
