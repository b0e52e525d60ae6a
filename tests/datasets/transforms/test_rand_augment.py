import pickle
from collections import Counter

import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

from kmcl_mm.datasets import UDARandAugment
from tests.datasets.transforms.test_operations import difference, photo

NAMES = [
    'invert',
    'cutout',
    'sharpness',
    'color',
    'contrast',
    'brightness',
    'autocontrast',
    'equalize',
    'posterize',
    'solarize',
    'shear_x',
    'shear_y',
    'translate_x',
    'translate_y',
    'rotate',
]
SIGNED = {'sharpness', 'color', 'contrast', 'brightness', 'shear_x', 'shear_y', 'translate_x', 'translate_y'}
PART_OF_SIDE = 150 / 331


def pil_operation(name, level, sign):
    """The published operation by PIL at a level of 0 to 9."""
    part = level / 9

    def affine(matrix_of, resample=Image.Resampling.NEAREST):
        return lambda pil: pil.transform(
            pil.size, Image.Transform.AFFINE, matrix_of(pil), resample, fillcolor=(128, 128, 128)
        )

    return {
        'invert': ImageOps.invert,
        'sharpness': lambda pil: ImageEnhance.Sharpness(pil).enhance(1 + sign * 0.9 * part),
        'color': lambda pil: ImageEnhance.Color(pil).enhance(1 + sign * 0.9 * part),
        'contrast': lambda pil: ImageEnhance.Contrast(pil).enhance(1 + sign * 0.9 * part),
        'brightness': lambda pil: ImageEnhance.Brightness(pil).enhance(1 + sign * 0.9 * part),
        'autocontrast': ImageOps.autocontrast,
        'equalize': ImageOps.equalize,
        'posterize': lambda pil: ImageOps.posterize(pil, int(np.round(np.linspace(8, 4, 10))[level])),
        'solarize': lambda pil: ImageOps.solarize(pil, 256 - 256 * part),
        'shear_x': affine(lambda pil: (1, sign * 0.3 * part, 0, 0, 1, 0), Image.Resampling.BICUBIC),
        'shear_y': affine(lambda pil: (1, 0, 0, sign * 0.3 * part, 1, 0), Image.Resampling.BICUBIC),
        'translate_x': affine(lambda pil: (1, 0, sign * PART_OF_SIDE * part * pil.width, 0, 1, 0)),
        'translate_y': affine(lambda pil: (1, 0, 0, 0, 1, sign * PART_OF_SIDE * part * pil.height)),
        'rotate': lambda pil: pil.rotate(30 * part, fillcolor=(128, 128, 128)),
    }[name]


def draws(augment, images=4000):
    """Which operations are applied, at which levels and signs: a list an image."""
    np.random.seed(0)
    return [augment._random_operations() for _ in range(images)]


@pytest.mark.parametrize('name', [name for name in NAMES if name != 'cutout'])
def test_each_operation_at_each_level_is_pils(monkeypatch, name):
    augment, img = UDARandAugment(), photo()
    pil = Image.fromarray(img[..., ::-1])
    operation = augment.operations[NAMES.index(name)]
    assert operation.is_signed == (name in SIGNED)
    for level in range(1, 10):
        for sign in (-1, 1):
            monkeypatch.setattr(augment, '_random_operations', lambda: [(operation, level, sign)])  # noqa: B023
            ours = augment(dict(img=img))['img']
            found = difference(ours, np.asarray(pil_operation(name, level, sign)(pil))[..., ::-1])
            if name.startswith('shear'):
                assert found.mean() < 1.5
            elif name == 'rotate':
                assert (found > 0).any(axis=-1).mean() < 0.01
            else:
                assert found.max() <= 1


@pytest.mark.parametrize('level, side', [(1, 2), (3, 6), (4, 8), (9, 20)])
def test_the_small_cutout(monkeypatch, level, side):
    """Whole, it is a square of an even side in ImageNet's mean colour."""
    augment = UDARandAugment()
    operation = augment.operations[NAMES.index('cutout')]
    monkeypatch.setattr(augment, '_random_operations', lambda: [(operation, level, 1)])
    areas = set()
    for _ in range(50):
        changed = augment(dict(img=np.zeros((60, 60, 3), np.uint8)))['img']
        mask = changed.any(axis=-1)
        assert (changed[mask] == (113, 122, 125)).all()
        areas.add((mask.any(axis=1).sum(), mask.any(axis=0).sum()))
    assert max(areas) == (side, side)


def test_what_is_drawn_is_uniform():
    """Chi-squared tests of 8,000 draws, at a level that one run in 10,000 fails, with a fixed seed."""
    augment = UDARandAugment()
    drawn = draws(augment)
    applied = [entry for image in drawn for entry in image]
    number = Counter(len(image) for image in drawn)
    assert stats.chisquare([number[0], number[1], number[2]], [1000, 2000, 1000]).pvalue > 1e-4
    which = Counter(augment.operations.index(operation) for operation, _, _ in applied)
    levels, signs = (Counter(values) for values in list(zip(*applied))[1:])
    assert len(which) == 15 and set(levels) == set(range(1, 10)) and set(signs) == {-1, 1}
    for counter in (which, levels, signs):
        assert stats.chisquare(list(counter.values())).pvalue > 1e-4


@pytest.mark.parametrize('probability, expected', [(0, 0), (1, 3)])
def test_number_and_probability(probability, expected):
    augment = UDARandAugment(num_operations=3, probability=probability)
    assert {len(image) for image in draws(augment, 20)} == {expected}


def test_pad_val_fills_what_is_left_empty(monkeypatch):
    augment = UDARandAugment(pad_val=7)
    for name in ('shear_x', 'shear_y', 'translate_x', 'translate_y', 'rotate'):
        operation = augment.operations[NAMES.index(name)]
        monkeypatch.setattr(augment, '_random_operations', lambda: [(operation, 9, 1)])  # noqa: B023
        img = augment(dict(img=np.full((40, 40, 3), 200, np.uint8)))['img']
        assert (img == 7).all(axis=-1).mean() > 0.05


def test_the_same_seed_gives_the_same_image():
    augment, img = UDARandAugment(probability=1), photo()

    def augmented(seed):
        np.random.seed(seed)
        return np.stack([augment(dict(img=img))['img'] for _ in range(10)])

    assert np.array_equal(augmented(3), augmented(3)) and not np.array_equal(augmented(3), augmented(4))


def test_it_reaches_workers_that_are_started_anew():
    augment = pickle.loads(pickle.dumps(TRANSFORMS.build(dict(type='UDARandAugment', probability=1))))
    assert augment(dict(img=photo()))['img'].shape == photo().shape


@pytest.mark.parametrize('name, value', [('num_operations', 0), ('probability', 1.5), ('pad_val', 256)])
def test_wrong_arguments(name, value):
    with pytest.raises(ValueError, match=f'`{name}`.*but got {value}'):
        UDARandAugment(**{name: value})


@pytest.mark.parametrize('img', [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8)])
def test_wrong_image(img):
    with pytest.raises(ValueError, match='uint8, but got.*color_type'):
        UDARandAugment()(dict(img=img))
