"""Kill a short training at random times, resume it, and compare what it ends with.

python -m tests.kill_training --kills 20 trains the demo's recipe on a small network and augmented scenes, once without
a disturbance and then once for each kill. It prints a row for each: what was killed and when, and whether the weights,
the averaged weights, the optimiser, the schedule, the log and the best checkpoint are equal bit for bit at the end.
--processes 2 trains on two processes under torchrun, which restarts them.

A kill is SIGKILL: of the training; of the training while it writes a checkpoint; or of one of its data workers.
"""

import argparse
import importlib
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

import kmcl_mm
from kmcl_mm.engine import KMCLRunner
from tests.conftest import ROOT

# A copy of a process that has imported everything, and computed nothing, begins at once.
_CONTEXT = multiprocessing.get_context('forkserver')
_CONTEXT.set_forkserver_preload(['kmcl_mm', 'tests.engine.die_hook'])

KINDS = ('training', 'while writing', 'data worker')
EPOCHS = 4
# torch's name of a data worker.
WORKER_NAME = 'pt_data_worker'
# What differs from one run to the next: the clock, the machine and the folder.
_NOT_COMPARED = re.compile(r'time|memory|eta|best_ckpt|last_ckpt|cfg')


def short_config(work_dir: Path, workers: int = 2, scenes: int = 96, epochs: int = EPOCHS, **settings) -> Config:
    """The demo on fewer scenes with timm's smallest network, drop path and the recipe's augmentation."""
    cfg = kmcl_mm.get_config('kmcl_tresnet_m_digits')
    cfg.model.backbone = dict(type='TIMMBackbone', model_name='test_resnet', pretrained=False, drop_path_rate=0.2)
    cfg.merge_from_dict(
        {
            'model.head.in_channels': 96,
            'default_hooks.logger.interval': 1,
            'train_cfg.max_epochs': epochs,
            'train_cfg.val_interval': 1,
            'param_scheduler.end': epochs,
            'train_dataloader.batch_size': 8,
            'train_dataloader.dataset.pipeline': [
                dict(type='RandomColorCutout', ratio=0.5),
                dict(type='UDARandAugment'),
                dict(type='PackInputs'),
            ],
        }
    )
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=workers, persistent_workers=workers > 0)
        loader.dataset.num_scenes = scenes
    cfg.merge_from_dict(settings)
    # MMEngine keeps the logs of the process by this name.
    cfg.work_dir, cfg.experiment_name = str(work_dir), '_'.join(work_dir.parts[1:])
    return cfg


def train(cfg: Config, resume: bool = False) -> None:
    """Train in this process."""
    torch.set_num_threads(1)
    cfg.resume = resume
    KMCLRunner.from_cfg(cfg).train()


def start(cfg: Config, resume: bool = False) -> BaseProcess:
    """Train in a process of its own, whose output goes to a file."""
    Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
    process = _CONTEXT.Process(target=_train_alone, args=(cfg, resume))
    process.start()
    return process


def _train_alone(cfg: Config, resume: bool) -> None:
    importlib.import_module('tests.engine.die_hook')
    # To the end of the process: what is printed by others goes there too.
    sys.stdout = sys.stderr = output = Path(cfg.work_dir, 'output.txt').open('a', buffering=1)
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    train(cfg, resume)


