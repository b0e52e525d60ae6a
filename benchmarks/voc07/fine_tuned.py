"""Networks trained end to end by tools/train.py, with all and a tenth of the training images."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from benchmarks.voc07.runs import Run, file_name, kept, options_of, settings_of
from benchmarks.voc07.statistics import mean_average_precision
from kmcl_mm.config import load_config
from kmcl_mm.evaluation.samples import scores_and_target, stack
from kmcl_mm.functional.checks import UNKNOWN
from kmcl_mm.inference import load_classifier, predict

ROOT = Path(__file__).parents[2]
CONFIGS = {
    'asymmetric loss, linear': 'fine_tuned_asl.py',
    'KMCL, kernels at the features': 'fine_tuned_kmcl_features.py',
    'asymmetric loss, projected': 'fine_tuned_asl_projected.py',
    'KMCL, kernels at the embedding': 'fine_tuned_kmcl_embedding.py',
    'KMCL anisotropic, reference': 'fine_tuned_kmcl.py',
}
# Learning rates: every form is given the best of these, by its mAP on the validation images.
RATES = (3e-4, 1e-3)
# Epochs for a share of the training images.
EPOCHS = {0.1: 12, 1.0: 4}


def run_fine_tuned(args: argparse.Namespace) -> Iterator[Tuple[Tuple[float, str, int], Run]]:
    """Every form with each share of the training images and every seed, evaluated on the test images.

    Yields:
        The share, the form's name and the seed; and the run.
    """
    for share in args.shares:
        for name in CONFIGS:
            rate = best_rate(args, share, name)
            for seed in args.fine_tuned_seeds:
                yield (share, name, seed), _run(args, name, share, rate, seed, 'trainval', 'test')


def best_rate(args: argparse.Namespace, share: float, name: str) -> float:
    """The learning rate with which the form is best on the validation images."""
    runs = {rate: _run(args, name, share, rate, 0, 'train', 'val') for rate in RATES}
    return max(RATES, key=lambda rate: mean_average_precision(runs[rate]))


def _run(args: argparse.Namespace, name: str, share: float, rate: float, seed: int, train: str, test: str) -> Run:
    config = Path(__file__).parent / 'configs' / CONFIGS[name]
    options = {
        **options_of(args.data_root, args.checkpoint),
        'train_dataloader.dataset.split': train,
        # `train` is half of `trainval`: a share of as many images.
        'train_dataloader.dataset.fraction': min(share if train == 'trainval' else 2 * share, 1.0),
        'train_dataloader.dataset.fraction_seed': seed,
        'test_dataloader.dataset.split': test,
        'train_cfg.max_epochs': EPOCHS[share],
        'param_scheduler.end': EPOCHS[share],
        'param_scheduler.eta_max': rate,
        'randomness.seed': seed,
    }
    cfg = load_config(config, options)
    path = args.work_dir / 'fine_tuned' / file_name(train, share, name, f'{rate:g}', seed)

    def run() -> Run:
        work_dir = path.with_suffix('')
        _train(config, options, work_dir)
        return Run(*_evaluate(cfg, work_dir / f'epoch_{EPOCHS[share]}.pth'), _seconds_a_step(work_dir))

    return kept(path, settings_of(cfg, seed=seed, test=test), run)


def _train(config: Path, options: Dict[str, Any], work_dir: Path) -> None:
    """By the tool, as a user would; a training that was cut off goes on."""
    settings = [f'{name}={value}' for name, value in options.items()]
    subprocess.run(
        [sys.executable, 'tools/train.py', config, '--work-dir', work_dir.resolve(), '--resume', '--cfg-options']
        + settings,
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _evaluate(cfg: Config, checkpoint: Path) -> Tuple[np.ndarray, np.ndarray]:
    """Scores and targets of the test images, by the averaged weights."""
    model, _ = load_classifier(cfg, checkpoint)
    samples: List[Dict[str, Any]] = []
    for _, predictions in predict(model, Runner.build_dataloader(cfg.test_dataloader, seed=0)):
        samples += [sample.to_dict() for sample in predictions]
    scores, target = stack([scores_and_target(sample, difficult=UNKNOWN) for sample in samples])
    return scores.numpy().astype(np.float32), target.numpy().astype(np.int8)


def _seconds_a_step(work_dir: Path) -> float:
    """Median over what the training logged."""
    lines = [line for path in work_dir.glob('*/vis_data/scalars.json') for line in path.read_text().splitlines()]
    return median(entry['time'] for entry in map(json.loads, lines) if 'loss' in entry)
