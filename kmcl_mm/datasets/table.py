"""Tables of labels: CSV, TSV and Parquet files as text."""

import ast
import io
import json
import os
from typing import Any

import numpy as np
import pandas as pd

from ..errors import shorten
from .validation import read_file

_SEPARATORS = {'.csv': ',', '.tsv': '\t'}


def read_table(path: str) -> pd.DataFrame:
    """Read a table with every cell as text: '' if it is empty, a list as JSON.

    Args:
        path: A .csv, .tsv or .parquet file with a header, in any of MMEngine's storage backends.

    Returns:
        The table, one row per image.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not such a table, has no rows, or has two columns of the same name.
    """
    kind = os.path.splitext(path)[1].lower()
    if kind not in (*_SEPARATORS, '.parquet'):
        raise ValueError(f'Expected {path} to be a .csv, .tsv or .parquet file. Save the table as one of these.')
    content = read_file(path, 'ann_file')
    try:
        if kind == '.parquet':
            table = pd.read_parquet(io.BytesIO(content))
            # A named index is a column like the others.
            table = (table if table.index.name is None else table.reset_index()).map(_as_text)
            header = [str(name) for name in table.columns]
        else:
            # Read without a header: pandas would rename a duplicate column.
            rows = pd.read_csv(
                io.BytesIO(content),
                sep=_SEPARATORS[kind],
                header=None,
                dtype=str,
                keep_default_na=False,
                encoding='utf-8-sig',
            )
            header, table = rows.iloc[0].tolist(), rows.iloc[1:].reset_index(drop=True)
    except ImportError:
        raise
    except Exception as error:  # A damaged Parquet file can fail in any way.
        advice = 'Save it again as UTF-8.' if isinstance(error, UnicodeDecodeError) else 'Correct or restore the file.'
        raise ValueError(
            f'Expected {path} to be a table with a header and one row per image, but it cannot be read: '
            f'{shorten(str(error))}. {advice}'
        ) from error
    table.columns = [name.strip() for name in header]
    if len(header) == 1 and any(mark in header[0] for mark in ';\t'):
        raise ValueError(
            f'Expected {path} to be a table with the separator of its ending, "," for .csv and a tab for .tsv, '
            f'but its first line is {shorten(repr(header[0]))}. Save it again with the other separator.'
        )
    twice = sorted(set(table.columns[table.columns.duplicated()]) - {''})
    if twice or not len(table):
        problem = f'it has {twice} twice' if twice else 'it has no rows'
        raise ValueError(f'Expected {path} to have rows, and each column once, but {problem}. Correct the table.')
    return table


def split_names(cell: str, separator: str) -> list[str]:
    """Split a cell into names: joined by a separator, or a list in brackets as in Python and JSON.

    Args:
        cell: The cell.
        separator: Text between names that are not a list in brackets.

    Returns:
        The names; an empty list for an empty cell.

    Raises:
        ValueError: A list that cannot be read.

    Example:
        >>> split_names('sky | sea', '|'), split_names("['sky', 'sea']", '|'), split_names('', '|')
        (['sky', 'sea'], ['sky', 'sea'], [])
    """
    cell = cell.strip()
    if cell.startswith('['):
        try:
            return [str(name).strip() for name in ast.literal_eval(cell)]
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
            raise ValueError(
                f"Expected a list of names such as ['sky', 'sea'], but got {shorten(repr(cell))}."
            ) from error
    return [name.strip() for name in cell.split(separator) if name.strip()]


def _as_text(cell: Any) -> str:
    if isinstance(cell, (list, tuple, np.ndarray)):
        return json.dumps([str(item) for item in cell])
    if pd.isna(cell):
        return ''
    # Whole numbers come as floats if a cell of their column is empty.
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
