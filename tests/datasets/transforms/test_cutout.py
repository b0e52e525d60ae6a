import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS


def cut(ratio=0.5, shape=(40, 60, 3)):
    img = np.full(shape, 77, np.uint8)
    result = TRANSFORMS.build(dict(type='RandomColorCutout', ratio=ratio))(dict(img=img))['img']
    assert (img == 77).all() and result.dtype == np.uint8
    return result, (result != 77).any(axis=-1)


def test_paints_one_rectangle_in_one_colour():
    np.random.seed(0)
    sizes, colors = [], set()
    for _ in range(300):
        result, mask = cut()
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        area = result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (area == area[0, 0]).all()
        assert mask.sum() == area.shape[0] * area.shape[1]
        sizes.append(area.shape[:2])
        colors.add(tuple(area[0, 0]))
    heights, widths = np.array(sizes).T
    # The centre is anywhere in the image: the square is whole at most, and about half of it is left at least.
    assert heights.max() == 20 and widths.max() == 30
    assert 10 <= heights.min() <= 11 and 15 <= widths.min() <= 16
    assert 0.4 < (heights == 20).mean() < 0.6  # rows 10 to 30 of 40
    assert len(colors) > 290


def test_the_same_seed_gives_the_same_image():
    images = []
    for _ in range(2):
        np.random.seed(3)
        images.append(cut()[0])
    assert np.array_equal(*images)


@pytest.mark.parametrize('ratio', [0, -1, 1.5])
def test_wrong_ratio(ratio):
    with pytest.raises(ValueError, match=f'`ratio`.*but got {ratio}'):
        TRANSFORMS.build(dict(type='RandomColorCutout', ratio=ratio))
