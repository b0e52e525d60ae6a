"""Images from disk to batch, in the recipe's training form: python -m benchmarks.loader [--images FOLDER]

The same images at 224 and 448 px, in batches of 64 from two workers: by PIL and torchvision as the published code has
them, by MMPretrain's transforms, and by this package's, with each change between them in turn. All forms take turns,
and of each the best turn counts, the one that other work on the machine disturbed least. Milliseconds are those that
the workers and the main process compute for an image; the ratios are of them. Without --images it draws photo-like
JPEGs of 500 x 375 pixels. Writes loader.csv to the folder of --out. Needs Linux. Four minutes on two cores; --quick
takes one.
"""

import argparse
import csv
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose, default_collate, pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader, Dataset

from benchmarks.pil_loader import PILImage
from kmcl_mm.datasets.recipe import train_pipeline

BATCH = 64
WORKERS = 2
IMAGES = 256  # in a turn
COLUMNS = ('size', 'form', 'images_per_second', 'milliseconds', 'times_pil', 'times_form_before')


class Cost(NamedTuple):
    """Images per second, and milliseconds of computing for an image, in all processes together."""

    rate: float
    milliseconds: float


class Form(NamedTuple):
    """A way to load: from a path to an item, and from items to a batch."""

    load: Callable[[str], Any]
    collate: Callable[[list], Any]


class Files(Dataset):
    """Image files as a form loads them."""

    def __init__(self, paths: list[str], load: Callable[[str], Any]) -> None:
        self.paths = paths
        self.load = load

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.load(self.paths[index])


# The recipe's operations by MMPretrain: the level is continuous, and rotation is to both sides.
MMPRETRAIN_RAND_AUGMENT = dict(
    type='RandAugment',
    policies=[
        dict(type='Invert'),
        dict(type='Cutout', magnitude_range=(0, 20)),
        dict(type='Sharpness', magnitude_range=(0, 0.9)),
        dict(type='ColorTransform', magnitude_range=(0, 0.9)),
        dict(type='Contrast', magnitude_range=(0, 0.9)),
        dict(type='Brightness', magnitude_range=(0, 0.9)),
        dict(type='AutoContrast'),
        dict(type='Equalize'),
        dict(type='Posterize', magnitude_range=(8, 4)),
        dict(type='Solarize', magnitude_range=(256, 0)),
        dict(type='Shear', magnitude_range=(0, 0.3), direction='horizontal'),
        dict(type='Shear', magnitude_range=(0, 0.3), direction='vertical'),
        dict(type='Translate', magnitude_range=(0, 150 / 331), direction='horizontal'),
        dict(type='Translate', magnitude_range=(0, 150 / 331), direction='vertical'),
        dict(type='Rotate', magnitude_range=(0, 30)),
    ],
    num_policies=2,
    magnitude_level=9,
    magnitude_std='inf',
    total_level=9,
    hparams=dict(pad_val=128),
)


class Pipeline:
    """An image file with two labels through a pipeline of MMPretrain's."""

    def __init__(self, pipeline: list[dict]) -> None:
        self.pipeline = Compose(pipeline)

    def __call__(self, path: str) -> dict:
        return self.pipeline(dict(img_path=path, gt_label=[0, 1]))


def forms(size: int) -> dict[str, Form]:
    """The forms to compare, each with one change to the one before it."""
    *before_policy, policy, pack = train_pipeline(size)
    load, *squash_and_cutout = before_policy
    load_in_full = dict(load, min_size=None)

    def prepared(*pipeline: dict) -> Pipeline:
        return Pipeline([*pipeline, pack])

    opencv_form = prepared(load_in_full, *squash_and_cutout, MMPRETRAIN_RAND_AUGMENT)
    return {
        'PIL, float32': Form(PILImage(size), torch.utils.data.default_collate),
        'uint8 until the device': Form(PILImage(size, is_float=False), torch.utils.data.default_collate),
        "MMPretrain's OpenCV form": Form(opencv_form, pseudo_collate),
        'stacked in the worker': Form(opencv_form, default_collate),
        'UDARandAugment': Form(prepared(load_in_full, *squash_and_cutout, policy), default_collate),
        'JPEGs decoded smaller': Form(prepared(load, *squash_and_cutout, policy), default_collate),
    }


