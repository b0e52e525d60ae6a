import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from kmcl_mm.apps.pictures import draw_cooccurrence, draw_label_counts


def picture(path):
    return np.asarray(Image.open(path).convert('RGB')).astype(int)


@pytest.mark.parametrize('number', [1, 3, 20, 80, 3500])
def test_label_counts(tmp_path, number):
    counts = {split: np.arange(number) * factor for split, factor in (('train', 3), ('val', 1))}
    shares = {split: values / 400 for split, values in counts.items()}
    draw_label_counts(shares, counts, [f'label {k}' for k in range(number)], tmp_path / 'counts.png')
    pixels = picture(tmp_path / 'counts.png')
    assert pixels.shape[0] < 2500 and pixels.shape[1] < 2000
    assert pyplot.get_fignums() == []


def test_the_bars_are_as_long_as_the_shares(tmp_path):
    counts = dict(train=np.array([40, 20]))
    draw_label_counts(dict(train=counts['train'] / 100), counts, ('a', 'b'), tmp_path / 'counts.png')
    blue = (abs(picture(tmp_path / 'counts.png') - (31, 119, 180)).max(axis=-1) < 8).sum(axis=1)
    lengths = [np.median(part[part > 50]) for part in np.array_split(blue, 2)]
    assert lengths[0] / lengths[1] == pytest.approx(2, rel=0.05)


def pairs(number, seed=0):
    """Images with both of two labels; no image has the first."""
    has = np.random.RandomState(seed).rand(200, number) < 0.3
    has[:, 0] = False
    return has.T.astype(int) @ has


@pytest.mark.parametrize('number', [1, 3, 20, 80, 800])
def test_cooccurrence(tmp_path, number):
    draw_cooccurrence(pairs(number), [f'label {k}' for k in range(number)], 'train', tmp_path / 'together.png')
    pixels = picture(tmp_path / 'together.png')
    assert pixels.shape[0] < 2500 and pixels.shape[1] < 2500
    assert (pixels == 211).all(axis=-1).sum() > 100  # the grey diagonal
    assert pyplot.get_fignums() == []


def test_of_many_labels_the_most_frequent_are_drawn(tmp_path):
    """The picture is that of them alone, but for its title."""
    number, frequent = 130, np.arange(10, 110)
    together = pairs(number)
    together[np.diag_indices(number)] += 1000 * np.isin(np.arange(number), frequent)
    names = [f'label {k}' for k in range(number)]
    draw_cooccurrence(together, names, 'train', tmp_path / 'all.png')
    part = together[np.ix_(frequent, frequent)]
    draw_cooccurrence(part, [names[k] for k in frequent], 'train: the 100 most frequent of 130', tmp_path / 'part.png')
    assert (picture(tmp_path / 'all.png') == picture(tmp_path / 'part.png')).all()


def test_wrong_arguments(tmp_path):
    shares = dict(train=np.array([0.4, 0.2]))
    with pytest.raises(ValueError, match='`shares` and `counts`'):
        draw_label_counts(shares, dict(val=shares['train']), ('a', 'b'), tmp_path / 'x.png')
    with pytest.raises(ValueError, match='`shares` and `counts`'):
        draw_label_counts(shares, shares, ('a',), tmp_path / 'x.png')
    with pytest.raises(ValueError, match='`together`.*got'):
        draw_cooccurrence(np.zeros((2, 3)), ('a', 'b'), 'train', tmp_path / 'x.png')
    assert list(tmp_path.iterdir()) == []
