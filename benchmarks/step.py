"""KMCL's share of a whole training step: python -m benchmarks.step

Two models that differ in nothing but the head, KMCL's and the linear one of the asymmetric loss alone, take training
steps in turn: forward, backward and Adam. Whole steps vary by more than KMCL takes, so its share is also measured by
itself: the time of its head, losses and their update, less that of the linear head. Prints a table and writes step.csv
to the folder of --out. Fifteen minutes on two cores.
"""

import argparse
import csv
import time
from pathlib import Path
from statistics import median
from typing import Callable, Dict, List, NamedTuple

import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel, BaseModule
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import kmcl_mm

HEADS = dict(asl='asl_tresnet_m_coco', kmcl='kmcl_tresnet_m_coco')


class Case(NamedTuple):
    """A network's configuration, the side of its images in pixels, and how many there are in a batch."""

    config: str
    size: int
    images: int


CASES = [
    Case('kmcl_tresnet_m_coco', 224, 32),
    Case('kmcl_tresnet_l_coco', 224, 32),
    Case('kmcl_tresnet_l_coco', 448, 8),
]
COLUMNS = [*Case._fields, 'asl_step', 'kmcl_step', 'asl_head', 'kmcl_head', 'share']


def build(config: str, head: str) -> BaseModel:
    """A configuration's network with the head of 'asl' or 'kmcl', without pretrained weights."""
    model = kmcl_mm.get_config(config).model
    model.backbone.pretrained = False
    model.head = kmcl_mm.get_config(HEADS[head]).model.head
    model = MODELS.build(model)
    model.init_weights()
    return model.train()


def samples(images: int, labels: int, device: torch.device) -> List[DataSample]:
    """Targets with 2.9 labels an image on average, as MS-COCO has."""
    target = (torch.rand(images, labels, generator=torch.Generator().manual_seed(0)) < 2.9 / labels).float()
    return [DataSample().set_gt_score(row) for row in target.to(device)]


def step_of(module: BaseModule, losses: Callable[[], Dict]) -> Callable[[], None]:
    """A training step: forward, backward and Adam."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        sum(losses().values()).backward()
        optimizer.step()

    return step


def times(steps: Dict[str, Callable[[], None]], repeats: int, device: torch.device) -> Dict[str, float]:
    """Median seconds of each step, taken in turn after one that is not counted."""
    seconds = {name: [] for name in steps}
    for repeat in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def run_case(case: Case, repeats: int, device: torch.device) -> List:
    """A row of the table."""
    torch.manual_seed(0)
    models = {head: build(case.config, head).to(device) for head in HEADS}
    images = torch.randn(case.images, 3, case.size, case.size, device=device)
    targets = samples(case.images, models['kmcl'].head.num_classes, device)
    pooled = torch.rand(case.images, models['kmcl'].head.in_channels, device=device, requires_grad=True)
    heads = times(
        {
            name: step_of(model.head, lambda head=model.head: head.loss((pooled,), targets))
            for name, model in models.items()
        },
        50,
        device,
    )
    steps = times(
        {name: step_of(model, lambda model=model: model.loss(images, targets)) for name, model in models.items()},
        repeats,
        device,
    )
    share = (heads['kmcl'] - heads['asl']) / steps['asl']
    return [*case, steps['asl'], steps['kmcl'], heads['asl'], heads['kmcl'], share]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', type=torch.device, default='cpu', help='cpu or a CUDA device')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmarks'), help='folder of step.csv')
    parser.add_argument('--repeats', type=int, default=3, help='steps of each model that are timed')
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    MMLogger.get_instance('step', log_level='WARNING')
    print(f'torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads')
    print(f'{"":40} whole step, s      head and loss, s   share of KMCL')
    print(f'{"":40}    asl     kmcl       asl     kmcl')
    rows = []
    for case in CASES:
        rows.append(run_case(case, args.repeats, args.device))
        *_, asl_step, kmcl_step, asl_head, kmcl_head, share = rows[-1]
        name = f'{case.config} {case.size} px, {case.images} images'
        print(f'{name:40} {asl_step:6.2f} {kmcl_step:8.2f} {asl_head:9.4f} {kmcl_head:8.4f} {share:14.2%}', flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / 'step.csv').open('w', newline='') as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    print(f'Wrote {args.out / "step.csv"}')


if __name__ == '__main__':
    main()