def costs(all_forms: dict[str, Form], paths: list[str], repeats: int) -> dict[str, Cost]:
    """What each form costs in its best turn, after one that is not counted."""
    # MMPretrain's setting for training: workers share the cores already.
    cv2.setNumThreads(0)
    loaders = {
        name: DataLoader(
            Files(paths, form.load),
            BATCH,
            num_workers=WORKERS,
            collate_fn=form.collate,
            worker_init_fn=_one_thread,
            persistent_workers=True,
        )
        for name, form in all_forms.items()
    }
    best = dict.fromkeys(all_forms, Cost(0, math.inf))
    for turn in range(repeats + 1):
        for name, loader in loaders.items():
            start, computed = time.perf_counter(), computing_seconds()
            for _ in loader:
                pass
            rate = len(paths) / (time.perf_counter() - start)
            milliseconds = 1e3 * (computing_seconds() - computed) / len(paths)
            if turn:
                best[name] = Cost(max(best[name].rate, rate), min(best[name].milliseconds, milliseconds))
    return best


def computing_seconds() -> float:
    """Time that this process and its children have computed so far."""
    ticks = 0
    for child in multiprocessing.active_children():
        # User and system time are the 14th and 15th number; the second is a name in brackets, which may hold spaces.
        ticks += sum(
            map(int, Path(f'/proc/{child.pid}/stat').read_text(encoding='utf-8').rpartition(')')[2].split()[11:13])
        )
    return time.process_time() + ticks / os.sysconf('SC_CLK_TCK')


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)


def draw_images(folder: Path, number: int) -> None:
    """Draw JPEGs of 500 x 375 pixels whose smooth areas, edges and grain make them about as large as photos."""
    random = np.random.RandomState(0)
    for index in range(number):
        img = cv2.resize(random.randint(0, 256, (6, 8, 3)).astype(np.uint8), (500, 375), interpolation=cv2.INTER_CUBIC)
        for _ in range(40):
            center = random.randint(500), random.randint(375)
            cv2.circle(img, center, random.randint(5, 60), random.randint(0, 256, 3).tolist(), -1, cv2.LINE_AA)
        grain = random.normal(0, 8, (375, 500, 1))
        cv2.imwrite(str(folder / f'{index:04}.jpg'), (img + grain).clip(0, 255), [cv2.IMWRITE_JPEG_QUALITY, 90])


def find_images(folder: Path, number: int) -> list[str]:
    """Paths of the first JPEGs of a folder, over and over until there are enough."""
    found = sorted(str(path) for path in folder.glob('*.jpg'))
    if not found:
        raise ValueError(f'Expected argument --images to be a folder with *.jpg files, but {folder} has none.')
    return [found[index % len(found)] for index in range(number)]


def run(size: int, paths: list[str], repeats: int) -> list[tuple]:
    """Measure all forms at a size and print them; one row a form, in the order of COLUMNS."""
    best = costs(forms(size), paths, repeats)
    rows, names = [], list(best)
    for name, before in zip(names, [names[0], *names]):
        ratios = [best[other].milliseconds / best[name].milliseconds for other in (names[0], before)]
        rows.append((size, name, *best[name], *ratios))
        print('{:4} px  {:26}{:11.0f}{:10.2f}{:10.2f}{:14.2f}'.format(*rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=Path, help='folder of *.jpg to load; drawn ones by default')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmarks'), help='folder of loader.csv')
    parser.add_argument('--quick', action='store_true', help='three turns instead of ten')
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    repeats = 3 if args.quick else 10
    print(f'OpenCV {cv2.__version__}, torch {torch.__version__}, {WORKERS} workers, batches of {BATCH}')
    print(f'{"":35}{"images / s":>10}{"ms each":>10}{"x PIL":>10}{"x line above":>14}')
    with tempfile.TemporaryDirectory() as drawn:
        if args.images is None:
            draw_images(Path(drawn), 64)
        paths = find_images(args.images or Path(drawn), IMAGES)
        rows = [row for size in (224, 448) for row in run(size, paths, repeats)]
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / 'loader.csv').open('w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    print(f'Wrote {args.out / "loader.csv"}')


if __name__ == '__main__':
    main()
