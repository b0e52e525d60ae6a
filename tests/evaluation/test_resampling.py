import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from kmcl_mm.evaluation.resampling import (
    average_precisions,
    draw_weights,
    interval_of,
    mean_average_precisions,
    paired_difference,
)


def drawn_scores(seed, noise=1.0, images=200, labels=3):
    """Scores and targets (N, K); the targets are the same for every seed."""
    target = (np.random.default_rng(7).random((images, labels)) < 0.3).astype(int)
    return target + noise * np.random.default_rng(seed).normal(size=target.shape), target


def resampled(scores, target, resamplings=500):
    return mean_average_precisions(scores, target, draw_weights(len(target), resamplings=resamplings))


def test_average_precisions_equal_scikit_learns():
    scores, target = drawn_scores(0)
    target[:20, 0] = -1
    weights = np.random.default_rng(1).integers(4, size=(5, len(target)))
    ours = average_precisions(scores, target, weights)
    for row, weight in enumerate(weights):
        for label in range(3):
            known = target[:, label] != -1
            judge = average_precision_score(
                target[known, label], scores[known, label], sample_weight=weight[known].astype(float)
            )
            # Of an image drawn twice the judge takes the precision after both.
            assert ours[row, label] == pytest.approx(100 * judge, abs=1e-9)


def test_blocks_change_nothing(monkeypatch):
    scores, target = drawn_scores(0)
    whole = resampled(scores, target, resamplings=20)
    monkeypatch.setattr('kmcl_mm.evaluation.resampling._BLOCK', 3 * len(target))
    assert np.array_equal(resampled(scores, target, resamplings=20), whole)


def test_a_label_without_a_positive_is_left_out():
    scores, target = drawn_scores(0)
    target[:, 2] = np.minimum(target[:, 2], 0)
    found = average_precisions(scores, target)
    assert np.isnan(found[0, 2]) and mean_average_precisions(scores, target) == found[0, :2].mean()
    assert np.isnan(mean_average_precisions(scores[:, 2:], target[:, 2:]))
    # Some drawings lack the only image that has a label.
    scores, target = np.array([[0.5], [0.6], [0.7]]), np.array([[1], [0], [0]])
    interval = interval_of(resampled(scores, target))
    assert interval.value == pytest.approx(100 / 3) and 0 < interval.low <= interval.high == 100
    assert np.isnan(interval_of(np.full(5, np.nan))).all()


def test_a_difference_is_told_from_chance():
    better = [resampled(*drawn_scores(seed, noise=0.5)) for seed in range(3)]
    worse = [resampled(*drawn_scores(seed)) for seed in range(3)]
    difference = paired_difference(better, worse)
    assert difference.value == pytest.approx(np.mean(better, axis=0)[0] - np.mean(worse, axis=0)[0])
    assert 0 < difference.low < difference.value < difference.high and difference.is_clear_of_zero
    alike = paired_difference(worse, [resampled(*drawn_scores(seed)) for seed in range(3, 6)])
    assert alike.low < 0 < alike.high and not alike.is_clear_of_zero
    assert paired_difference(worse, worse) == (0, 0, 0)


def test_images_of_a_patient_are_drawn_together():
    patients = [0, 0, 0, 1, 2, 2]
    weights = draw_weights(6, groups=patients)
    assert weights.shape == (1001, 6) and (weights[0] == 1).all()
    for patient in range(3):
        members = weights[:, np.array(patients) == patient]
        assert (members == members[:, :1]).all()
    assert weights[:, [0, 3, 4]].sum(axis=1).tolist() == [3] * 1001
    assert weights[1:].mean(axis=0) == pytest.approx(np.ones(6), abs=0.1)


@pytest.mark.parametrize('arguments', [dict(number=0), dict(number=3, resamplings=0), dict(number=3, groups=[1])])
def test_wrong_arguments(arguments):
    with pytest.raises(ValueError, match='Expected argument'):
        draw_weights(**arguments)
    with pytest.raises(ValueError, match='Expected arguments'):
        average_precisions(np.zeros((2, 3)), np.zeros((2, 2)))


def test_the_interval_is_as_wide_as_the_differences_of_new_images():
    random = np.random.default_rng(0)
    target = np.ones((400, 1), int)
    target[200:] = 0
    # One positive in four is ranked below all negatives.
    scores = target + 2 * (target - 1) + random.random(target.shape) - 4 * target * (random.random(target.shape) < 0.25)
    found = resampled(scores, target)[1:]
    drawn = [
        100 * average_precision_score(target[chosen, 0], scores[chosen, 0])
        for chosen in np.random.default_rng(5).integers(400, size=(500, 400))
    ]
    assert np.quantile(found, [0.025, 0.5, 0.975]) == pytest.approx(np.quantile(drawn, [0.025, 0.5, 0.975]), abs=1)
