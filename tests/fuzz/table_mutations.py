"""Mutations of a CSV or TSV file: quotes, separators, cells, rows, and what spreadsheets and pandas make of them."""

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
_CELLS += (
    'WAHR',
    'x',
    '1,0',
    '0,00',
    '"1,0"',
    '"1,000"',
    '1.000,0',
    '#N/A',
    '=HYPERLINK("001.jpg")',
    '01.02.2024',
    '50%',
)
_CELLS += (
    '{"choices": ["crack"]}',
    '"{""choices"":[""crack"",""leak""]}"',
    '{"choices"',
    "['crack' 'rust']",
    '[crack, rust]',
)
_CELLS += (
    '.\\001.jpg',
    'C:\\images\\001.jpg',
    '/data/upload/1/001.jpg',
    'gs://b/001.jpg',
    'gs://a/gs://b/1.jpg',
    '\xa01',
    "'1",
)


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


def add_empty_columns(content: bytes, generator: Generator) -> bytes:
    """Empty cells next to the table, as spreadsheets save them; one may have content."""
    surplus = _separator(content) * int(generator.integers(1, 4))
    lines = [line + surplus for line in content.splitlines()]
    if generator.integers(3) == 0:
        lines[generator.integers(len(lines))] += choose((b'1', b' ', b'see mail'), generator)
    return b'\n'.join(lines)


def add_empty_rows(content: bytes, generator: Generator) -> bytes:
    lines = content.splitlines()
    empty = choose((b'', b' ', _separator(content) * 2, _separator(content) * 9, b'""'), generator)
    for _ in range(generator.integers(1, 4)):
        lines.insert(int(generator.integers(len(lines) + 1)), empty)
    return b'\n'.join(lines)


def number_the_rows(content: bytes, generator: Generator) -> bytes:
    """As pandas writes an index: in order, drawn at random, of names, or of two levels."""
    header, *rows = content.splitlines()
    first = choose((b'', b'', b'Unnamed: 0', b'index', b' '), generator)
    numbers = [str(number).encode() for number in choose((range(4), generator.permutation(99)), generator)]
    cells = choose(
        (numbers, numbers, (b'0', b'0', b'1', b'1'), (b'a', b'b', b'c', b'd'), (b'00', b'01', b'02', b'03')), generator
    )
    lines = [first + _separator(content) + header]
    lines += [cell + _separator(content) + row for cell, row in zip(cells, rows)]
    return number_the_rows(b'\n'.join(lines), generator) if generator.integers(4) == 0 else b'\n'.join(lines)


def export_as_another_system(content: bytes, generator: Generator) -> bytes:
    """Semicolons or tabs, declared or not, in an encoding of Windows."""
    separator = choose((b';', b'\t', b',', b'|'), generator)
    text = content.replace(_separator(content), separator)
    if generator.integers(2):
        text = choose((b'sep=', b'"sep=', b'SEP='), generator) + separator + b'\n' + text
    encoding = choose(('utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'cp1252'), generator)
    return text.decode().encode(encoding).replace(b'\n', b'\r\n' if encoding.startswith('utf-8') else b'\n')


def write_labels_otherwise(content: bytes, generator: Generator) -> bytes:
    one, zero = choose(
        ((b'TRUE', b'FALSE'), (b'WAHR', b'FALSCH'), (b'1.0', b'0.0'), (b'x', b''), (b'"1,0"', b'"0,0"')), generator
    )
    separator = _separator(content)
    for _ in range(2):  # Neighbours share a separator.
        content = content.replace(separator + b'1' + separator, separator + one + separator)
        content = content.replace(separator + b'0' + separator, separator + zero + separator)
    return content


def write_paths_otherwise(content: bytes, generator: Generator) -> bytes:
    prefixes = (
        b'.\\',
        b'..\\images\\',
        b'./',
        b'C:\\images\\',
        b'/data/upload/1/',
        b'gs://b/',
        b'file:///images/',
        b'\\\\a\\b\\',
    )
    prefix = choose(prefixes, generator)
    header, *rows = content.splitlines()
    return b'\n'.join([header, *(prefix + row for row in rows)])


def _with_one_cell(cell: bytes, content: bytes, generator: Generator) -> bytes:
    rows = [row.split(_separator(content)) for row in content.split(b'\n')]
    row = choose(rows[:-1], generator)
    row[generator.integers(len(row))] = cell
    return b'\n'.join(map(_separator(content).join, rows))


def _separator(content: bytes) -> bytes:
    return b'\t' if b'\t' in content else b','


TABLE = (*TEXT, *6 * (change_a_cell,), quote_a_cell, quote_a_cell, add_a_cell)
TABLE += (separate_otherwise, separate_otherwise, drop_the_header, drop_the_rows)
TABLE += 2 * (add_empty_columns, add_empty_rows, number_the_rows, export_as_another_system)
TABLE += (write_labels_otherwise, write_paths_otherwise)
