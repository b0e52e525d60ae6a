"""Small data sets in the layouts that their publishers give them, drawn with random labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from kmcl_mm.datasets.adp import ADP_CLASSES
from kmcl_mm.datasets.chest_xray14 import CHEST_XRAY14_CLASSES
from kmcl_mm.datasets.nus_wide import NUS_WIDE_CLASSES

NUMBER = 12
CUSTOM_CLASSES = ('crack', 'rust', 'leak')


def draw_images(folder: Path, names: Sequence[str], mode: str = 'RGB', seed: int = 0) -> None:
    """Save images of random colours and sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(seed)
    for name in names:
        height, width = random.randint(20, 60, 2)
        Image.fromarray(random.randint(0, 256, (height, width, 3), np.uint8)).convert(mode).save(folder / name)


def draw_labels(classes: Sequence[str], seed: int = 0) -> list[list[str]]:
    """One to three labels for each of the images; the first label is in every third."""
    random = np.random.RandomState(seed)
    labels = [random.choice(classes, random.randint(1, 4), replace=False).tolist() for _ in range(NUMBER)]
    return [sorted({*names, classes[0]} if index % 3 == 0 else names) for index, names in enumerate(labels)]


def draw_adp(root: Path) -> None:
    """Two thirds for training, the rest for validation and test."""
    names = [f'{index:03}.png_crop_{index}.png' for index in range(NUMBER)]
    draw_images(root / 'img_res_1um_bicubic', names)
    codes = ADP_CLASSES['L3']
    labels = [{part for name in row for part in _with_parents(name)} for row in draw_labels(ADP_CLASSES['leaves'])]
    table = pd.DataFrame([[int(code in row) for code in codes] for row in labels], columns=codes)
    table.insert(0, 'Patch Names', names)
    table.to_csv(root / 'ADP_EncodedLabels_Release1_Flat.csv', index=False)
    (root / 'splits').mkdir()
    for split, rows in dict(train=range(8), valid=range(8, 10), test=range(10, NUMBER)).items():
        np.save(root / f'splits/{split}.npy', np.array(rows, dtype=np.int32))


def _with_parents(code: str) -> list[str]:
    parts = code.split('.')
    return ['.'.join(parts[: depth + 1]) for depth in range(len(parts))]


def draw_chestxray14(root: Path) -> None:
    """NIH's table and lists; grey images."""
    names = [f'{index:08}_000.png' for index in range(NUMBER)]
    draw_images(root / 'images', names, mode='L')
    pd.DataFrame(
        {
            'Image Index': names,
            'Finding Labels': ['|'.join(row) for row in draw_labels(CHEST_XRAY14_CLASSES)],
            'Patient ID': range(NUMBER),
        }
    ).to_csv(root / 'Data_Entry_2017.csv', index=False)
    (root / 'train_val_list.txt').write_text('\n'.join(names[:8]))
    (root / 'test_list.txt').write_text('\n'.join(names[8:]))


def draw_nuswide(root: Path) -> None:
    """The one table of file, list of label names and split."""
    names = [f'{index}_a.jpg' for index in range(NUMBER)]
    draw_images(root / 'images', names)
    pd.DataFrame(
        dict(
            filepath=[f'images/{name}' for name in names],
            label=[str(row) for row in draw_labels(NUS_WIDE_CLASSES)],
            split_name=['train'] * 8 + ['val'] * 4,
        )
    ).to_csv(root / 'nus_wid_data.csv', index=False)


def draw_custom(root: Path) -> None:
    """A folder of images and two tables of joined names."""
    names = [f'{index}.jpg' for index in range(NUMBER)]
    draw_images(root / 'images', names)
    table = pd.DataFrame(dict(image=names, labels=['|'.join(row) for row in draw_labels(CUSTOM_CLASSES)]))
    table[:8].to_csv(root / 'train.csv', index=False)
    table[8:].to_csv(root / 'val.csv', index=False)
