"""Mutations of a CSV or TSV file: quotes, separators, cells, rows."""

from numpy.random import Generator

from .mutations import TEXT, choose

_CELLS = (
    '',
    '"',
    "'",
    '-1',
    '0.5',
    '1.0',
    'nan',
    'inf',
    '1e999',
    'TRUE',
    '2',
    '\x00',
    ' crack ',
    'Crack',
    'crack|',
    '|',
)
_CELLS += (
    '[',
    "['crack']",
    '[' * 5000,
    '[' + '-' * 50_000 + '1]',
    'x' * 200_000,
    '"' + 'x\n' * 1000 + '"',
    '=1+1',
    '²',
)
_CELLS += ('é', '\u2028', '"a"b', '001.jpg', '..', 'x://y', '[1/0]', '["rust", "leak"]', '{}', '1_0')


def change_a_cell(content: bytes, generator: Generator) -> bytes:
    return _with_one_cell(choose(_CELLS, generator).encode(), content, generator)


def quote_a_cell(content: bytes, generator: Generator) -> bytes:
    """The same content."""
    rows = [row.split(_separator(content)) for row in content.split(b'\n')]
    row = choose(rows[:-1], generator)
    position = int(generator.integers(len(row)))
    row[position] = b'"' + row[position] + b'"'
    return b'\n'.join(map(_separator(content).join, rows))


def add_a_cell(content: bytes, generator: Generator) -> bytes:
    return _with_one_cell(b'1' + _separator(content) + b'1', content, generator)


def separate_otherwise(content: bytes, generator: Generator) -> bytes:
    return content.replace(_separator(content), choose((b';', b'\t', b',', b'|', b' ', b', '), generator))


def drop_the_header(content: bytes, generator: Generator) -> bytes:
    return content.partition(b'\n')[2]


def drop_the_rows(content: bytes, generator: Generator) -> bytes:
    return content.partition(b'\n')[0]


def _with_one_cell(cell: bytes, content: bytes, generator: Generator) -> bytes:
    rows = [row.split(_separator(content)) for row in content.split(b'\n')]
    row = choose(rows[:-1], generator)
    row[generator.integers(len(row))] = cell
    return b'\n'.join(map(_separator(content).join, rows))


def _separator(content: bytes) -> bytes:
    return b'\t' if b'\t' in content else b','


TABLE = (*TEXT, *6 * (change_a_cell,), quote_a_cell, quote_a_cell, add_a_cell)
TABLE += (separate_otherwise, separate_otherwise, drop_the_header, drop_the_rows)
