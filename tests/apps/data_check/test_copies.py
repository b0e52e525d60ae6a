import shutil

import numpy as np
import pytest
from PIL import Image

from kmcl_mm.apps.data_check.copies import find_copies
from kmcl_mm.apps.data_check.image_facts import inspect_image
from kmcl_mm.datasets.transforms import LoadCheckedImage
from tests.apps.data_check.drawn import draw_scene


def facts_of(*folders):
    paths = [sorted(str(path) for path in folder.iterdir()) for folder in folders]
    return [*paths, {path: inspect_image(path, LoadCheckedImage()) for part in paths for path in part}]


@pytest.fixture
def scenes(tmp_path):
    folder = tmp_path / 'scenes'
    folder.mkdir()
    for seed in range(40):
        Image.fromarray(draw_scene(seed, 256, 192)).save(folder / f'{seed:02}.jpg', quality=90)
    return folder


@pytest.mark.parametrize('quality', [30, 60, 95])
@pytest.mark.parametrize('scale', [0.4, 0.75, 1, 2])
def test_copies_compressed_and_sized_again(scenes, tmp_path, quality, scale):
    copies = tmp_path / 'copies'
    copies.mkdir()
    for path in scenes.iterdir():
        image = Image.open(path)
        size = [round(scale * side) for side in image.size]
        image.resize(size, Image.Resampling.BICUBIC).save(copies / path.name, quality=quality)
    originals, others, facts = facts_of(scenes, copies)
    found = find_copies(others, facts, originals)
    assert [(copy.path, copy.other_path, copy.kind) for copy in found] == [
        (other, original, 'same picture') for other, original in zip(others, originals)
    ]


def test_same_file_and_same_bytes(scenes, tmp_path):
    copies = tmp_path / 'copies'
    copies.mkdir()
    (copies / 'a.jpg').symlink_to(scenes / '03.jpg')
    shutil.copy(scenes / '05.jpg', copies / 'b.jpg')
    originals, others, facts = facts_of(scenes, copies)
    found = find_copies(others, facts, originals)
    assert [(copy.kind, copy.other_path[-6:]) for copy in found] == [('same file', '03.jpg'), ('same bytes', '05.jpg')]


def test_within_a_folder(scenes):
    shutil.copy(scenes / '05.jpg', scenes / '90.jpg')
    Image.open(scenes / '07.jpg').save(scenes / '91.jpg', quality=40)
    paths, facts = facts_of(scenes)
    assert [(copy.path[-6:], copy.other_path[-6:], copy.kind) for copy in find_copies(paths, facts)] == [
        ('90.jpg', '05.jpg', 'same bytes'),
        ('91.jpg', '07.jpg', 'same picture'),
    ]


def test_pictures_in_the_same_frame_and_plain_ones_are_no_copies(tmp_path):
    framed, plain = tmp_path / 'framed', tmp_path / 'plain'
    for folder in (framed, plain):
        folder.mkdir()
    for seed in range(20):
        picture = np.full((192, 256, 3), 255, np.uint8)
        picture[12:-12, 12:-12] = draw_scene(seed, 232, 168) // 2
        Image.fromarray(picture).save(framed / f'{seed}.png')
        sky = np.full((192, 256, 3), 200, np.uint8) - np.arange(192, dtype=np.uint8)[:, None, None] // 4
        sky[60 + 3 * seed : 70 + 3 * seed, 20 + 9 * seed : 40 + 9 * seed] = 60
        Image.fromarray(sky).save(plain / f'{seed}.png')
    for folder in (framed, plain):
        paths, facts = facts_of(folder)
        assert find_copies(paths, facts) == []


def test_nothing_to_compare(scenes):
    paths, facts = facts_of(scenes)
    assert find_copies([], facts, paths) == [] and find_copies(paths, facts, []) == []


def test_real_images(shared_data):
    """No two of 160 photographs are copies."""
    folder = shared_data / 'coco_mini'
    train, val, facts = facts_of(folder / 'train2017', folder / 'val2017')
    assert find_copies(val, facts, train) == [] and find_copies(train, facts) == []
