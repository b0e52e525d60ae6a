"""What calibration and the votes of training images bring to heads on frozen features.

Numbers of neighbours, temperatures, slopes and biases are fitted on the images of `val` with a head that was trained on
those of `train`, and taken over for one that was trained on `trainval`, whose images then vote. So nothing is fitted on
images that train or test.
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from benchmarks.voc07.frozen import Features, Part, choose_schedule, load_features
from benchmarks.voc07.frozen_features import train_head
from benchmarks.voc07.runs import Run, kept, path_of, settings_of
from kmcl_mm.apps.calibration.described_images import DescribedImages
from kmcl_mm.apps.calibration.prediction_rule import PredictionRule, Wanted, fit_rule, take_over
from kmcl_mm.modules.calibration import descriptions_of

SHARES = (1.0, 0.1)
NAMES = ('asymmetric loss, linear', 'KMCL anisotropic, exact', 'KMCL, kernels at the embedding')
PLAIN = PredictionRule(None, None, topk=1)


class Scores(NamedTuple):
    """Scores of the test images (N, K): as the head gives them, calibrated, and with the votes of training images."""

    plain: np.ndarray
    calibrated: np.ndarray
    voted: np.ndarray


@torch.inference_mode()
def described(head: nn.Module, part: Part) -> DescribedImages:
    """Images as a head describes them."""
    features = (part.features,)
    logits = head(features)
    unknown_as_absent = part.target.clamp(min=0)
    numbers = range(len(logits))
    return DescribedImages(
        descriptions_of(head, features, logits), logits, part.target, unknown_as_absent, [*map(str, numbers)], numbers
    )


def run_memory(args: argparse.Namespace) -> Iterator[tuple[tuple[float, str, str, int], Run]]:
    """Every form with all and a tenth of the training images and every seed, evaluated on the test images.

    Args:
        args: Of the command line.

    Yields:
        The share, the form's name, the name of the scores and the seed; and the run.
    """
    features = load_features(args)
    target = features.test.target.numpy()
    for share in SHARES:
        for name in NAMES:
            cfg = choose_schedule(args, share, name)
            for seed in args.seeds:
                path = path_of(
                    args.work_dir, 'memory', share, name, seed, settings=settings_of(cfg, seed=seed, share=share)
                )
                scores = kept(path, Scores, lambda cfg=cfg, share=share, seed=seed: _fit(cfg, features, share, seed))
                for kind, values in scores._asdict().items():
                    yield (share, name, kind, seed), Run(values, target)


def _fit(cfg: Config, features: Features, share: float, seed: int) -> Scores:
    # As many images train the head with which is fitted as train the one that is tested, as far as there are so many.
    first, last = features.train.drawn(min(2 * share, 1.0), seed), features.trainval.drawn(share, seed)
    heads = [train_head(cfg, part.features, part.target.clamp(min=0), seed) for part in (first, last)]
    voters = [described(head, part) for head, part in zip(heads, (first, last))]
    validation, test = described(heads[0], features.val), described(heads[1], features.test)
    rules = [PLAIN]
    for parts, (fitted_with, tested_with) in ((('calibration',), (None, None)), (('memory', 'calibration'), voters)):
        wanted = Wanted(parts)
        other = fit_rule(wanted, PLAIN, fitted_with, validation)
        rules.append(take_over(wanted, PLAIN, tested_with, other))
    return Scores(*(rule.judge(test).scores for rule in rules))
