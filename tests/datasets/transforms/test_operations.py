"""Every operation against PIL's own, on an image with smooth areas, edges and grain."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from kmcl_mm.datasets.transforms import operations

GREY = (128, 128, 128)
FACTORS = [sign * 0.9 * level / 9 for level in range(1, 10) for sign in (-1, 1)]


def photo(height=90, width=120, seed=0):
    random = np.random.RandomState(seed)
    img = cv2.resize(random.randint(30, 220, (4, 5, 3)).astype(np.uint8), (width, height))
    cv2.circle(img, (width // 3, height // 2), height // 4, (10, 240, 90), -1)
    return (img + random.normal(0, 4, img.shape)).clip(0, 255).astype(np.uint8)


def by_pil(img, function):
    """What PIL's function makes of an image in BGR."""
    return np.asarray(function(Image.fromarray(img[..., ::-1])))[..., ::-1]


def difference(ours, theirs):
    assert ours.dtype == np.uint8 and ours.shape == theirs.shape
    return np.abs(ours.astype(int) - theirs.astype(int))


@pytest.fixture(params=['photo', 'dark', 'one colour', 'two levels', 'one pixel'])
def img(request):
    """Images at the edges of what tables and histograms can meet."""
    return {
        'photo': photo(),
        'dark': photo() // 8 + 3,
        'one colour': np.full((8, 9, 3), (12, 200, 77), np.uint8),
        'two levels': (photo() > 128).astype(np.uint8) * 255,
        'one pixel': np.full((1, 1, 3), 200, np.uint8),
    }[request.param]


def test_invert(img):
    assert difference(operations.invert(img), by_pil(img, ImageOps.invert)).max() == 0


@pytest.mark.parametrize('bits', [4, 5, 6, 7, 8])
def test_posterize(img, bits):
    assert (
        difference(operations.posterize(img, bits), by_pil(img, lambda pil: ImageOps.posterize(pil, bits))).max() == 0
    )


@pytest.mark.parametrize('level', range(10))
def test_solarize(img, level):
    threshold = 256 - 256 * level / 9
    theirs = by_pil(img, lambda pil: ImageOps.solarize(pil, threshold))
    assert difference(operations.solarize(img, threshold), theirs).max() == 0


@pytest.mark.parametrize('name', ['autocontrast', 'equalize'])
def test_histograms(img, name):
    assert difference(getattr(operations, name)(img), by_pil(img, getattr(ImageOps, name))).max() == 0


@pytest.mark.parametrize('amount', FACTORS)
@pytest.mark.parametrize('name', ['brightness', 'contrast', 'color', 'sharpness'])
def test_blends(img, name, amount):
    kind = getattr(ImageEnhance, name.capitalize())
    found = difference(
        getattr(operations, f'adjust_{name}')(img, amount), by_pil(img, lambda pil: kind(pil).enhance(1 + amount))
    )
    assert found.max() <= 1 and (name != 'brightness' or found.max() == 0)


@pytest.mark.parametrize('part', [-150 / 331, -0.123, 0.004, 0.3, 150 / 331, 1])
@pytest.mark.parametrize('axis', [0, 1])
def test_translate(part, axis):
    img = photo()
    matrix = (1, 0, part * img.shape[1], 0, 1, 0) if axis == 1 else (1, 0, 0, 0, 1, part * img.shape[0])
    theirs = by_pil(img, lambda pil: pil.transform(pil.size, Image.Transform.AFFINE, matrix, fillcolor=GREY))
    assert difference(operations.translate(img, part, axis, 128), theirs).max() == 0


@pytest.mark.parametrize('degrees', [0, 10 / 3, 10, 20, 30])
@pytest.mark.parametrize('shape', [(90, 120), (64, 64), (31, 50)])
def test_rotate(degrees, shape):
    """The nearest pixel is another one where two are equally near, up to both libraries' fixed-point numbers."""
    img = photo(*shape)
    found = difference(
        operations.rotate(img, degrees, 128), by_pil(img, lambda pil: pil.rotate(degrees, fillcolor=GREY))
    )
    assert (found > 0).any(axis=-1).mean() < 0.01


@pytest.mark.parametrize('amount', [-0.3, -0.1, 0.3 / 9, 0.2, 0.3])
@pytest.mark.parametrize('axis', [0, 1])
def test_shear(amount, axis):
    """Both are bicubic, with another parameter: alike within a few grey levels, but for the pixels about an edge."""
    img = photo()
    matrix = (1, amount, 0, 0, 1, 0) if axis == 1 else (1, 0, 0, amount, 1, 0)
    theirs = by_pil(
        img,
        lambda pil: pil.transform(pil.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=GREY),
    )
    found = difference(operations.shear(img, amount, axis, 128), theirs)
    assert found.mean() < 1.5 and np.quantile(found, 0.95) <= 4


def test_a_shear_by_whole_pixels_moves_rows_and_columns():
    img = photo(4, 6)
    sheared = operations.shear(img, 2, 1, 128)
    # Row 0 moves by a half pixel's distance from its centre, which is 1: half of the step of 2.
    for row, shift in enumerate((1, 3, 5)):
        assert np.array_equal(sheared[row, : 6 - shift], img[row, shift:])
        assert (sheared[row, 6 - shift :] == 128).all()
    assert np.array_equal(operations.shear(img.transpose(1, 0, 2).copy(), 2, 0, 128), sheared.transpose(1, 0, 2))


def test_paint_square():
    img = photo(10, 12)
    painted = operations.paint_square(img, (1, 11), (4, 6), (1, 2, 3))
    expected = img.copy()
    expected[:3, 8:] = 1, 2, 3
    assert np.array_equal(painted, expected)
    assert np.array_equal(operations.paint_square(img, (0, 0), (0, 0), (1, 2, 3)), img)


@pytest.mark.parametrize(
    'apply',
    [
        operations.invert,
        operations.autocontrast,
        operations.equalize,
        *(
            lambda img, name=name: getattr(operations, f'adjust_{name}')(img, 0.5)
            for name in ('brightness', 'contrast', 'color', 'sharpness')
        ),
        lambda img: operations.posterize(img, 4),
        lambda img: operations.solarize(img, 100),
        lambda img: operations.shear(img, 0.1, 0, 128),
        lambda img: operations.translate(img, 0.1, 0, 128),
        lambda img: operations.rotate(img, 20, 128),
        lambda img: operations.paint_square(img, (4, 4), (3, 3), (0, 0, 0)),
    ],
)
def test_the_image_given_stays_as_it_is(apply):
    img = photo()
    before = img.copy()
    assert not np.array_equal(apply(img), before)
    assert np.array_equal(img, before)
