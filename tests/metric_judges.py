"""The metrics as scikit-learn and torchmetrics have them. Run as a module it prints the largest differences:

python -m tests.metric_judges
"""

import numpy as np
import torch
from sklearn.metrics import average_precision_score, precision_recall_fscore_support
from torchmetrics.functional.classification import (
    multilabel_average_precision,
    multilabel_precision,
    multilabel_recall,
)

from kmcl_mm.evaluation import MultiLabelF1, PerLabelAP
from tests.conftest import GOLDEN_CASES, Golden

UNKNOWN = -1


def random_case(seed, images=50, labels=6, unknown=0.0):
    """Scores (N, K) and targets (N, K), some of them unknown; each label is in an image."""
    generator = torch.Generator().manual_seed(seed)
    target = (torch.rand(images, labels, generator=generator) < 0.3).long()
    target[0] = 1
    hidden = torch.rand(images, labels, generator=generator) < unknown
    hidden[0] = False
    scores = torch.rand(images, labels, generator=generator).mul(0.5).add(0.3 * target)
    return scores, target.masked_fill(hidden, UNKNOWN)


def harmonic_mean(precision, recall):
    return 2 * precision * recall / (precision + recall)


def scikit_learn_f1(scores, target, thr, topk=None):
    """CP to OF1 in percent; without unknown labels."""
    predicted = scores.numpy() > thr
    suffix = ''
    if topk is not None:
        predicted &= (-scores.numpy()).argsort(axis=1).argsort(axis=1) < topk
        suffix = f'_top{topk}'
    metrics = {}
    for letter, average in (('C', 'macro'), ('O', 'micro')):
        precision, recall, _, _ = precision_recall_fscore_support(
            target.numpy(), predicted, average=average, zero_division=0
        )
        values = dict(P=precision, R=recall, F1=harmonic_mean(precision, recall))
        metrics.update({f'{letter}{name}{suffix}': 100 * value for name, value in values.items()})
    return metrics


def torchmetrics_f1(scores, target, thr):
    """CP to OF1 in percent; unknown labels are ignored."""
    metrics = {}
    for letter, average in (('C', 'macro'), ('O', 'micro')):
        settings = dict(num_labels=scores.shape[1], threshold=thr, average=average, ignore_index=UNKNOWN)
        precision = multilabel_precision(scores, target, **settings).item()
        recall = multilabel_recall(scores, target, **settings).item()
        values = dict(P=precision, R=recall, F1=harmonic_mean(precision, recall))
        metrics.update({f'{letter}{name}': 100 * value for name, value in values.items()})
    return metrics


def scikit_learn_ap(scores, target):
    """Average precision of each label in percent; without unknown labels."""
    return 100 * average_precision_score(target.numpy(), scores.numpy(), average=None)


def torchmetrics_ap(scores, target):
    """Average precision of each label in percent; unknown labels are ignored."""
    values = multilabel_average_precision(
        scores, target, num_labels=scores.shape[1], average=None, ignore_index=UNKNOWN
    )
    return 100 * values.double().numpy()


def our_ap(scores, target):
    metrics = PerLabelAP().calculate(scores, target)
    return np.array([metrics[f'AP/{label}'] for label in range(scores.shape[1])])


def largest_differences(cases=100):
    """Largest absolute difference, in percentage points, to each judge over random cases."""
    differences = {}

    def note(judge, ours, theirs):
        difference = max(abs(a - b) for a, b in zip(ours, theirs))
        differences[judge] = max(difference, differences.get(judge, 0.0))

    for seed in range(cases):
        scores, target = random_case(seed)
        for topk in (None, 3):
            theirs = scikit_learn_f1(scores, target, 0.5, topk)
            ours = MultiLabelF1(thr=0.5, topk=topk).calculate(scores, target)
            note('scikit-learn, CP to OF1', [ours[name] for name in theirs], theirs.values())
        note('scikit-learn, AP', our_ap(scores, target), scikit_learn_ap(scores, target))
        scores, target = random_case(seed, unknown=0.2)
        theirs = torchmetrics_f1(scores, target, 0.5)
        ours = MultiLabelF1(thr=0.5, topk=None).calculate(scores, target)
        note('torchmetrics, CP to OF1, some labels unknown', [ours[name] for name in theirs], theirs.values())
        note('torchmetrics, AP, some labels unknown', our_ap(scores, target), torchmetrics_ap(scores, target))
    return differences


def golden_differences():
    """Largest absolute difference, in percentage points, to the published code's numbers of each case."""
    differences = {}
    for case in GOLDEN_CASES:
        if case.startswith('metrics'):
            golden = Golden(case)
            scores, published = golden['in/scores'], golden['in/target']
            f1 = MultiLabelF1(thr=golden.settings['threshold'], topk=3).calculate(scores, (published == 1).long())
            names = {name: f'out/{name.replace("_top3", "_3")}' for name in f1}
            differences[f'{case}, CP to OF1'] = max(
                abs(f1[name] - 100 * golden[key].item()) for name, key in names.items()
            )
            if golden.settings['difficult']:  # there -1 is absent, and 0 difficult
                published = torch.where(published == 1, 1, -1 - published)
            ap = our_ap(scores, published.long())
            differences[f'{case}, mAP'] = abs(ap.mean() - golden['out/map'].item())
    return differences


if __name__ == '__main__':
    for judge, difference in {**golden_differences(), **largest_differences()}.items():
        print(f'{judge:45} {difference:.1e} points at the most')
