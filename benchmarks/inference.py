"""Images a second of a network in several forms: python -m benchmarks.inference

A network with random weights predicts one batch of images in turn by each form: eager, as it was trained; folded, with
norms folded into convolutions and channels last in memory, as KMCLInferencer does by itself; compiled, the folded one
by torch.compile, which needs a C++ compiler; exported, the .pt2 file that tools/deploy/export.py writes, and
onnxruntime, its .onnx file. Prints a table with the largest change of a score, and writes inference.csv to the folder
of --out. The images are random numbers, or those of --photos FOLDER. Fifteen minutes on two cores.
"""

import argparse
import copy
import csv
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from mmengine.dataset import default_collate
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from torch import Tensor

import kmcl_mm
from kmcl_mm.apps.inference.export import Scores, export
from kmcl_mm.apps.inference.fusing import fuse
from kmcl_mm.apps.inference.inputs import find_sources
from kmcl_mm.apps.inference.preprocessing import Preprocessing

CONFIGS = ('kmcl_tresnet_m_coco', 'kmcl_tresnet_l_coco', 'kmcl_efficientnet-lite0_voc07')
SIZE = 224
Form = Callable[[], np.ndarray]


class Row(NamedTuple):
    """What a form of a network costs and changes."""

    config: str
    images: int
    form: str
    images_per_second: float
    ratio_to_eager: float
    change_of_score: float


def build(config: str) -> BaseModel:
    """A configuration's model as if it had been trained, with norms that are no identity."""
    torch.manual_seed(0)
    model = kmcl_mm.get_model(config).train()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
        for _ in range(3):
            model.extract_feat(torch.randn(4, 3, SIZE, SIZE))
    return model.eval()


def forms(model: BaseModel, images: Tensor, folder: Path) -> dict[str, Form]:
    """Each form as a function that gives the scores of the images."""
    fast = copy.deepcopy(model)
    if not fuse(fast, images):
        raise RuntimeError('The folded form changes the scores.')
    eager, folded = Scores(model), Scores(fast)
    compiled = torch.compile(folded)
    size = dict(height=SIZE, width=SIZE)
    for name in ('model.onnx', 'model.pt2'):
        export(model, size, folder / name)
    exported = torch.export.load(folder / 'model.pt2').module()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(folder / 'model.onnx', options, providers=['CPUExecutionProvider'])
    pixels = images.numpy()
    return {
        'eager': lambda: eager(images).numpy(),
        'folded': lambda: folded(images).numpy(),
        'compiled': lambda: compiled(images).numpy(),
        'exported': lambda: exported(images).numpy(),
        'onnxruntime': lambda: session.run(None, dict(images=pixels))[0],
    }


def load(config: str, model: BaseModel, number: int, photos: Path | None) -> Tensor:
    """Images as the network gets them: photos, prepared as in a test, or random numbers."""
    if photos is None:
        return torch.randn(number, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    prepare = Preprocessing(kmcl_mm.get_config(config))
    samples = [prepare(path) for path in find_sources(photos)[:number]]
    return model.data_preprocessor(default_collate(samples))['inputs']


def measure(config: str, number: int, photos: Path | None, repeats: int) -> list[Row]:
    """Median of each form's time, taken in turn after a call that is not counted."""
    with TemporaryDirectory() as folder, torch.no_grad():
        model = build(config)
        images = load(config, model, number, photos)
        known = forms(model, images, Path(folder))
        scores = {name: form() for name, form in known.items()}
        seconds = {name: [] for name in known}
        for _ in range(repeats):
            for name, form in known.items():
                start = time.perf_counter()
                form()
                seconds[name].append(time.perf_counter() - start)
    eager = median(seconds['eager'])
    return [
        Row(
            config,
            len(images),
            name,
            len(images) / median(seconds[name]),
            eager / median(seconds[name]),
            float(np.abs(scores[name] - scores['eager']).max()),
        )
        for name in known
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='*', default=CONFIGS, help='names of configurations (%(default)s)')
    parser.add_argument('--images', nargs='+', type=int, default=[1, 16], help='images in a batch')
    parser.add_argument('--photos', type=Path, help='folder of images to predict (random numbers)')
    parser.add_argument('--repeats', type=int, default=5, help='batches that are timed')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmarks'), help='folder of inference.csv')
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    print(f'torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, {torch.get_num_threads()} threads')
    print(f'{"network":32}{"images":>7}  {"form":12}{"images/s":>9}{"to eager":>9}  change of a score')
    rows = []
    for config in args.configs:
        for number in args.images:
            for row in measure(config, number, args.photos, args.repeats):
                rows.append(row)
                print(
                    f'{row.config:32}{row.images:7}  {row.form:12}{row.images_per_second:9.1f}'
                    f'{row.ratio_to_eager:8.2f}x  {row.change_of_score:.1e}',
                    flush=True,
                )
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / 'inference.csv').open('w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows([Row._fields, *rows])
    print(f'Wrote {args.out / "inference.csv"}')


if __name__ == '__main__':
    main()
