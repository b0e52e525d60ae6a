import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_curve

from kmcl_mm.functional import fit_thresholds


def random_case(seed, images=60, labels=4, decimals=None):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 2, (images, labels), generator=generator)
    scores = (torch.randn(images, labels, generator=generator) + target).sigmoid()
    return (scores if decimals is None else scores.round(decimals=decimals)), target


def curve(scores, target, threshold):
    """scikit-learn's precision and recall at all of its thresholds, and at ours."""
    precision, recall, cuts = precision_recall_curve(target, scores)
    first = np.searchsorted(cuts, threshold)
    return precision[:-1], recall[:-1], precision[first], recall[first]


@pytest.mark.parametrize('decimals', [None, 1])
@pytest.mark.parametrize('seed', range(5))
def test_against_scikit_learns_curve(seed, decimals):
    scores, target = random_case(seed, decimals=decimals)
    for goal, wished in (('f1', None), ('precision', 0.8), ('recall', 0.9)):
        thresholds = fit_thresholds(scores, target, 0.5, goal, wished)
        for label, threshold in enumerate(thresholds):
            precision, recall, ours, our_recall = curve(
                scores[:, label].double().numpy(), target[:, label].numpy(), threshold.item()
            )
            f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
            if goal == 'f1':
                assert 2 * ours * our_recall / (ours + our_recall) == pytest.approx(f1.max())
            elif goal == 'precision' and precision.max() >= wished:
                assert ours >= wished and our_recall == pytest.approx(recall[precision >= wished].max())
            elif goal == 'precision':
                assert ours == pytest.approx(precision.max())
            else:
                assert our_recall >= wished and ours == pytest.approx(precision[recall >= wished].max())


def test_a_threshold_is_no_score():
    """Whether a score has to reach or to exceed it makes no difference."""
    scores, target = random_case(0, decimals=2)
    thresholds = fit_thresholds(scores, target, 0.5)
    assert not (scores.double() == thresholds).any()


def test_unknown_labels_are_left_out():
    scores, target = random_case(1)
    target[::3] = -1
    known = fit_thresholds(scores[target[:, 0] != -1], target[target[:, 0] != -1], 0.5)
    assert fit_thresholds(scores, target, 0.5).equal(known)


def test_a_label_without_an_image_keeps_the_default():
    scores, target = random_case(2)
    target[:, 1] = 0
    assert fit_thresholds(scores, target, default=0.8)[1] == 0.8


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(goal='accuracy'), '`goal` to be one of'),
        (dict(goal='precision'), '`wished`'),
        (dict(goal='f1', wished=0.5), '`wished`'),
        (dict(goal='recall', wished=1.5), r'\(0, 1\].*1.5'),
    ],
)
def test_mistakes(settings, message):
    with pytest.raises(ValueError, match=message):
        fit_thresholds(*random_case(0), default=0.5, **settings)
    with pytest.raises(ValueError, match='`scores` to have shape'):
        fit_thresholds(torch.zeros(2, 3), torch.zeros(2, 2), default=0.5)
