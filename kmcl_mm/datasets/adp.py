"""The Atlas of Digital Pathology: histological tissue types of patches."""

import io
import os
from typing import Any

import numpy as np
import pandas as pd
from mmengine.utils import is_abs
from mmpretrain.registry import DATASETS

from ..checks import check_choice
from ..errors import shorten
from .table_multilabel import TableMultiLabel
from .validation import read_file

_LEVEL_3 = (
    'E E.M E.M.S E.M.C E.T E.T.S E.T.C C C.D C.D.I C.D.R C.L H H.E H.K H.Y S S.M S.C S.R A A.W A.M M N N.P N.R N.G '
    'N.G.M G G.O G.N T'
).split()

ADP_CLASSES = dict(
    L1=tuple(code for code in _LEVEL_3 if '.' not in code),
    L2=tuple(code for code in _LEVEL_3 if code.count('.') < 2),
    L3=tuple(_LEVEL_3),
    leaves=tuple(code for code in _LEVEL_3 if not any(other.startswith(f'{code}.') for other in _LEVEL_3)),
)


@DATASETS.register_module()
class ADP(TableMultiLabel):
    """Histology patches of the Atlas of Digital Pathology, release 1, labelled with the tissue types of one level.

    Expects the files of the release::

        ADP_EncodedLabels_Release1_Flat.csv      img_res_1um_bicubic/*.png      splits/{train,valid,test}.npy

    The splits are by patch: all three can hold patches of one slide.

    Args:
        data_root: Folder of the release.
        split: 'train', 'valid' or 'test'.
        level: 'L1' (9 labels), 'L2' (26), 'L3' (33) or 'leaves', the 22 labels of L3 that have no finer one.
        ann_file: The table: ``Patch Names``, then one column of 0 and 1 per code.
        data_prefix: Folder of the patches.
        split_file: File with the row numbers of the split, an integer array. Default: ``splits/<split>.npy``.
        filter_empty_gt: Leave out patches without a label of the level, as the published runs did.
        **kwargs: As in :class:`kmcl_mm.datasets.TableMultiLabel`.

    Raises:
        FileNotFoundError: The table, the file of the split or an image is missing.
        ValueError: There is no such split or level, or the files are not those of the release.

    Source: M. S. Hosseini et al., Atlas of Digital Pathology (CVPR 2019).
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        level: str = 'L1',
        ann_file: str = 'ADP_EncodedLabels_Release1_Flat.csv',
        data_prefix: str | dict = 'img_res_1um_bicubic',
        split_file: str | None = None,
        filter_empty_gt: bool = True,
        **kwargs: Any,
    ) -> None:
        check_choice('split', split, ('train', 'valid', 'test'))
        check_choice('level', level, tuple(ADP_CLASSES))
        split_file = split_file or f'splits/{split}.npy'
        self.split_file = split_file if is_abs(split_file) else os.path.join(data_root, split_file)
        kwargs.setdefault('metainfo', dict(classes=ADP_CLASSES[level]))
        super().__init__(
            data_root=data_root,
            ann_file=ann_file,
            data_prefix=data_prefix,
            image_column='Patch Names',
            filter_empty_gt=filter_empty_gt,
            **kwargs,
        )

    def _take_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        content = read_file(self.split_file, 'split')
        try:
            rows = np.load(io.BytesIO(content), allow_pickle=False)
            if rows.ndim != 1 or rows.dtype.kind not in 'iu':
                raise ValueError(f'it holds {rows.dtype} of shape {rows.shape}')
        except Exception as error:  # NumPy parses the header as Python, which can fail in any way.
            raise ValueError(
                f'Expected {self.split_file} to be an array of row numbers, but it cannot be read as one: '
                f'{shorten(str(error))}. Use the file of the release.'
            ) from error
        if rows.size and not 0 <= rows.min() <= rows.max() < len(table):
            raise ValueError(
                f'Expected the row numbers of {self.split_file} to be in [0, {len(table)}), the rows of '
                f'{self.ann_file}, but they go from {rows.min()} to {rows.max()}. Use the table that the split was '
                'made for.'
            )
        return table.iloc[rows].reset_index(drop=True)
