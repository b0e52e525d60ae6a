"""NIH ChestX-ray14: findings in chest X-rays, split by patient."""

import glob
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mmpretrain.registry import DATASETS

from ..errors import listed
from .table_multilabel import TableMultiLabel
from .validation import read_text

CHEST_XRAY14_CLASSES = (
    'Atelectasis',
    'Cardiomegaly',
    'Effusion',
    'Infiltration',
    'Mass',
    'Nodule',
    'Pneumonia',
    'Pneumothorax',
    'Consolidation',
    'Edema',
    'Emphysema',
    'Fibrosis',
    'Pleural_Thickening',
    'Hernia',
)
_SPLIT_FILES = dict(train_val='train_val_list.txt', test='test_list.txt')
_PATIENT_COLUMN = 'Patient ID'


@DATASETS.register_module()
class ChestXray14(TableMultiLabel):
    """Frontal chest X-rays with 14 findings from their reports.

    Two layouts are supported. NIH's own, whose split by patient is checked::

        Data_Entry_2017*.csv    train_val_list.txt    test_list.txt    images/*.png  (or images_001/images/*.png ...)

    and, with ``split=None``, one table per split: the image's name, then 14 columns of 0 and 1 named after the
    findings.

    Args:
        data_root: Folder of the data.
        split: 'train_val' or 'test' of NIH's lists; None if ``ann_file`` is the table of one split.
        ann_file: The table. Its name may be a pattern that matches one file.
        data_prefix: Folder of the images. If it does not exist, the folders ``images_*/images`` of NIH's archives are
            searched.
        filter_empty_gt: Leave out images without a finding, as the published runs did; False keeps them as negatives.
        first_fraction: Part of the images to take from the start of the table, in (0, 1], after images without a
            finding are left out. The published mAP of 30.0 and 31.5 were measured on the first 10 %.
        **kwargs: As in :class:`kmcl_mm.datasets.TableMultiLabel`.

    Raises:
        FileNotFoundError: The table, a list of the split or an image is missing.
        ValueError: There is no such split, the files do not belong together, or a patient is in both splits.

    Source: X. Wang et al., ChestX-ray8 (CVPR 2017), in its release of 112,120 images and 14 findings.
    """

    ann_file: str
    METAINFO = dict(classes=CHEST_XRAY14_CLASSES)

    def __init__(
        self,
        data_root: str,
        split: str | None = 'train_val',
        ann_file: str = 'Data_Entry_2017*.csv',
        data_prefix: str | dict = 'images',
        filter_empty_gt: bool = True,
        first_fraction: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if split not in (*_SPLIT_FILES, None):
            raise ValueError(f'Expected argument `split` to be one of {(*_SPLIT_FILES, None)}, but got {split!r}.')
        if not 0 < first_fraction <= 1:
            raise ValueError(f'Expected argument `first_fraction` to be in (0, 1], but got {first_fraction}.')
        self.first_fraction = first_fraction
        self.list_of_split = split
        if split is not None:
            columns = dict(image_column='Image Index', label_column='Finding Labels', patient_column=_PATIENT_COLUMN)
            kwargs = {**columns, 'ignored_names': ('No Finding',), **kwargs}
        super().__init__(
            data_root=data_root,
            ann_file=ann_file,
            data_prefix=data_prefix,
            filter_empty_gt=filter_empty_gt,
            **kwargs,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the table and take its first images.

        Returns:
            The data of the images, as in :class:`kmcl_mm.datasets.TableMultiLabel`.
        """
        self.ann_file = self._find_table()
        data_list = super().load_data_list()
        return data_list[: max(round(self.first_fraction * len(data_list)), 1)]

    def _find_table(self) -> str:
        """The file that ``ann_file`` names, or the only one that fits its pattern."""
        folder, name = os.path.split(self.ann_file)
        # The folder is no pattern, even if its name has brackets.
        found = sorted(glob.glob(name, root_dir=folder))
        if not found or os.path.isfile(self.ann_file):
            return self.ann_file
        if len(found) > 1:
            raise ValueError(
                f'Expected {self.ann_file} to match one file, but it matches {listed(found)}. Name one of them in '
                '`ann_file`.'
            )
        return os.path.join(folder, found[0])

    def _take_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        if self.list_of_split is None:
            return table
        names_of_split = {split: self._read_list(name) for split, name in _SPLIT_FILES.items()}
        names = np.array(self._image_names(table))
        patients = self._column(table, self.patient_column or _PATIENT_COLUMN)
        rows_of_split = {split: np.isin(names, list(of_split)) for split, of_split in names_of_split.items()}
        both = set.intersection(*(set(patients[rows]) for rows in rows_of_split.values())) - {''}
        if both:
            raise ValueError(
                f'Expected no patient both in {" and ".join(_SPLIT_FILES.values())} of {self.ann_file}, but '
                f'{len(both)} are, such as {min(both)!r}: scores would be too high. Use the lists of NIH, or split '
                'by patient.'
            )
        rows = rows_of_split[self.list_of_split]
        unknown = names_of_split[self.list_of_split] - set(names[rows])
        if unknown:
            raise ValueError(
                f'Expected every image of {_SPLIT_FILES[self.list_of_split]} in {self.ann_file}, but {len(unknown)} '
                f'are not, such as {min(unknown)!r}. Use the table and the lists of one release.'
            )
        return table[rows].reset_index(drop=True)

    def _read_list(self, name: str) -> set:
        path = os.path.join(self.data_root, name)
        return set(read_text(path, 'split').split())

    def _image_paths(self, names: list[str]) -> list[str]:
        if os.path.isdir(self.img_prefix):
            return super()._image_paths(names)
        folders = [str(folder) for folder in Path(self.data_root).glob('images_*/images')]
        folder_of_image = {name: folder for folder in folders for name in os.listdir(folder)}
        names = [f'{name}{self.image_suffix}' for name in names]
        return [os.path.join(folder_of_image.get(name) or self.img_prefix, name) for name in names]
