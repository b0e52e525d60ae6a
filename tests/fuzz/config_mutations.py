"""Mutations of a configuration file: its tokens, its syntax, what it is based on."""

import io
import tokenize

from numpy.random import Generator

from .mutations import TEXT, choose

_TOKENS = ('', '0', '-1', 'None', 'True', "'text'", '[]', '{}', '()', 'dict()', '1e400', "float('nan')", '3.5', "''")
_TOKENS += ('9' * 30, '(', ')', '=', ',', 'import', 'lambda: 1', 'undefined_name', '1 / 0', "'{{ fileBasename }}'", 'é')
_BASES = (
    "'nowhere.py'",
    "'config.py'",
    "'circle.py'",
    '5',
    'None',
    '[]',
    "['base.py', 'base.py']",
    "'.'",
    "'base.json'",
)


def replace_a_token(content: bytes, generator: Generator) -> bytes:
    return _with_one(choose(_TOKENS, generator), content, generator)


def move_a_token(content: bytes, generator: Generator) -> bytes:
    return _with_one(choose(_tokens(content), generator).string, content, generator)


def change_the_base(content: bytes, generator: Generator) -> bytes:
    return content.replace(b"'base.py'", choose(_BASES, generator).encode())


def delete_in_the_base(content: bytes, generator: Generator) -> bytes:
    return content.replace(
        b'model = dict(', choose((b'model = dict(_delete_=True, ', b"model = dict(_scope_='a', "), generator)
    )


def raise_something(content: bytes, generator: Generator) -> bytes:
    return content + choose(
        (b'raise RuntimeError', b'raise SystemExit(3)', b'def f():\n    f()\nf()', b'1 / 0'), generator
    )


def _tokens(content: bytes) -> list[tokenize.TokenInfo]:
    kinds = (tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.OP)
    return [token for token in tokenize.tokenize(io.BytesIO(content).readline) if token.type in kinds]


def _with_one(text: str, content: bytes, generator: Generator) -> bytes:
    token = choose(_tokens(content), generator)
    lines = content.decode().splitlines(keepends=True)
    (row, start), (_, end) = token.start, token.end
    lines[row - 1] = lines[row - 1][:start] + text + lines[row - 1][end:]
    return ''.join(lines).encode()


CONFIG = (*TEXT, *10 * (replace_a_token,), *4 * (move_a_token,), *3 * (change_the_base,))
CONFIG += (delete_in_the_base, raise_something, raise_something)
