import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from kmcl_mm.apps.pictures import draw_prediction_grid, prediction_grid

NAMES = ('cat', 'dog', 'fish')
SCORES = np.array([[0.9, 0.2, 0.7], [0.1, 0.4, 0.2]])
PREDICTED = np.array([[True, True, True], [False, False, False]])
TARGETS = np.array([[1, -1, 0], [0, 1, 0]])
IMAGES = [np.full((10, 10, 3), 128, np.uint8)] * 2


def test_writes_a_picture_and_its_folder(tmp_path):
    path = tmp_path / 'new/grid.png'
    draw_prediction_grid(IMAGES, SCORES, PREDICTED, TARGETS, NAMES, 'Title', path)
    picture = np.asarray(Image.open(path).convert('RGB'))
    assert picture.shape[0] > 200 and picture.shape[1] > 500
    assert (picture == 128).all(axis=-1).mean() > 0.05  # the images
    assert pyplot.get_fignums() == []


def test_labels_found_missed_and_wrong(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(prediction_grid, '_write_below', lambda ax, lines: written.append([text for text, _ in lines]))
    draw_prediction_grid(IMAGES, SCORES, PREDICTED, TARGETS, NAMES, 'Title', tmp_path / 'grid.png')
    assert written == [['found: cat 90%', 'wrong: fish 70%'], ['missed: dog 40%']]


@pytest.mark.parametrize('images', [[], IMAGES[:1]])
def test_lengths_that_differ(tmp_path, images):
    with pytest.raises(ValueError, match='`images`.*the same length'):
        draw_prediction_grid(images, SCORES, PREDICTED, TARGETS, NAMES, 'Title', tmp_path / 'grid.png')
    assert list(tmp_path.iterdir()) == []