def finish(process: BaseProcess, seconds: float = 600) -> int:
    """Wait for a process; returns its status, negative where a signal ended it. One that hangs is ended."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        raise RuntimeError(f'The training did not end within {seconds} s.')
    return process.exitcode


def kill(process: BaseProcess, kind: str, delay: float, work_dir: Path) -> float | None:
    """Kill a training or its worker after a delay; returns when, or None if it was over before."""
    begun = time.monotonic()
    while process.is_alive():
        if time.monotonic() - begun >= delay:
            victim = _victim(process.pid, kind, work_dir)
            if victim is not None:
                os.kill(victim, signal.SIGKILL)
                return time.monotonic() - begun
        time.sleep(0.0005 if kind == 'while writing' else 0.005)
    return None


def _victim(process: int, kind: str, work_dir: Path) -> int | None:
    if kind == 'training' or (kind == 'while writing' and any(work_dir.glob('.unfinished_*.pth'))):
        return process
    if kind == 'data worker':
        children = Path(f'/proc/{process}/task/{process}/children').read_text().split()
        return next((int(child) for child in children if _name(child) == WORKER_NAME), None)
    return None


def _name(process: str) -> str:
    try:
        return Path(f'/proc/{process}/comm').read_text().strip()
    except OSError:
        return ''


def results(work_dir: Path, epochs: int = EPOCHS) -> dict[str, Any]:
    """What a training ended with, as a flat dict of tensors and values."""
    flat: dict[str, Any] = {}
    _flatten('last', _load(work_dir / f'epoch_{epochs}.pth'), flat)
    for path in work_dir.glob('best_*.pth'):
        _flatten(path.name, _load(path)['state_dict'], flat)
    names = {path.name for path in work_dir.iterdir() if path.is_file() and path.name != 'output.txt'}
    return dict(flat, files=sorted(name for name in names if not name.endswith('.py')))


def _load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=False, map_location='cpu')


def _flatten(name: str, value: Any, flat: dict[str, Any]) -> None:
    if _NOT_COMPARED.search(name) or name.endswith('experiment_name'):
        return
    if isinstance(value, HistoryBuffer):
        flat[name] = torch.from_numpy(value.data[0].copy())
    elif isinstance(value, dict):
        for key, part in value.items():
            _flatten(f'{name}.{key}', part, flat)
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            _flatten(f'{name}.{index}', part, flat)
    elif isinstance(value, torch.Tensor) or value is None or isinstance(value, (int, float, str, bool)):
        flat[name] = value


def differences(expected: dict[str, Any], got: dict[str, Any]) -> list[str]:
    """Names of what is not equal bit for bit."""
    return [name for name in {**expected, **got} if not _equal(expected.get(name), got.get(name))]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and one.equal(other)
    return type(one) is type(other) and one == other


def kill_and_resume(cfg: Config, kind: str, delay: float) -> dict[str, Any]:
    """A row of the table: when the training was killed, what was there then, and the results after resuming."""
    work_dir, epochs = Path(cfg.work_dir), cfg.train_cfg.max_epochs
    process = start(cfg)
    when = kill(process, kind, delay, work_dir)
    status = finish(process)
    there = sorted(path.name for path in work_dir.glob('epoch_*.pth'))
    if finish(start(cfg, resume=True)):
        raise RuntimeError((work_dir / 'output.txt').read_text()[-3000:])
    return dict(kind=kind, when=when, status=status, there=there, results=results(work_dir, epochs))


def run_distributed(cfg: Config, delays: list[float], port: int) -> int:
    """Train on two processes under torchrun and kill one of them after each delay; returns how many were killed."""
    work_dir = Path(cfg.work_dir)
    work_dir.mkdir(parents=True)
    cfg.dump(work_dir / 'config.py')
    command = ['tools/dist_train.sh', work_dir / 'config.py', 2, '--work-dir', work_dir, '--resume']
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ['PATH']))
    environment = dict(os.environ, PATH=path, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', PORT=str(port))
    environment.update(MAX_RESTARTS=str(len(delays)))
    kills = 0
    with (work_dir / 'output.txt').open('w') as output:
        launcher = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        for delay in delays:
            with_deadline = time.monotonic() + delay
            while time.monotonic() < with_deadline and launcher.poll() is None:
                time.sleep(0.05)
            children = Path(f'/proc/{launcher.pid}/task/{launcher.pid}/children')
            if launcher.poll() is None and (processes := children.read_text().split()):
                os.kill(int(processes[kills % len(processes)]), signal.SIGKILL)
                kills += 1
        if launcher.wait():
            raise RuntimeError((work_dir / 'output.txt').read_text()[-3000:])
    return kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--seed', type=int, default=0, help='seed of the times of the kills')
    parser.add_argument('--processes', type=int, choices=(1, 2), default=1)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        if args.processes == 2:
            _print_distributed(args, draw, Path(folder))
            return
        begun = time.monotonic()
        if finish(start(short_config(Path(folder, 'whole'), args.workers))):
            raise SystemExit(Path(folder, 'whole/output.txt').read_text()[-3000:])
        duration = time.monotonic() - begun
        expected = results(Path(folder, 'whole'))
        print(f'undisturbed: {duration:.1f} s, {EPOCHS} epochs, {len(expected)} tensors and values compared')
        print(f'{"killed":14} {"after":>7}  {"exit":>4}  {"checkpoints there":24} equal')
        different = 0
        for number in range(args.kills):
            kind = KINDS[0] if number % 2 == 0 else KINDS[1 + number // 2 % (2 if args.workers else 1)]
            cfg = short_config(Path(folder, f'killed_{number}'), args.workers)
            row = kill_and_resume(cfg, kind, draw.uniform(0, duration * 0.95))
            wrong = differences(expected, row['results'])
            different += bool(wrong)
            when = 'too late' if row['when'] is None else f'{row["when"]:.2f} s'
            there = ', '.join(row['there']) or 'none'
            equal = f'no: {", ".join(wrong[:3])}' if wrong else 'yes'
            print(f'{kind:14} {when:>8} {row["status"]:>5}  {there:24} {equal}', flush=True)
        print(f'{args.kills - different} of {args.kills} equal')


def _print_distributed(args: argparse.Namespace, draw: random.Random, folder: Path) -> None:
    cfg = short_config(folder / 'whole', args.workers, scenes=384)
    begun = time.monotonic()
    run_distributed(cfg, [], port=29641)
    duration = time.monotonic() - begun
    expected = results(folder / 'whole')
    print(f'two processes, undisturbed: {duration:.1f} s, {len(expected)} tensors and values compared')
    for number in range(args.kills):
        delay = draw.uniform(0, duration)
        cfg = short_config(folder / f'killed_{number}', args.workers, scenes=384)
        kills = run_distributed(cfg, [delay], port=29642 + number)
        wrong = differences(expected, results(folder / f'killed_{number}'))
        print(
            f'{kills} killed after {delay:.1f} s, equal: {"no: " + ", ".join(wrong[:3]) if wrong else "yes"}',
            flush=True,
        )


if __name__ == '__main__':
    main()
