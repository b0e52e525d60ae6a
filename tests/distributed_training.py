"""The same small training on any number of processes, and how far its results are apart.

python -m tests.distributed_training prints the largest differences between one process with the whole batch and
several with a part each: of the losses of the first batch, the parameters' gradients there, the parameters after all
batches and their moving averages.
"""

import itertools
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.model import ExponentialMovingAverage, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import Tensor, distributed, nn

from kmcl_mm.engine.runner import leave_process_group
from kmcl_mm.models import KMCLHead

CHANNELS, LABELS = 6, 5


class Case(NamedTuple):
    """A training; batches are the numbers of images, of all processes together, of each step."""

    covariance: str
    variant: str
    dtype: torch.dtype
    accumulate: int = 1
    batches: tuple = (12, 12, 12, 7)
    optimizer: str = 'SGD'
    gather_distributed: bool = True
    contrastive_weight: float = 1.0

    def __str__(self) -> str:
        return (
            f'{self.covariance:11} {self.variant:9} {str(self.dtype).removeprefix("torch."):7} {self.optimizer:4} '
            f'accumulate {self.accumulate}, images {", ".join(map(str, self.batches))}'
            f'{"" if self.contrastive_weight else ", no contrast"}'
        )


# The last batch cannot be divided evenly by 2 or 3.
UNEVEN = [
    Case(*settings)
    for settings in itertools.product(
        ('isotropic', 'anisotropic'), ('reference', 'exact'), (torch.float64, torch.float32), (1, 2)
    )
]
UNEVEN += [case._replace(contrastive_weight=0.0) for case in UNEVEN if case.variant == 'exact' and case.accumulate == 1]
# One GPU with 64 images, two with 32 or four with 16.
BALANCE = [
    Case('anisotropic', variant, torch.float64, batches=(64,) * 4, optimizer='Adam')
    for variant in ('reference', 'exact')
]


class Model(nn.Module):
    """A head on given features, whose losses are what it returns."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        torch.manual_seed(0)
        loss = dict(type='KMCLLoss', variant=case.variant, asl_batch_size=16)
        loss.update(gather_distributed=case.gather_distributed, contrastive_weight=case.contrastive_weight)
        self.head = KMCLHead(LABELS, CHANNELS, case.covariance, embedding_channels=4, loss=loss, init_cfg=[])
        self.to(case.dtype)

    def forward(self, features: Tensor, target: Tensor) -> dict[str, Tensor]:
        return self.head.loss_module(*self.head.mixture((features,)), target)


def data(case: Case) -> list[tuple]:
    """Features and targets of each step; some images have no label."""
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(images, CHANNELS, generator=generator, dtype=torch.float64).to(case.dtype),
            (torch.rand(images, LABELS, generator=generator) < 0.3).to(case.dtype),
        )
        for images in case.batches
    ]


def train(case: Case, rank: int, processes: int) -> dict[str, Tensor]:
    """Train one process's part. Losses are averaged over the processes, as DDP averages gradients."""
    model = Model(case)
    network = MMDistributedDataParallel(model) if processes > 1 else model
    average = ExponentialMovingAverage(model, momentum=0.1)
    kind = getattr(torch.optim, case.optimizer)
    optimizer = OptimWrapper(
        kind(model.parameters(), lr=0.1 if case.optimizer == 'SGD' else 0.01), accumulative_counts=case.accumulate
    )
    optimizer.initialize_count_status(model, 0, len(case.batches))
    results = {}
    for step, (features, target) in enumerate(data(case)):
        own = slice(*(len(target) * part // processes for part in (rank, rank + 1)))
        with optimizer.optim_context(network):
            losses = network(features[own], target[own])
            loss = sum(losses.values())
        optimizer.backward(optimizer.scale_loss(loss))
        if step == 0:
            values = torch.stack([value.detach() for value in losses.values()])
            if processes > 1:
                distributed.all_reduce(values)
            results['losses'] = values / processes
        if step == case.accumulate - 1:
            results.update((f'gradient of {name}', part.grad.clone()) for name, part in model.named_parameters())
        if optimizer.should_update():
            optimizer.step()
            optimizer.zero_grad()
            average.update_parameters(model)
    results.update((f'trained {name}', part.detach()) for name, part in model.named_parameters())
    results.update((f'average of {name}', part.detach()) for name, part in average.module.named_parameters())
    return results


def _process(rank: int, processes: int, cases: list[Case], folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=processes)
    results = [train(case, rank, processes) for case in cases]
    torch.save(results, folder / f'{rank}.pt')
    leave_process_group()


def train_together(cases: list[Case], processes: int) -> list[list[dict[str, Tensor]]]:
    """The results of each process, case by case."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_process, args=(processes, cases, Path(folder)), nprocs=processes)
        return [torch.load(Path(folder, f'{rank}.pt')) for rank in range(processes)]


def differences(case: Case, results: dict[str, Tensor]) -> dict[str, float]:
    """Largest differences to one process, relative to the largest number of each tensor, by what it is of."""
    found = {}
    for name, expected in train(case, 0, 1).items():
        difference = (results[name] - expected).abs().max() / expected.abs().max().clamp(min=1e-30)
        kind = name.split()[0]
        found[kind] = max(found.get(kind, 0.0), difference.item())
    return found


def main() -> None:
    for processes, cases in ((2, UNEVEN + BALANCE), (3, UNEVEN), (4, BALANCE)):
        results = train_together(cases, processes)[0]
        for case, result in zip(cases, results):
            found = ', '.join(f'{name} {value:.0e}' for name, value in differences(case, result).items())
            print(f'{processes} processes {case!s:78} {found}')


if __name__ == '__main__':
    main()
