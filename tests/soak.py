"""Train the demo for many steps and watch what could grow.

python -m tests.soak --steps 2000 prints memory, open files and processes of the training at intervals: the resident
memory of the training itself and the private memory of its data workers, in MiB, and how many workers there are.
"""

import argparse
import os
import tempfile
from pathlib import Path

import torch
from mmengine.hooks import Hook

from kmcl_mm.engine import KMCLRunner
from tests.kill_training import short_config

_SCENES, _BATCH_SIZE = 800, 8


class Watch(Hook):
    """Measure after every so many iterations.

    Args:
        interval: Number of iterations.
        rows: List to which the measurements are added.
    """

    def __init__(self, interval: int, rows: list[dict[str, float]]) -> None:
        self.interval = interval
        self.rows = rows

    def after_train_iter(self, runner, **_) -> None:
        """Measure, at the interval."""
        if (runner.iter + 1) % self.interval == 0:
            row = dict(step=runner.iter + 1, **measure(os.getpid()))
            self.rows.append(row)
            print(''.join(f'{value:>12.0f}' for value in row.values()), flush=True)


def measure(process: int) -> dict[str, float]:
    """Memory in MiB, open files and workers of a process."""
    workers = [int(child) for child in Path(f'/proc/{process}/task/{process}/children').read_text().split()]
    return dict(
        memory=_mebibytes(process, 'smaps_rollup', 'Rss'),
        worker_memory=sum(
            _mebibytes(worker, 'smaps_rollup', f'Private_{kind}') for worker in workers for kind in ('Clean', 'Dirty')
        ),
        open_files=len(os.listdir(f'/proc/{process}/fd')),
        workers=len(workers),
    )


def _mebibytes(process: int, file: str, entry: str) -> float:
    lines = Path(f'/proc/{process}/{file}').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f'{entry}:')) / 1024


def soak(steps: int, interval: int, work_dir: Path, workers: int = 2) -> list[dict[str, float]]:
    """Train and measure; each hundred steps are an epoch with a validation and a checkpoint."""
    torch.set_num_threads(1)
    epochs = max(steps * _BATCH_SIZE // _SCENES, 1)
    cfg = short_config(work_dir, workers, scenes=_SCENES, epochs=epochs)
    cfg.val_dataloader.dataset.num_scenes = 100
    cfg.log_level, cfg.default_hooks.logger.interval = 'WARNING', 50
    rows: list[dict[str, float]] = []
    runner = KMCLRunner.from_cfg(cfg)
    runner.register_hook(Watch(interval, rows))
    runner.train()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--steps', type=int, default=2000)
    parser.add_argument('--interval', type=int, default=200)
    parser.add_argument('--workers', type=int, default=2)
    args = parser.parse_args()
    print(''.join(f'{name:>12}' for name in ('step', 'MiB', 'workers MiB', 'open files', 'workers')))
    with tempfile.TemporaryDirectory() as folder:
        soak(args.steps, args.interval, Path(folder, 'run'), args.workers)


if __name__ == '__main__':
    main()
