"""KMCL's share of a whole training step: python -m benchmarks.step

Two models that differ in nothing but the head, KMCL's and the linear one of the asymmetric loss alone, take training
steps in turn: forward, backward and Adam. Whole steps vary by more than KMCL takes, so its share is also measured by
itself: the time of its losses, forward and backward, less that of the asymmetric loss; and the same with the heads and
their update. Prints a table and writes step.csv to the folder of --out. Five minutes on two cores.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel, BaseModule
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

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
PARTS = ('step', 'head', 'losses')
COLUMNS = [*Case._fields, *(f'{name}_{part}' for part in PARTS for name in HEADS)]


def build(config: str, head: str) -> BaseModel:
    """A configuration's network with the head of 'asl' or 'kmcl', without pretrained weights."""
    model = kmcl_mm.get_config(config).model
    model.backbone.pretrained = False
    model.head = kmcl_mm.get_config(HEADS[head]).model.head
    model = MODELS.build(model)
    model.init_weights()
    return model.train()


def samples(images: int, labels: int, device: torch.device) -> list[DataSample]:
    """Targets with 2.9 labels an image on average, as MS-COCO has."""
    target = (torch.rand(images, labels, generator=torch.Generator().manual_seed(0)) < 2.9 / labels).float()
    return [DataSample().set_gt_score(row) for row in target.to(device)]


def step_of(module: BaseModule, losses: Callable[[], dict]) -> Callable[[], None]:
    """A training step: forward, backward and Adam."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        sum(losses().values()).backward()
        optimizer.step()

    return step


def times(steps: dict[str, Callable[[], None]], repeats: int, device: torch.device) -> dict[str, float]:
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


def losses_of(head: BaseModule, pooled: Tensor, target: Tensor) -> Callable[[], None]:
    """The losses by themselves, forward and backward, on what the head makes of the features."""
    parts = head.mixture((pooled,)) if hasattr(head, 'mixture') else [head((pooled,))]
    parts = [part.detach().requires_grad_() for part in parts]

    def losses() -> None:
        values = head.loss_module(*parts, target)
        total = sum(values.values()) if isinstance(values, dict) else values
        torch.autograd.grad(total, parts)

    return losses


def run_case(case: Case, repeats: int, device: torch.device) -> dict[str, float]:
    """Seconds of each part."""
    torch.manual_seed(0)
    models = {name: build(case.config, name).to(device) for name in HEADS}
    images = torch.randn(case.images, 3, case.size, case.size, device=device)
    targets = samples(case.images, models['kmcl'].head.num_classes, device)
    pooled = torch.rand(case.images, models['kmcl'].head.in_channels, device=device, requires_grad=True)
    whole, parts = {}, {}
    for name, model in models.items():
        whole[f'{name}_step'] = step_of(model, lambda model=model: model.loss(images, targets))
        parts[f'{name}_head'] = step_of(model.head, lambda head=model.head: head.loss((pooled,), targets))
        parts[f'{name}_losses'] = losses_of(model.head, pooled, torch.stack([sample.gt_score for sample in targets]))
    return {**times(whole, repeats, device), **times(parts, 50, device)}


def share(seconds: dict[str, float], part: str) -> float:
    """What KMCL's part takes above that of the asymmetric loss alone, of the latter's step."""
    return (seconds[f'kmcl_{part}'] - seconds[f'asl_{part}']) / seconds['asl_step']


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', type=torch.device, default='cpu', help='cpu or a CUDA device')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmarks'), help='folder of step.csv')
    parser.add_argument('--repeats', type=int, default=3, help='steps of each model that are timed')
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    MMLogger.get_instance('step', log_level='WARNING')
    print(f'torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads')
    print(f'{"":40}{"step, s":>16}{"head, ms":>18}{"losses, ms":>18}{"share of KMCL":>20}')
    print(f'{"":40}{"asl":>8}{"kmcl":>8}{"asl":>9}{"kmcl":>9}{"asl":>9}{"kmcl":>9}{"losses":>10}{"with head":>10}')
    rows = []
    for case in CASES:
        seconds = run_case(case, args.repeats, args.device)
        rows.append([*case, *(seconds[column] for column in COLUMNS[len(case) :])])
        parts = ''.join(f'{1e3 * seconds[f"{name}_{part}"]:9.1f}' for part in PARTS[1:] for name in HEADS)
        print(
            f'{f"{case.config} {case.size} px, {case.images} images":40}'
            f'{seconds["asl_step"]:8.2f}{seconds["kmcl_step"]:8.2f}{parts}'
            f'{share(seconds, "losses"):10.2%}{share(seconds, "head"):10.2%}',
            flush=True,
        )
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / 'step.csv').open('w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    print(f'Wrote {args.out / "step.csv"}')


if __name__ == '__main__':
    main()
