"""Time and memory of KMCL's three losses, forward and backward, against their plain form: python -m benchmarks.loss

Each case runs in a process of its own: this package's losses first, then the plain form of benchmarks/plain.py on the
same numbers. Prints a table with the largest error of this package's values and gradients (each relative to the
tensor's largest number, against the plain form in float64), and writes loss.csv and loss.png to the folder of --out.
Nanoseconds are those of one pair of kernels in one dimension, of the pairs that the losses need. Three minutes on two
cores and 8 GB of memory; --quick leaves the large cases out and takes one.
"""

import argparse
import csv
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.measure import Measurement, measure
from benchmarks.plain import plain_losses
from kmcl_mm.functional import pairwise
from kmcl_mm.models import KMCLLoss


class Case(NamedTuple):
    """Sizes of a batch: N images, K labels, M dimensions, and how many labels an image has on average."""

    covariance: str
    images: int
    labels: int = 80
    dimensions: int = 128
    labels_per_image: float = 2.9

    def __str__(self) -> str:
        return (
            f'{self.covariance:11} N {self.images:3} K {self.labels:3} M {self.dimensions:4} '
            f'{self.labels_per_image:4g} labels an image'
        )


class Result(NamedTuple):
    """What both forms cost, and the largest error of ours; None where the plain form takes too much memory."""

    ours: Measurement
    plain: Measurement | None = None
    error: float | None = None


# MS-COCO has 2.9 labels an image. The last of these is the worst case: every image has every label.
TABLE = [
    Case('anisotropic', 128),
    Case('anisotropic', 32),
    Case('isotropic', 128, dimensions=2048),
    Case('anisotropic', 512),
    Case('anisotropic', 32, labels_per_image=80),
    Case('anisotropic', 128, labels_per_image=80),
]
AGAINST_IMAGES = [Case('anisotropic', images) for images in (8, 16, 32, 64, 128, 256, 512)]
AGAINST_OTHERS = [
    *(Case('anisotropic', 32, labels=labels) for labels in (20, 320)),
    *(Case('anisotropic', 32, dimensions=dimensions) for dimensions in (32, 512)),
    *(Case('isotropic', images, dimensions=2048) for images in (32, 512)),
]
# Pairs of kernels in all dimensions up to which the plain form's memory, some 50 bytes for each, is at hand.
_MOST_PLAIN_PAIRS = 128 * 128 * 80 * 128


def batch(case: Case, device: torch.device) -> tuple[list[Tensor], Tensor]:
    """Embedding, logits, means and variances such as a head in training gives, and targets."""
    generator = torch.Generator().manual_seed(0)
    kernels = (case.images, case.labels)
    if case.covariance == 'anisotropic':
        kernels = (case.images, case.dimensions, case.labels)
    embedding = torch.randn(case.images, case.dimensions, generator=generator)
    logits = torch.randn(case.images, case.labels, generator=generator)
    mean = 0.1 * torch.randn(kernels, generator=generator)
    variance = 1 + torch.rand(kernels, generator=generator)
    target = torch.rand(case.images, case.labels, generator=generator) < case.labels_per_image / case.labels
    inputs = [part.to(device).requires_grad_() for part in (embedding, logits, mean, variance)]
    return inputs, target.float().to(device)


def run_case(case: Case, device_name: str, compile_blocks: bool) -> Result:
    """Measure both forms on one batch; the plain one only if it fits."""
    device = torch.device(device_name)
    if compile_blocks:
        for name in ('_block_distance', '_block_gradients'):
            setattr(pairwise, name, torch.compile(getattr(pairwise, name), dynamic=True))
    ours = KMCLLoss('reference', case.covariance)
    _warm_up(ours, case, device)
    inputs, target = batch(case, device)
    with_ours = measure(lambda: _values_and_gradients(ours, inputs, target), device)
    if _pairs(case) > _MOST_PLAIN_PAIRS:
        return Result(with_ours)
    with_plain = measure(lambda: _values_and_gradients(plain_losses, inputs, target), device)
    if 2 * _pairs(case) > _MOST_PLAIN_PAIRS:
        return Result(with_ours, with_plain)
    return Result(with_ours, with_plain, _error(ours, inputs, target))


def _error(ours: KMCLLoss, inputs: list[Tensor], target: Tensor) -> float:
    exact_inputs = [part.detach().double().requires_grad_() for part in inputs]
    pairs = zip(_values_and_gradients(ours, inputs, target), _values_and_gradients(plain_losses, exact_inputs, target))
    return max(((value - exact).abs().max() / exact.abs().max().clamp(min=1e-30)).item() for value, exact in pairs)


