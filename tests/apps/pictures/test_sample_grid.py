import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from kmcl_mm.apps.pictures import draw_sample_grid

SAMPLE = np.full((20, 20, 3), (250, 10, 10), np.uint8)
ORIGINAL = np.full((10, 40, 3), (10, 10, 250), np.uint8)


def picture_of(path):
    picture = np.asarray(Image.open(path).convert('RGB')).astype(int)
    return (picture == SAMPLE[0, 0]).all(axis=-1), (picture == ORIGINAL[0, 0]).all(axis=-1)


@pytest.mark.parametrize('number', [1, 2, 4])
def test_each_sample_has_its_original_below_it(tmp_path, number):
    path = tmp_path / 'new/grid.png'
    draw_sample_grid([SAMPLE] * number, [ORIGINAL] * number, [['cat', 'dog']] * number, 'Title', path)
    samples, originals = picture_of(path)
    assert pyplot.get_fignums() == []
    # A quarter of the height of its width, and 0.3 of the sample's side wide.
    assert originals.sum() / samples.sum() == pytest.approx(0.3**2 / 4, rel=0.1)
    assert np.flatnonzero(samples.any(axis=1))[0] < np.flatnonzero(originals.any(axis=1))[0]


def test_samples_without_originals_or_labels(tmp_path):
    draw_sample_grid([SAMPLE] * 2, [None] * 2, [[], ['cat'] * 30], 'Title', tmp_path / 'grid.png')
    samples, originals = picture_of(tmp_path / 'grid.png')
    assert samples.any() and not originals.any()


@pytest.mark.parametrize('number', [0, 1])
def test_lengths_that_differ(tmp_path, number):
    with pytest.raises(ValueError, match='`samples`.*the same length'):
        draw_sample_grid([SAMPLE] * number, [None] * 2, [['cat']] * number, 'Title', tmp_path / 'grid.png')
    assert list(tmp_path.iterdir()) == []
