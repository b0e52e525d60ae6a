"""The forms on frozen features: with all or a part of the training images, and with single settings changed."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config

from benchmarks.voc07.forms import ABLATIONS, EPOCHS, FORMS, GRID
from benchmarks.voc07.frozen_features import extract_features, feature_settings, train_head
from benchmarks.voc07.runs import Run, kept, options_of, path_of, settings_of
from kmcl_mm.datasets import VOCMultiLabel

# The ablations are trained on a fifth of the images of `train`, about a tenth of all, and evaluated on those of `val`.
ABLATION_SHARE = 0.2


class Part(NamedTuple):
    """Features (N, D) of images, and their targets (N, K): 1, 0 and -1 where the label has difficult objects alone."""

    features: torch.Tensor
    target: torch.Tensor

    def drawn(self, share: float, seed: int) -> 'Part':
        """A share of the images, drawn with a seed."""
        order = np.random.RandomState(seed).permutation(len(self.features))
        chosen = torch.from_numpy(np.sort(order[: round(share * len(order))]))
        return Part(self.features[chosen], self.target[chosen])


class Features(NamedTuple):
    """The parts of PASCAL VOC 2007; ``trainval`` holds the images of ``train`` and ``val``."""

    train: Part
    val: Part
    trainval: Part
    test: Part


def load_features(args: argparse.Namespace) -> Features:
    """Features of all images, computed with the first call."""
    options = options_of(args.data_root, args.checkpoint)
    cfg = FORMS['asymmetric loss, linear'].load(options)
    path = args.work_dir / 'features.npz'
    if not path.is_file():
        extract_features(cfg, path)
    arrays = dict(np.load(path))
    if str(arrays['settings']) != feature_settings(cfg):
        raise ValueError(f'Expected {path} to be of these images and weights, but it is of others. Remove it.')
    trainval, test = (
        Part(torch.from_numpy(arrays[f'{name}_features']), torch.from_numpy(arrays[f'{name}_targets']))
        for name in ('train', 'test')
    )
    paths = {split: _paths(args.data_root, split) for split in ('train', 'trainval')}
    is_train = torch.tensor(np.isin(paths['trainval'], paths['train']))
    train, val = (Part(trainval.features[chosen], trainval.target[chosen]) for chosen in (is_train, ~is_train))
    return Features(train, val, trainval, test)


def _paths(data_root: Path, split: str) -> list[str]:
    dataset = VOCMultiLabel(str(data_root), split=split, pipeline=[])
    return [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]


def choose_schedules(args: argparse.Namespace) -> dict[tuple[float, str], Config]:
    """The configuration of each share and form, with what is best of the grid on the validation images."""
    return {(share, name): choose_schedule(args, share, name) for share in EPOCHS for name in FORMS}


def choose_schedule(args: argparse.Namespace, share: float, name: str) -> Config:
    """The configuration of a form, with what is best of the grid on the validation images.

    Args:
        args: Of the command line.
        share: Share of the training images.
        name: The form's name.

    Returns:
        The configuration.
    """
    features = load_features(args)
    # `train` is half of `trainval`: a share of as many images.
    share_of_train = min(2 * share, 1.0)
    training = features.train.drawn(share_of_train, seed=0)
    results = []
    for rate, decay in GRID:
        cfg = with_schedule(FORMS[name].load(options_of(args.data_root, args.checkpoint)), rate, decay, EPOCHS[share])
        parts = (args.work_dir, 'frozen', 'grid', share, name, f'{rate:g}-{decay:g}')
        run = _run(parts, cfg, training, features.val, seed=0, share=share_of_train)
        results.append((run.mean_average_precision, cfg))
    return max(results, key=lambda result: result[0])[1]


def run_frozen(
    args: argparse.Namespace, chosen: dict[tuple[float, str], Config]
) -> Iterator[tuple[tuple[float, str, int], Run]]:
    """Every form with every share of the training images and every seed, evaluated on the test images.

    Args:
        args: Of the command line.
        chosen: The configuration of each share and form.

    Yields:
        The share, the form's name and the seed; and the run.
    """
    features = load_features(args)
    for (share, name), cfg in chosen.items():
        for seed in args.seeds:
            training = features.trainval.drawn(share, seed)
            parts = (args.work_dir, 'frozen', share, name, seed)
            yield (share, name, seed), _run(parts, cfg, training, features.test, seed, share=share)


def run_ablations(args: argparse.Namespace) -> Iterator[tuple[tuple[str, str, int], Run]]:
    """Every setting changed alone, evaluated on the validation images.

    Yields:
        The group, the setting and the seed; and the run.
    """
    features = load_features(args)
    options = options_of(args.data_root, args.checkpoint)
    for group, forms in ABLATIONS.items():
        for name, form in forms.items():
            cfg = with_schedule(form.load(options), *GRID[0], epochs=EPOCHS[0.1])
            for seed in args.ablation_seeds:
                training = features.train.drawn(ABLATION_SHARE, seed)
                parts = (args.work_dir, 'ablations', group, name, seed)
                yield (group, name, seed), _run(parts, cfg, training, features.val, seed, share=ABLATION_SHARE)


def with_schedule(cfg: Config, rate: float, decay: float, epochs: int) -> Config:
    """The configuration with a learning rate, a weight decay and a number of epochs."""
    cfg.merge_from_dict(
        {
            'param_scheduler.eta_max': rate,
            'param_scheduler.end': epochs,
            'train_cfg.max_epochs': epochs,
            'optim_wrapper.optimizer.lr': rate,
            'optim_wrapper.optimizer.weight_decay': decay,
        }
    )
    return cfg


def _run(parts: tuple[Any, ...], cfg: Config, training: Part, evaluation: Part, seed: int, share: float) -> Run:
    def train() -> Run:
        head = train_head(cfg, training.features, training.target.clamp(min=0), seed)
        with torch.inference_mode():
            scores = head((evaluation.features,)).sigmoid().numpy()
        return Run(scores, evaluation.target.numpy())

    return kept(path_of(*parts, settings=settings_of(cfg, seed=seed, share=share)), Run, train)
