import csv
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from kmcl_mm.apps.comparison import Comparison, LabelDifference, compare
from kmcl_mm.evaluation.resampling import Interval, draw_weights
from tests.apps.comparison.drawn import drawn_predictions


def test_differences_equal_those_of_scikit_learn_in_a_plain_loop():
    first, second = drawn_predictions(1), drawn_predictions(2, signal=2.0)
    found = {row.label: row for row in compare(first, second, resamplings=50).labels}
    means = []
    for weight in draw_weights(200, resamplings=50):
        of_both = [
            [
                100 * average_precision_score(side.target[:, label], side.scores[:, label], sample_weight=weight)
                for label in range(4)
            ]
            for side in (first, second)
        ]
        means.append(np.subtract(*of_both[::-1]))
    assert found.keys() == {f'label {label}' for label in range(4)}
    for label, values in enumerate(np.transpose(means)):
        row = found[f'label {label}']
        assert row.difference.value == pytest.approx(values[0]) == row.second - row.first
        assert row.difference[1:] == pytest.approx(np.quantile(values[1:], [0.025, 0.975]))
        assert row.positives == first.target[:, label].sum()
    mean = compare(first, second, resamplings=50).mean
    of_resamplings = np.mean(means, axis=1)
    assert mean.difference.value == pytest.approx(of_resamplings[0]) and mean.positives is None
    assert mean.difference[1:] == pytest.approx(np.quantile(of_resamplings[1:], [0.025, 0.975]))


def test_the_better_one_is_named():
    first, second = drawn_predictions(1), drawn_predictions(2, signal=2.0)
    better, worse, same = compare(first, second), compare(second, first), compare(first, first)
    assert better.mean.difference == tuple(-number for number in np.array(worse.mean.difference)[[0, 2, 1]])
    assert better.verdict().startswith('B is better by ') and worse.verdict() == better.verdict().replace('B', 'A')
    assert same.verdict() == 'No difference can be told from chance: B - A is 0.00 mAP (95 %: 0.00 to 0.00).'
    values = [row.difference.value for row in better.labels]
    assert values == sorted(values, reverse=True)
    assert better.absent == ['label 4'] and better.images == 200


def test_unknown_labels_and_labels_that_a_resampling_lacks():
    first, second = drawn_predictions(1), drawn_predictions(2)
    target = first.target.copy()
    target[:, 0] = 0
    target[3, 0] = 1
    target[:150, 1] = -1
    first, second = (replace(side, target=target) for side in (first, second))
    comparison = compare(first, second, resamplings=100)
    rows = {row.label: row for row in comparison.labels}
    assert rows['label 0'].positives == 1 and np.isfinite(rows['label 0'].difference).all()
    known = slice(150, None)
    expected = 100 * average_precision_score(target[known, 1], first.scores[known, 1])
    assert rows['label 1'].first == pytest.approx(expected)
    assert np.isfinite(comparison.mean.difference).all()


@pytest.mark.parametrize('side', [0, 1])
def test_images_of_a_patient_are_drawn_together(side):
    """Whichever side knows the patients: of 40 with the same five images each, the interval is wider."""
    pair = [drawn_predictions(seed, images=40) for seed in (1, 2)]
    five = [
        replace(
            one,
            images=tuple(np.repeat(one.images, 5).tolist()),
            scores=np.repeat(one.scores, 5, axis=0),
            target=np.repeat(one.target, 5, axis=0),
        )
        for one in pair
    ]
    alone = compare(*five, resamplings=200).mean.difference
    five[side] = replace(five[side], groups=np.repeat(np.arange(40), 5).tolist())
    together = compare(*five, resamplings=200).mean.difference
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_table_and_csv(tmp_path):
    comparison = compare(drawn_predictions(1), drawn_predictions(2, signal=2.0), resamplings=20)
    lines = comparison.table().splitlines()
    assert lines[0].split() == ['positives', 'A', 'B', 'B', '-', 'A', '(95', '%)']
    assert [line[:7] for line in lines[1:5]] == [row.label for row in comparison.labels]
    assert lines[5].startswith('mAP') and f'{comparison.mean.difference.value:+.2f}' in lines[5]
    assert lines[6] == 'Without a positive: label 4' and ' of 4 intervals of labels are clear of 0' in lines[7]
    comparison.write_csv(tmp_path / 'new/table.csv')
    with (tmp_path / 'new/table.csv').open() as file:
        *rows, mean = csv.DictReader(file)
    for row, difference in zip(rows, comparison.labels, strict=True):
        assert row['label'] == difference.label and int(row['positives']) == difference.positives
        numbers = [float(row[name]) for name in ('ap_a', 'ap_b', 'difference', 'low', 'high')]
        assert numbers == [difference.first, difference.second, *difference.difference]
    assert mean['label'] == 'mAP' and mean['positives'] == '' and float(mean['ap_b']) == comparison.mean.second


def test_an_interval_that_touches_zero_tells_nothing():
    mean = LabelDifference('mAP', None, 50.0, 51.0, Interval(1.0, 0.0, 2.0))
    assert 'No difference' in Comparison([], mean, [], 10, 10).verdict()


def other_target(side):
    target = side.target.copy()
    target[3, 2] = -1
    return replace(side, target=target)


@pytest.mark.parametrize(
    'change, message',
    [
        (
            lambda side: replace(side, labels=side.labels[::-1]),
            "different labels: number 1 is 'label 0' and 'label 4'",
        ),
        (lambda side: drawn_predictions(1, labels=4), 'different labels: 5 and 4'),
        (lambda side: drawn_predictions(1, images=100), 'different test images: 200 and 100'),
        (
            lambda side: replace(side, images=(*side.images[:-1], 'z.jpg')),
            "different test images: number 200 is '199.jpg' and 'z.jpg'",
        ),
        (other_target, r'different targets at 1 places, first at 3.jpg, label 2: \d and -1'),
    ],
)
def test_other_images_or_labels_are_refused(change, message):
    first = drawn_predictions(0)
    with pytest.raises(ValueError, match=message):
        compare(first, change(first))


def test_no_label_at_all():
    side = drawn_predictions(0, labels=1)
    with pytest.raises(ValueError, match='No test image has a label'):
        compare(side, side)


def test_wrong_number_of_resamplings():
    with pytest.raises(ValueError, match='at least 1, but got 0'):
        compare(drawn_predictions(0), drawn_predictions(1), resamplings=0)
