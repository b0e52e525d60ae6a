"""Networks trained end to end by tools/train.py, with all and a tenth of the training images."""

import argparse
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from benchmarks.voc07.runs import Run, kept, options_of, path_of, settings_of
from kmcl_mm.apps.inference import load_classifier, predict
from kmcl_mm.checks import UNKNOWN
from kmcl_mm.config import load_config
from kmcl_mm.evaluation.samples import scores_and_target, stack

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / 'configs'
CONFIGS = {
    'asymmetric loss, linear': FOLDER / 'fine_tuned_asl.py',
    'KMCL, kernels at the features': FOLDER / 'fine_tuned_kmcl_features.py',
    'asymmetric loss, projected': FOLDER / 'fine_tuned_asl_projected.py',
    'KMCL, kernels at the embedding': FOLDER / 'fine_tuned_kmcl_embedding.py',
    'KMCL anisotropic, reference': FOLDER / 'fine_tuned_kmcl.py',
}
# Learning rates: every form is given the best of these, by its mAP on the validation images.
RATES = (3e-4, 1e-3, 3e-3)
# Epochs and seeds for a share of the training images.
EPOCHS = {1.0: 4, 0.1: 12}
SEEDS = {1.0: range(2), 0.1: range(5)}


def choose_rates(args: argparse.Namespace) -> dict[tuple[float, str], float]:
    """The learning rate of each share and form that is best on the validation images."""
    chosen = {}
    for share in args.shares:
        for name in args.forms:
            results = {rate: _run(args, name, share, rate, 0, 'train', 'val').mean_average_precision for rate in RATES}
            chosen[share, name] = max(results, key=results.__getitem__)
    return chosen


def run_fine_tuned(
    args: argparse.Namespace, chosen: dict[tuple[float, str], float]
) -> Iterator[tuple[tuple[float, str, int], Run]]:
    """Every form with each share of the training images and every seed, evaluated on the test images.

    Args:
        args: Of the command line.
        chosen: The learning rate of each share and form.

    Yields:
        The share, the form's name and the seed; and the run.
    """
    for (share, name), rate in chosen.items():
        for seed in SEEDS[share]:
            yield (share, name, seed), _run(args, name, share, rate, seed, 'trainval', 'test')


def _run(args: argparse.Namespace, name: str, share: float, rate: float, seed: int, train: str, test: str) -> Run:
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
    cfg = load_config(CONFIGS[name], options)
    settings = settings_of(cfg, seed=seed, hooks=cfg.custom_hooks, evaluated=cfg.test_dataloader)
    path = path_of(args.work_dir, 'fine_tuned', train, share, name, f'{rate:g}', seed, settings=settings)
    return kept(path, Run, functools.partial(_train_and_evaluate, CONFIGS[name], options, path.with_suffix('')))


def _train_and_evaluate(config: Path, options: dict[str, Any], work_dir: Path) -> Run:
    _train(config, options, work_dir)
    checkpoint = work_dir / f'epoch_{options["train_cfg.max_epochs"]}.pth'
    return _evaluate(load_config(config, options), checkpoint)


def _train(config: Path, options: dict[str, Any], work_dir: Path) -> None:
    """By the tool, as a user would; a training that was cut off goes on."""
    settings = [f'{name}={value}' for name, value in options.items()]
    subprocess.run(
        [sys.executable, 'tools/train.py', config, '--work-dir', work_dir.resolve(), '--resume', '--cfg-options']
        + settings,
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _evaluate(cfg: Config, checkpoint: Path) -> Run:
    """Scores and targets of the test images, by the averaged weights."""
    model, _ = load_classifier(cfg, checkpoint)
    samples: list[dict[str, Any]] = []
    for _, predictions in predict(model, Runner.build_dataloader(cfg.test_dataloader, seed=0)):
        samples += [sample.to_dict() for sample in predictions]
    scores, target = stack([scores_and_target(sample, difficult=UNKNOWN) for sample in samples])
    return Run(scores.numpy().astype(np.float32), target.numpy().astype(np.int8))
