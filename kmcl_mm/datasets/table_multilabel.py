"""Multilabel data from a CSV or Parquet table."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from mmengine.utils import is_abs
from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.registry import DATASETS

from ..checks import UNKNOWN
from ..errors import listed, shorten
from .fraction import WithFraction
from .table import read_table, split_names
from .validation import check_images, check_not_empty, report_left_out

_PRESENT, _ABSENT = 1, 0


@DATASETS.register_module()
class TableMultiLabel(WithFraction, MultiLabelDataset):
    """Images of a table, one per row, with one column of joined label names or one column of 0 and 1 per label.

    ::

        image,labels             image,crack,rust,leak
        001.jpg,crack|leak       001.jpg,1,0,1
        002.jpg,                 002.jpg,0,0,-1

    A label can be unknown for an image, such as the leak of 002.jpg on the right: losses and metrics ignore it. Labels
    between 0 and 1 are refused: KMCL contrasts images that have a label with images that do not.

    Args:
        data_root: Folder that ``ann_file`` and ``data_prefix`` are relative to.
        ann_file: The table: .csv, .tsv or .parquet, with a header.
        data_prefix: Folder that the names of the images are relative to.
        image_column: Column of the images' names, with / or Windows' \\ between folders, or web addresses, which are
            loaded each time. Default: the first.
        label_column: Column of the joined names. Default: each label has its own column of 0 and 1.
        separator: Text between joined names. Lists in brackets are understood as well.
        ignored_names: Joined names that are not labels, such as 'No Finding'.
        present_values: Values that mark a present label in its own column, such as 'x'. Upper or lower case does not
            matter, nor how a number is written.
        absent_values: Values that mark an absent label. An empty cell is refused unless '' is one of these or of
            ``unknown_values``.
        unknown_values: Values that mark an unknown label.
        unknown_column: Column of the joined names of an image's unknown labels. Default: none.
        split_column: Column with the split of an image. Default: all rows are taken.
        split: Value of ``split_column`` in the rows to take.
        patient_column: Column with the patient of an image, for checks of the data.
        image_suffix: Text to add to an image's name, such as '.jpg'.
        filter_empty_gt: Leave out images without a label. Default: they are kept as negatives.
        metainfo: ``dict(classes=(...))``: names of the labels, the same for all splits. Default with one column per
            label: all other columns, in their order.
        fraction: Part of the images to take (see :class:`kmcl_mm.datasets.WithFraction`).
        fraction_seed: Seed of that draw.
        **kwargs: Passed to MMPretrain's ``MultiLabelDataset``: ``pipeline``, ``test_mode``, ``lazy_init`` and so on.

    Raises:
        FileNotFoundError: The table or an image is missing.
        ValueError: The table lacks a column, has an unknown name, a value that is not a label or an image twice; or no
            image is left.

    An item's data has ``gt_label``, indices; ``gt_score`` (K,) of 1, 0 and -1 in a table with unknown labels; and
    ``patient_id`` with a ``patient_column``.
    """

    def __init__(
        self,
        data_root: str = '',
        ann_file: str = '',
        data_prefix: str | dict = '',
        image_column: str | None = None,
        label_column: str | None = None,
        separator: str = '|',
        ignored_names: Sequence[str] = (),
        present_values: Sequence[str | float] = ('1', 'true'),
        absent_values: Sequence[str | float] = ('0', 'false'),
        unknown_values: Sequence[str | float] = ('-1',),
        unknown_column: str | None = None,
        split_column: str | None = None,
        split: str | None = None,
        patient_column: str | None = None,
        image_suffix: str = '',
        filter_empty_gt: bool = False,
        **kwargs: Any,
    ) -> None:
        if (split_column is None) != (split is None):
            raise ValueError(
                'Expected arguments `split_column` and `split` together: the column and the value of the rows to take, '
                f'but got {split_column!r} and {split!r}.'
            )
        if unknown_column is not None and label_column is None:
            raise ValueError(
                f'Expected argument `unknown_column` together with `label_column`, but got {unknown_column!r} alone. '
                'If each label has its own column, unknown ones are marked by `unknown_values`.'
            )
        if not separator:
            raise ValueError(f'Expected argument `separator` to be at least one character, but got {separator!r}.')
        self.image_column = image_column
        self.label_column = label_column
        self.separator = separator
        self.ignored_names = tuple(ignored_names)
        self.label_values = {
            _PRESENT: tuple(map(str, present_values)),
            _ABSENT: tuple(map(str, absent_values)),
            UNKNOWN: tuple(map(str, unknown_values)),
        }
        meanings = Counter(value for values in self.label_values.values() for value in set(map(_plain, values)))
        twice = [value for value, times in meanings.items() if times > 1]
        if twice:
            raise ValueError(
                'Expected each value in one of the arguments `present_values`, `absent_values` and `unknown_values`, '
                f'but {twice[0]!r} is in two. Remove it from one.'
            )
        self.unknown_column = unknown_column
        self.split_column = split_column
        self.split = split
        self.patient_column = patient_column
        self.image_suffix = image_suffix
        self.filter_empty_gt = filter_empty_gt
        self.has_unknown_labels = False
        super().__init__(data_root=data_root, ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the table.

        Returns:
            One ``dict(img_path, gt_label)`` per image, in the order of the rows, with ``gt_label_unknown`` and
            ``patient_id`` if the table has them.
        """
        if isinstance(self.CLASSES, str):
            raise ValueError(
                f'Expected the classes in `metainfo` to be names, but got the text {self.CLASSES!r}. A single name '
                f'needs a comma behind it: ({self.CLASSES!r},).'
            )
        table = self._take_rows(read_table(self.ann_file))
        names = self._image_names(table)
        joined = self.label_column
        target = self._read_joined_names(table, joined) if joined else self._read_label_columns(table)
        self.has_unknown_labels = bool((target == UNKNOWN).any())
        patients = self._column(table, self.patient_column) if self.patient_column else None
        kept = np.arange(len(table))
        if self.filter_empty_gt:
            kept = np.flatnonzero((target == _PRESENT).any(axis=1))
            report_left_out(self.ann_file, len(table) - len(kept), len(table))
        paths = self._image_paths([names[row] for row in kept])
        check_images(paths, self.ann_file)
        data_list = []
        for path, row in zip(paths, kept):
            item = dict(img_path=path, gt_label=np.flatnonzero(target[row] == _PRESENT).tolist())
            if self.has_unknown_labels:
                item['gt_label_unknown'] = np.flatnonzero(target[row] == UNKNOWN).tolist()
            if patients is not None:
                item['patient_id'] = patients[row]
            data_list.append(item)
        check_not_empty(data_list, self.ann_file, 'Images without a label are kept with filter_empty_gt=False.')
        return data_list

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Get the data of an image, with ``gt_score`` (K,) if the table has unknown labels.

        Args:
            idx: Index of the image.

        Returns:
            The data, the input of the pipeline.
        """
        data = super().get_data_info(idx)
        if self.has_unknown_labels:
            target = np.full(len(self.CLASSES), _ABSENT, dtype=np.float32)
            target[data['gt_label']] = _PRESENT
            target[data['gt_label_unknown']] = UNKNOWN
            data['gt_score'] = target
        return data

    def _take_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of the split."""
        if self.split_column is None:
            return table
        splits = self._column(table, self.split_column)
        if self.split not in set(splits):
            raise ValueError(
                f'Expected argument `split` to be in column {self.split_column!r} of {self.ann_file}, which has '
                f'{_quoted(sorted(set(splits)), most=10)}, but got {self.split!r}.'
            )
        return table[splits == self.split].reset_index(drop=True)

    def _image_paths(self, names: list[str]) -> list[str]:
        names = [f'{name}{self.image_suffix}' for name in names]
        return [name if is_abs(name) else os.path.join(self.img_prefix, name) for name in names]

    def _column(self, table: pd.DataFrame, name: str) -> np.ndarray:
        if name not in table.columns:
            raise ValueError(
                f'Expected {self.ann_file} to have a column {name!r}, but it has {_quoted(table.columns)}. Correct its '
                'header, or give the data set the name of the column; label_column=None if each label has a column.'
            )
        return table[name].str.strip().to_numpy()

    def _image_names(self, table: pd.DataFrame) -> list[str]:
        names = [name.replace('\\', '/') for name in self._column(table, self.image_column or table.columns[0])]
        name, times = Counter(names).most_common(1)[0] if names else ('', 0)
        if times > 1:
            raise ValueError(
                f'Expected each image of {self.ann_file} in one row, but {shorten(repr(name))} is in {times} rows. '
                'Join the labels of an image into one row, and remove rows without an image.'
            )
        return names

    def _read_joined_names(self, table: pd.DataFrame, column: str) -> np.ndarray:
        """Targets (R, K) of 1, 0 and -1."""
        present = [self._split(cell, column) for cell in self._column(table, column)]
        if self.CLASSES is None:
            raise ValueError(
                'Expected argument `metainfo` to have the names of the labels, the same for all splits, but it has '
                f'none. Give metainfo=dict(classes=(...)); {self.ann_file} has '
                f'{_quoted(sorted({name for names in present for name in names}))}.'
            )
        target = np.full((len(table), len(self.CLASSES)), _ABSENT, dtype=np.int8)
        self._mark(target, present, column, _PRESENT)
        if self.unknown_column:
            cells = self._column(table, self.unknown_column)
            unknown = [self._split(cell, self.unknown_column) for cell in cells]
            both = [row for row, names in enumerate(unknown) if not set(names).isdisjoint(present[row])]
            if both:
                raise ValueError(
                    f'Expected no name both in column {column!r} and in column {self.unknown_column!r} of '
                    f'{self.ann_file}, but image {shorten(repr(self._image_names(table)[both[0]]))} has one in '
                    'both. A label is either present or unknown: correct the row.'
                )
            self._mark(target, unknown, self.unknown_column, UNKNOWN)
        return target

    def _split(self, cell: str, column: str) -> list[str]:
        try:
            names = split_names(cell, self.separator)
        except ValueError as error:
            raise ValueError(f'Column {column!r} of {self.ann_file}: {error} Correct the row.') from error
        return [name for name in names if name not in self.ignored_names]

    def _mark(self, target: np.ndarray, names_of_rows: list[list[str]], column: str, value: int) -> None:
        index = self.class_to_idx
        for row, names in zip(target, names_of_rows):
            for name in names:
                if name not in index:
                    raise ValueError(
                        f'Expected the names in column {column!r} of {self.ann_file} to be among the classes '
                        f'{_quoted(self.CLASSES)}, but got {shorten(repr(name))}. Add it to '
                        'metainfo=dict(classes=(...)) or to `ignored_names`, or check `separator` '
                        f'({self.separator!r}).'
                    )
                row[index[name]] = value

    def _read_label_columns(self, table: pd.DataFrame) -> np.ndarray:
        """Targets (R, K) of 1, 0 and -1."""
        if self.CLASSES is None:
            others = (self.image_column or table.columns[0], self.split_column, self.patient_column)
            self._metainfo['classes'] = tuple(name for name in table.columns if name not in others)
        if not self.CLASSES:
            raise ValueError(
                f'Expected {self.ann_file} to have columns of labels, but it has {_quoted(table.columns)} only. Add a '
                'column of 0 and 1 per label, or give `label_column`, the column of joined names.'
            )
        missing = [name for name in self.CLASSES if name not in table.columns]
        if missing:
            raise ValueError(
                f'Expected {self.ann_file} to have a column for each label, but {_quoted(missing)} are not among its '
                f'{_quoted(table.columns)}. Correct the names; if one column holds joined names, give `label_column`.'
            )
        cells = np.stack([self._column(table, name) for name in self.CLASSES], axis=1)
        positions, values = pd.factorize(cells.ravel())
        positions = positions.reshape(cells.shape)
        label_of_cell = {_plain(value): label for label, values in self.label_values.items() for value in values}
        wrong = [number for number, value in enumerate(values) if _plain(value) not in label_of_cell]
        if wrong:
            number = max(wrong, key=lambda number: len(values[number]))
            row, column = np.argwhere(positions == number)[0]
            raise ValueError(
                f'Expected one of `present_values` {self.label_values[_PRESENT]}, `absent_values` '
                f'{self.label_values[_ABSENT]} or `unknown_values` {self.label_values[UNKNOWN]} in column '
                f'{self.CLASSES[column]!r} of {self.ann_file}, but got {shorten(repr(values[number]))} for image '
                f'{shorten(repr(self._image_names(table)[row]))}. {_what_to_do(values[number])}'
            )
        return np.array([label_of_cell[_plain(value)] for value in values], dtype=np.int8)[positions]


def _what_to_do(cell: str) -> str:
    """Advice about a cell that is neither 0 nor 1 nor unknown."""
    if not cell:
        return "Write 0 if the label is absent, or add '' to `absent_values` or `unknown_values`."
    try:
        is_soft = 0 < float(_plain(cell)) < 1
    except ValueError:
        return (
            'Add a mark such as x to one of the three. Joined names need `label_column`; if the table has other '
            'columns, name the labels with metainfo=dict(classes=(...)).'
        )
    if is_soft:
        return 'Soft labels are not defined for these losses: round them, or mark uncertain ones as unknown.'
    return 'Correct the cell, or add the value to one of the three.'


def _plain(cell: str) -> str:
    """Write a number as float does, and other text in lower case: '1', '1.0' and the decimal comma '1,0' become one."""
    try:
        return str(float(re.sub(r'^(-?\d+),(\d\d?)$', r'\1.\2', cell)))
    except ValueError:
        return cell.lower()


def _quoted(names: Sequence[str], most: int = 20) -> str:
    return shorten(listed([repr(str(name)) for name in names], most))
