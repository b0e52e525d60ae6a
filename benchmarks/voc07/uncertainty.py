"""How well the uncertainties of a prediction rank its mistakes on VOC 2007: python -m benchmarks.voc07.uncertainty

Heads are trained on four fifths of the training images, by benchmarks/voc07/frozen_features.py, whose features are
taken. Thresholds are fitted on the last fifth. A test image is a mistake if the set of its predicted labels is not that
of its labels; difficult ones count neither way. For each uncertainty the area under the ROC curve (AUROC) is that of
telling mistakes from other images: 0.5 by chance. Prints the mean over seeds, with an interval that holds for 95 % of
resamplings of the test images, and the share of mistakes in the fifths with the lowest and with the highest
uncertainty. Ten minutes on two cores.

    python -m benchmarks.voc07.uncertainty configs/kmcl_efficientnet-lite0_voc07.py --features FOLDER/features.npz
"""

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from mmengine.logging import MMLogger
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from benchmarks.voc07.frozen_features import config_with_head_options, train_head
from kmcl_mm.apps.inference.decision_rule import indecision
from kmcl_mm.functional.responsibility import responsibility_entropy
from kmcl_mm.functional.thresholds import fit_thresholds

FORMS = [(covariance, variant) for covariance in ('anisotropic', 'isotropic') for variant in ('reference', 'exact')]
RESAMPLINGS = 200


class Result(NamedTuple):
    """Test images of one head: which are mistakes (N,), and their uncertainties by name (N,)."""

    mistakes: np.ndarray
    uncertainties: dict[str, np.ndarray]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='the configuration of the head')
    parser.add_argument('--features', type=Path, required=True, help='features.npz of frozen_features.py')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    return parser.parse_args()


def entropy_of_scores(logits: Tensor) -> Tensor:
    """Mean over the labels of the binary entropy of their scores (N,)."""
    scores = logits.sigmoid()
    return -(scores * logsigmoid(logits) + (1 - scores) * logsigmoid(-logits)).mean(dim=1)


@torch.inference_mode()
def evaluate(head: nn.Module, held_out: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> Result:
    """Mistakes and uncertainties on the test images, at thresholds that were fitted on others."""
    features, target = held_out
    middle = torch.full(target.shape[1:], 0.5, dtype=torch.float64)
    thresholds = fit_thresholds(head((features,)).sigmoid().double(), target.clamp(min=0), default=middle)
    features, target = test
    mixture = head.mixture((features,))
    scores = mixture.logits.sigmoid()
    wrong = ((scores >= thresholds) != (target == 1)) & (target != -1)
    return Result(
        wrong.any(dim=1).numpy(),
        {
            'uncertainty (kernels)': responsibility_entropy(*mixture).numpy(),
            'indecision (scores)': np.array([indecision(row, thresholds.numpy(), None) for row in scores.numpy()]),
            'entropy of the scores': entropy_of_scores(mixture.logits).numpy(),
        },
    )


def interval(results: list[Result], name: str) -> tuple[float, float]:
    """Where the mean AUROC over seeds lies in 95 % of resamplings of the images."""
    random = np.random.default_rng(0)
    number = len(results[0].mistakes)
    means = []
    for _ in range(RESAMPLINGS):
        drawn = random.integers(number, size=number)
        means.append(
            np.mean([roc_auc_score(result.mistakes[drawn], result.uncertainties[name][drawn]) for result in results])
        )
    return tuple(np.quantile(means, [0.025, 0.975]))


def mistakes_in_fifths(result: Result, name: str) -> tuple[float, float]:
    """Share of mistakes in the fifth of the images with the lowest and with the highest uncertainty."""
    order = np.argsort(result.uncertainties[name], kind='stable')
    fifth = len(order) // 5
    return result.mistakes[order[:fifth]].mean(), result.mistakes[order[-fifth:]].mean()


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('uncertainty', log_level='WARNING')
    arrays = dict(np.load(args.features))
    data = {name: torch.from_numpy(array) for name, array in arrays.items() if name != 'settings'}
    features, target = data['train_features'], data['train_targets']
    print(f'{"head":24}{"measure":24}{"AUROC":>8}{"95 %":>16}{"lowest":>9}{"highest":>9}')
    for covariance, variant in FORMS:
        options = dict(covariance=covariance, loss=dict(type='KMCLLoss', variant=variant, asl_batch_size=64))
        cfg = config_with_head_options(args.config, SimpleNamespace(cfg_options={}, head_options=options))
        results = []
        for seed in args.seeds:
            order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
            fitted, held_out = order.tensor_split([len(order) * 4 // 5])
            head = train_head(cfg, features[fitted], target[fitted].clamp(min=0), seed)
            results.append(
                evaluate(head, (features[held_out], target[held_out]), (data['test_features'], data['test_targets']))
            )
        for name in results[0].uncertainties:
            auroc = np.mean([roc_auc_score(result.mistakes, result.uncertainties[name]) for result in results])
            low, high = interval(results, name)
            fifths = np.mean([mistakes_in_fifths(result, name) for result in results], axis=0)
            print(
                f'{f"{covariance}, {variant}":24}{name:24}{auroc:8.3f}{low:9.3f}-{high:.3f}'
                f'{fifths[0]:9.1%}{fifths[1]:9.1%}',
                flush=True,
            )


if __name__ == '__main__':
    main()
