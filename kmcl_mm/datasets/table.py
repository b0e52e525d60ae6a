"""Tables of labels: CSV, TSV and Parquet files as text."""

import ast
import codecs
import csv
import io
import json
import os
import re
from typing import Any

import numpy as np
import pandas as pd

from ..errors import shorten
from .validation import read_file

_SEPARATORS = {'.csv': ',', '.tsv': '\t'}
# A spreadsheet's "CSV" has the separator of the system's language.
_OTHER_SEPARATORS = (',', ';', '\t')
_ENCODINGS = {codecs.BOM_UTF8: 'utf-8-sig', codecs.BOM_UTF16_LE: 'utf-16', codecs.BOM_UTF16_BE: 'utf-16'}
# What pandas calls a column without a name.
_PANDAS_NAME = re.compile(r'Unnamed: \d+(\.\d+|_level_\d+)?')


def read_table(path: str) -> pd.DataFrame:
    """Read a table with every cell as text: '' if it is empty, a list as JSON.

    What spreadsheets and pandas add is understood: a byte order mark, UTF-16, semicolons or tabs between cells, a first
    line ``sep=;``, empty columns and rows, and a first column without a name that numbers the rows.

    Args:
        path: A .csv, .tsv or .parquet file with a header, in any of MMEngine's storage backends.

    Returns:
        The table, one row per image.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not such a table, has no rows, two columns of the same name, or a column with cells but
            without a name.
    """
    kind = os.path.splitext(path)[1].lower()
    if kind not in (*_SEPARATORS, '.parquet'):
        raise ValueError(
            f'Expected {path} to be a .csv, .tsv or .parquet file. Save or export the table as one of these; for '
            'COCO, PASCAL VOC and JSON there are CocoMultiLabel, VOCMultiLabel and JSONMultiLabel.'
        )
    content = read_file(path, 'ann_file')
    try:
        table = _read_parquet(content) if kind == '.parquet' else _read_csv(content, _SEPARATORS[kind])
        table = _with_names(table)
    except ImportError:
        raise
    except Exception as error:  # A damaged Parquet file can fail in any way.
        is_encoding = isinstance(error, UnicodeDecodeError)
        advice = 'Save it again as UTF-8 (in Excel: "CSV UTF-8").' if is_encoding else 'Correct or restore the file.'
        raise ValueError(
            f'Expected {path} to be a table with a header and one row per image, but it cannot be read: '
            f'{shorten(str(error))}. {advice}'
        ) from error
    twice = sorted(set(table.columns[table.columns.duplicated()]))
    if twice or not len(table):
        problem = f'it has {twice} twice' if twice else 'it has no rows'
        raise ValueError(f'Expected {path} to have rows, and each column once, but {problem}. Correct the table.')
    return table


def split_names(cell: str, separator: str) -> list[str]:
    """Split a cell into names: joined by a separator, or a list as Python, JSON, NumPy and Label Studio write it.

    Args:
        cell: The cell.
        separator: Text between names that are not a list.

    Returns:
        The names; an empty list for an empty cell.

    Raises:
        ValueError: A list that cannot be read.

    Example:
        >>> split_names('sky | sea', '|'), split_names("['sky', 'sea']", '|'), split_names('', '|')
        (['sky', 'sea'], ['sky', 'sea'], [])
        >>> split_names("['sky' 'sea']", '|'), split_names('{"choices": ["sky", "sea"]}', '|')
        (['sky', 'sea'], ['sky', 'sea'])
    """
    cell = cell.strip()
    if cell.startswith(('[', '{"choices":')):
        try:
            # NumPy puts only a space between names.
            names = ast.literal_eval(re.sub(r"""(['"])\s+(?=['"])""", r'\1, ', cell))
            return [str(name).strip() for name in (names['choices'] if isinstance(names, dict) else names)]
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
            raise ValueError(
                f"Expected a list of names such as ['sky', 'sea'], but got {shorten(repr(cell))}."
            ) from error
    return [name.strip() for name in cell.split(separator) if name.strip()]


def _read_parquet(content: bytes) -> pd.DataFrame:
    """The cells as text, indexed like a spreadsheet's rows; an index that is no mere count is a column as well."""
    table = pd.read_parquet(io.BytesIO(content))
    if not isinstance(table.index, pd.RangeIndex) or table.index.name is not None:
        names = ['' if name is None else name for name in table.index.names]
        table = table.reset_index(names=names, allow_duplicates=True)
    table.columns = [str(name) for name in table.columns]
    table.index = range(2, len(table) + 2)
    return table.map(_as_text)


def _read_csv(content: bytes, separator: str) -> pd.DataFrame:
    """The rows that are not empty, indexed by their number in a spreadsheet."""
    encoding = next((encoding for mark, encoding in _ENCODINGS.items() if content.startswith(mark)), 'utf-8')
    text = content.decode(encoding).lstrip('\r\n')
    first, _, rest = text.partition('\n')
    declared = re.fullmatch(r'"?sep=(.)"?\s*', first, flags=re.IGNORECASE)
    if declared:
        text, separator = rest, declared[1]
    elif separator not in first:
        separator = next((other for other in _OTHER_SEPARATORS if other in first), separator)
    header: list[str] = []
    rows = {}
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=separator, skipinitialspace=True, strict=True)
    for number, row in enumerate(reader, start=1):
        if not any(map(str.strip, row)):
            continue
        if not header:
            header = row
            continue
        surplus = next((place for place in range(len(header), len(row)) if row[place].strip()), None)
        if surplus is not None:
            raise ValueError(_nameless(surplus, row[surplus], number))
        rows[number] = row[: len(header)] + [''] * (len(header) - len(row))
    return pd.DataFrame(rows.values(), index=rows, columns=header, dtype=object)


def _with_names(table: pd.DataFrame) -> pd.DataFrame:
    """The table without empty columns and row numbers, which have no name; all others have one."""
    names: list[str] = []
    places: list[int] = []
    for place, name in enumerate(table.columns):
        name = '' if _PANDAS_NAME.fullmatch(name) else name.strip()
        if not name:
            cells = table.iloc[:, place].str.strip()
            is_index = not places and place + 1 < table.shape[1] and _numbers_rows(cells)
            if is_index or not cells.any():
                continue
            if place > 0:
                row = cells.astype(bool).idxmax()
                raise ValueError(_nameless(place, cells[row], row))
            name = 'column 1'
        names.append(name)
        places.append(place)
    if not names:
        raise ValueError('no column has a name')
    table = table.iloc[:, places].reset_index(drop=True)
    table.columns = names
    return table


def _numbers_rows(cells: pd.Series) -> bool:
    """Whether cells are the index that pandas writes: whole numbers, each once, of all rows or of those drawn."""
    return cells.is_unique and cells.str.fullmatch('0|[1-9][0-9]*').all()


def _nameless(place: int, cell: str, row: int) -> str:
    return f'column {place + 1} has no name, but the cell {shorten(repr(cell))} in row {row}'


def _as_text(cell: Any) -> str:
    if isinstance(cell, (list, tuple, np.ndarray)):
        return json.dumps([str(item) for item in cell])
    if pd.isna(cell):
        return ''
    # Whole numbers come as floats if a cell of their column is empty.
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
