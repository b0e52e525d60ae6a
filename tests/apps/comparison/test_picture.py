import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from kmcl_mm.apps.comparison import Comparison, LabelDifference, draw_differences
from kmcl_mm.evaluation.resampling import Interval

BLUE, ORANGE, GRAY = (31, 119, 180), (255, 127, 14), (127, 127, 127)
UNCLEAR = Interval(0.2, -0.5, 0.9)


def comparison(differences, mean=UNCLEAR):
    rows = [LabelDifference(f'label ${k}$', 5 * k, 50.0, 50.0 + row[0], row) for k, row in enumerate(differences)]
    rows.sort(key=lambda row: -row.difference.value)
    return Comparison(rows, LabelDifference('mAP', None, 50.0, 50.2, mean), [], 1000, 100)


def around(value, half=1.0):
    return Interval(value, value - half, value + half)


def drawn(path):
    return np.asarray(Image.open(path).convert('RGB')).astype(int)


def pixels_of(color, image):
    return (abs(image - color).max(axis=-1) < 8).sum()


@pytest.mark.parametrize('number', [1, 3, 20, 80, 3500])
def test_any_number_of_labels(tmp_path, number):
    values = np.random.default_rng(0).normal(size=number)
    draw_differences(comparison(map(around, values)), ('a.pth', 'b.pth'), tmp_path / 'new/comparison.png')
    image = drawn(tmp_path / 'new/comparison.png')
    # A line has 17 pixels.
    assert 17 * min(number, 100) < image.shape[0] < 2300 and image.shape[1] == 900
    assert pyplot.get_fignums() == []


def test_colours_say_which_is_better(tmp_path):
    path = tmp_path / 'comparison.png'
    draw_differences(comparison([around(0.5)]), ('a', 'b'), path)
    image = drawn(path)
    assert not pixels_of(BLUE, image) and not pixels_of(ORANGE, image)
    gray = pixels_of(GRAY, image)
    assert gray > 100
    draw_differences(comparison([around(2), around(3), around(-4)]), ('a', 'b'), path)
    image = drawn(path)
    assert pixels_of(BLUE, image) > 1.5 * pixels_of(ORANGE, image) > 100
    draw_differences(comparison([around(2)], mean=Interval(1.0, 0.5, 1.5)), ('a', 'b'), path)
    assert not pixels_of(ORANGE, drawn(path)) and pixels_of(BLUE, drawn(path)) > 100


def test_an_interval_beside_its_value(tmp_path):
    """As it may be of a label of few images."""
    draw_differences(comparison([Interval(5.0, 1.0, 4.0)]), ('a', 'b'), tmp_path / 'comparison.png')


def test_of_many_labels_the_largest_differences_are_drawn(tmp_path, monkeypatch):
    chosen = []
    monkeypatch.setattr('kmcl_mm.apps.comparison.picture._name', lambda row: chosen.append(row) or row.label)
    values = np.random.default_rng(0).normal(size=130)
    draw_differences(comparison(map(around, values)), ('a', 'b'), tmp_path / 'comparison.png')
    mean, *labels = chosen
    ordered = sorted(values, reverse=True)
    assert mean.label == 'mAP'
    assert [row.difference.value for row in labels] == [*ordered[:50], *ordered[-50:]]
