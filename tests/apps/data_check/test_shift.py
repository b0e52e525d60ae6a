import numpy as np
import pytest
from scipy.stats import chi2_contingency

from kmcl_mm.apps.data_check.label_counts import LabelCounts
from kmcl_mm.apps.data_check.shift import _misfit, differing_labels, find_shift

# Shares of 20 labels as uneven as those of PASCAL VOC.
SHARES = np.array([5, 5, 7, 4, 5, 4, 15, 7, 11, 3, 5, 9, 6, 5, 42, 5, 2, 7, 5, 6]) / 100


def counts_of(positives, num_images):
    positives = np.asarray(positives)
    judged = np.full(len(positives), num_images)
    return LabelCounts(num_images, positives, judged, np.diag(positives), np.ones(num_images), 0)


def draw(shares, num_images, seed):
    random = np.random.RandomState(seed)
    return counts_of((random.rand(num_images, len(shares)) < shares).sum(axis=0), num_images)


def whole_shift(shares, places):
    """Labels fall off at one end, and the other end is empty."""
    shifted = np.roll(shares, places)
    shifted[slice(places) if places > 0 else slice(places, None)] = 0
    return shifted


@pytest.mark.parametrize('num_images', [80, 5000])
@pytest.mark.parametrize('places', [-3, -1, 1, 2])
@pytest.mark.parametrize('shifted', [np.roll, whole_shift])
def test_shifts_are_found_on_either_side(num_images, places, shifted):
    healthy, broken = draw(SHARES, num_images, seed=0), draw(shifted(SHARES, places), num_images, seed=1)
    assert find_shift(healthy, broken) == places
    assert find_shift(broken, healthy) == -places


@pytest.mark.parametrize('sizes', [(80, 80), (80, 5000), (1000, 200)])
def test_chance_is_no_shift(sizes):
    for seed in range(200):
        first, second = draw(SHARES, sizes[0], seed), draw(SHARES, sizes[1], seed + 1000)
        assert find_shift(first, second) is None and len(differing_labels(first, second)) == 0


def test_labels_that_are_all_as_frequent_tell_nothing():
    uniform = np.full(20, 0.2)
    assert find_shift(draw(uniform, 500, seed=0), draw(uniform, 500, seed=1)) is None


def test_a_first_label_that_was_forgotten_is_no_shift():
    uniform = np.array([0.3] * 8)
    assert find_shift(draw(uniform, 500, seed=0), draw(uniform * (np.arange(8) > 0), 500, seed=1)) is None


def test_two_labels_that_differ_are_no_shift():
    assert find_shift(counts_of([500, 500], 1000), counts_of([100, 500], 1000)) is None


def test_labels_that_differ_by_far():
    shares = SHARES.copy()
    shares[[3, 6]] = 0.3, 0.01
    found = differing_labels(draw(SHARES, 2000, seed=0), draw(shares, 2000, seed=1))
    assert sorted(found) == [3, 6]


@pytest.mark.parametrize('table', [[(30, 100), (50, 90)], [(0, 40), (7, 60)], [(12, 12), (3, 8)]])
def test_misfit_is_the_g_statistic(table):
    (count_1, total_1), (count_2, total_2) = table
    found = _misfit(counts_of([count_1], total_1), counts_of([count_2], total_2), np.array([0]), np.array([0]))
    cells = [[count_1, total_1 - count_1], [count_2, total_2 - count_2]]
    expected = chi2_contingency(cells, correction=False, lambda_='log-likelihood').statistic
    assert found == pytest.approx([expected])