def _warm_up(ours: KMCLLoss, case: Case, device: torch.device) -> None:
    """Bring the process to where a training is: libraries loaded, and an allocator that has seen large tensors."""
    torch.ones(2**23 - 2**12, device=device)
    inputs, target = batch(case._replace(images=4), device)
    for losses in (ours, plain_losses):
        _values_and_gradients(losses, inputs, target)


def _pairs(case: Case) -> int:
    return case.images**2 * case.labels * (case.dimensions if case.covariance == 'anisotropic' else 1)


def _values_and_gradients(losses, inputs: list[Tensor], target: Tensor) -> list[Tensor]:
    values = losses(*inputs, target)
    gradients = torch.autograd.grad(sum(values.values()), inputs)
    return [*(value.detach() for value in values.values()), *gradients]


def run_all(cases: list[Case], device: str, compile_blocks: bool) -> dict[Case, Result]:
    """Results by case, each from a fresh process, printed as they come. Memory below a megabyte counts as one."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['benchmarks.plain', 'kmcl_mm.models'])
    results = {}
    print(f'{"":50}{"seconds":>12}{"":19}{"megabytes more":>20}')
    print(
        f'{"forward and backward of the three losses":50}{"plain":>8}{"ours":>9}{"ratio":>7}{"ns":>7}'
        f'{"plain":>9}{"ours":>8}{"ratio":>7}{"error":>8}'
    )
    for case in cases:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            results[case] = pool.submit(run_case, case, device, compile_blocks).result()
        print(_row(case, results[case]), flush=True)
    return results


def _row(case: Case, result: Result) -> str:
    ours, plain, error = result
    own_pairs = case.images**2 * case.labels_per_image * (_pairs(case) // (case.images**2 * case.labels))
    nanoseconds = 1e9 * ours.seconds / own_pairs
    if plain is None:
        return f'{case!s:50}{"":8}{ours.seconds:9.4f}{"":7}{nanoseconds:7.1f}{"":9}{ours.megabytes:8.1f}'
    return (
        f'{case!s:50}{plain.seconds:8.3f}{ours.seconds:9.4f}{plain.seconds / ours.seconds:7.1f}{nanoseconds:7.1f}'
        f'{plain.megabytes:9.1f}{ours.megabytes:8.1f}{plain.megabytes / max(ours.megabytes, 1):7.1f}'
        + (f'{error:8.0e}' if error is not None else '')
    )


def write_csv(results: dict[Case, Result], path: Path) -> None:
    """One row a case and form."""
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow([*Case._fields, 'form', *Measurement._fields])
        for case, result in results.items():
            for form in ('ours', 'plain'):
                measurement = getattr(result, form)
                if measurement is not None:
                    writer.writerow([*case, form, *measurement])


def draw(results: dict[Case, Result], path: Path) -> None:
    """Time and memory of both forms against the number of images."""
    figure = Figure(figsize=(10, 4), layout='constrained')
    for axis, quantity, label in zip(
        figure.subplots(1, 2), Measurement._fields, ('seconds', 'megabytes above the inputs')
    ):
        for form, name in (('plain', 'plain form'), ('ours', 'kmcl_mm')):
            points = [
                (case.images, getattr(getattr(results[case], form), quantity))
                for case in AGAINST_IMAGES
                if case in results and getattr(results[case], form)
            ]
            axis.loglog(*zip(*points), 'o-', label=name, base=2)
        axis.set_xlabel('images in the batch')
        axis.set_ylabel(label)
        axis.set_yscale('log', base=10)
        axis.set_xticks([case.images for case in AGAINST_IMAGES], labels=[str(case.images) for case in AGAINST_IMAGES])
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(
        'The three losses, forward and backward: anisotropic, 80 labels, 128 dimensions, 2.9 labels an image'
    )
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cpu', help='cpu or a CUDA device')
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/benchmarks'), help='folder of loss.csv and loss.png'
    )
    parser.add_argument('--quick', action='store_true', help='leave out the cases of more than 64 images')
    parser.add_argument(
        '--compile-blocks', action='store_true', help='compile the two functions of a block, which takes half a minute'
    )
    args = parser.parse_args()
    cases = list(dict.fromkeys([*TABLE, *AGAINST_IMAGES, *AGAINST_OTHERS]))
    if args.quick:
        cases = [case for case in cases if case.images <= 64]
    print(f'torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads')
    results = run_all(cases, args.device, args.compile_blocks)
    args.out.mkdir(parents=True, exist_ok=True)
    write_csv(results, args.out / 'loss.csv')
    draw(results, args.out / 'loss.png')
    print(f'Wrote {args.out / "loss.csv"} and {args.out / "loss.png"}')


if __name__ == '__main__':
    main()
