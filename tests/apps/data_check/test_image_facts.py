import io

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.fileio import LocalBackend
from PIL import Image

from kmcl_mm.apps.data_check import image_facts
from kmcl_mm.apps.data_check.image_facts import LOST_CONTRAST
from kmcl_mm.datasets.transforms import LoadCheckedImage
from kmcl_mm.errors import UnreadableImageError
from tests.apps.data_check.drawn import draw_scene


def inspect_image(path, **settings):
    return image_facts.inspect_image(path, LoadCheckedImage(**settings))


def inspect_images(paths, workers):
    return image_facts.inspect_images(dict.fromkeys(paths, LoadCheckedImage()), workers)


def save(path, image, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return str(path)


@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize('size', [(96, 72), (1024, 700)])
def test_every_cut_of_a_jpeg_is_found(tmp_path, size, progressive):
    """Also where it is decoded at a part of its size; OpenCV reads these."""
    buffer = io.BytesIO()
    Image.fromarray(draw_scene(0, *size)).save(buffer, 'JPEG', progressive=progressive)
    content = buffer.getvalue()
    path = tmp_path / 'cut.jpg'
    path.write_bytes(content)
    assert inspect_image(str(path)).problem is None
    for part in (0.3, 0.6, 0.9, 0.99):
        path.write_bytes(content[: int(part * len(content))])
        assert inspect_image(str(path)).problem
    path.write_bytes(content[:-2])
    assert inspect_image(str(path)).problem
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))  # a download that stopped
    assert inspect_image(str(path)).problem


def test_files_that_are_no_images(tmp_path):
    for name, content in (('empty.jpg', b''), ('text.jpg', b'not an image'), ('png.png', b'\x89PNG\r\n\x1a\n12345')):
        (tmp_path / name).write_bytes(content)
        assert inspect_image(str(tmp_path / name)).problem
    assert 'cannot be opened' in inspect_image(str(tmp_path / 'missing.jpg')).problem


@pytest.mark.parametrize(
    'image, oddity',
    [
        (draw_scene(0, 200, 31), 'smaller than 32 pixels'),
        (draw_scene(0, 400, 70), 'longer than 5 to 1'),
        (np.full((60, 60, 3), 90, np.uint8), 'of one colour'),
        (Image.fromarray(draw_scene(0)).convert('RGBA'), 'colour mode RGBA'),
        (Image.fromarray(draw_scene(0)).convert('P'), 'colour mode P'),
    ],
)
def test_odd_images(tmp_path, image, oddity):
    facts = inspect_image(save(tmp_path / 'odd.png', image))
    assert facts.problem is None and oddity in facts.oddities


def test_usual_images_are_not_odd(tmp_path):
    for image in (Image.fromarray(draw_scene(0)), Image.fromarray(draw_scene(0)).convert('L')):
        facts = inspect_image(save(tmp_path / 'usual.jpg', image))
        assert facts.oddities == () and (facts.width, facts.height) == (96, 72)


def test_an_image_that_is_turned_by_its_exif_orientation(tmp_path):
    """Its thumbnail is that of the picture as it is shown."""
    image = Image.fromarray(draw_scene(0))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = inspect_image(save(tmp_path / 'turned.png', image.rotate(90, expand=True), exif=exif))
    assert turned.oddities == ('turned by its EXIF orientation',) and turned.sides_swapped
    upright = inspect_image(save(tmp_path / 'upright.png', image))
    np.testing.assert_allclose(turned.thumbnail.astype(int), upright.thumbnail.astype(int), atol=1)


def deep(path, factor, dtype=np.uint16):
    return save(path, Image.fromarray((draw_scene(0)[..., 0] * np.float64(factor)).astype(dtype)))


@pytest.mark.parametrize('name, factor, dtype', [('12.png', 16, np.uint16), ('10.tif', 4, np.uint16)])
def test_what_the_network_gets_of_deep_images_is_what_is_checked(tmp_path, name, factor, dtype):
    path = deep(tmp_path / name, factor, dtype)
    assert LOST_CONTRAST in inspect_image(path).oddities
    stretched = inspect_image(path, window='bit_depth')
    assert stretched.oddities == ('colour mode I;16',)
    plain = inspect_image(save(tmp_path / 'plain.png', draw_scene(0)[..., 0]))
    np.testing.assert_allclose(stretched.thumbnail.astype(int), plain.thumbnail.astype(int), atol=2)


def test_16_bits_of_which_little_is_left(tmp_path):
    """Hounsfield units above 32768, as some exports of CT have them."""
    values = (32768 + draw_scene(0)[..., 0] * 8.0).astype(np.uint16)
    path = save(tmp_path / 'ct.png', values)
    assert LOST_CONTRAST in inspect_image(path).oddities
    assert inspect_image(path, window=(32768, 34815)).oddities == ('colour mode I;16',)


@pytest.mark.parametrize('color_type', ['unchanged', 'grayscale'])
@pytest.mark.parametrize('imdecode_backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('name', ['grey_alpha.png', 'bits.png', 'numbers.tif', 'alpha.png'])
def test_images_of_any_channels_and_numbers(tmp_path, name, imdecode_backend, color_type):
    grey = draw_scene(0)[..., 0]
    modes = {'grey_alpha.png': 'LA', 'bits.png': '1', 'numbers.tif': 'I', 'alpha.png': 'RGBA'}
    path = save(tmp_path / name, Image.fromarray(grey).convert(modes[name]))
    load = LoadImageFromFile(color_type=color_type, imdecode_backend=imdecode_backend)
    facts = image_facts.inspect_image(path, load)
    if facts.problem:
        with pytest.raises(AssertionError, match='failed to load image'):
            load(dict(img_path=path))
    else:
        assert (
            np.corrcoef(facts.thumbnail.ravel(), inspect_image(path, window='bit_depth').thumbnail.ravel())[0, 1] > 0.9
        )


def test_8_bit_values_in_16_bits_are_black(tmp_path):
    path = deep(tmp_path / '8.png', 1)
    assert {'of one colour', LOST_CONTRAST} <= set(inspect_image(path).oddities)
    assert inspect_image(path, window='bit_depth').oddities == ('colour mode I;16',)


def test_a_dark_photograph_has_little_contrast(tmp_path):
    grey = (draw_scene(0)[..., 0] / 255 * 12).astype(np.uint8)
    assert inspect_image(save(tmp_path / 'dark.png', grey)).oddities == ('in less than 16 of 256 grey values',)


def test_an_image_without_contrast(tmp_path):
    grey = (200 + draw_scene(0)[..., 0] / 255 * 12).astype(np.uint8)
    assert inspect_image(save(tmp_path / 'flat.png', grey)).oddities == ('in less than 16 of 256 grey values',)


def test_colours_under_full_transparency(tmp_path):
    pixels = np.dstack([draw_scene(0), np.full((72, 96), 255, np.uint8)])
    pixels[:30, :, 3] = 0
    hidden = 'with colours under full transparency, which the network sees'
    assert hidden in inspect_image(save(tmp_path / 'hidden.png', pixels)).oddities
    pixels[:30, :, :3] = 0
    assert hidden not in inspect_image(save(tmp_path / 'plain.png', pixels)).oddities


FORMATS = {
    'float.tif': (lambda path: deep(path, 1 / 255, np.float32), 'float32 numbers: set window='),
    'int32.tif': (lambda path: deep(path, 100, np.int32), 'int32 numbers: set window='),
    **{
        f'some.{name.lower()}': (
            lambda path: save(path, draw_scene(0)),
            f'OpenCV does not decode the format {name}: convert it to PNG',
        )
        for name in ('TGA', 'PCX', 'QOI', 'DDS', 'ICO')
    },
}


@pytest.mark.parametrize('name', FORMATS)
def test_what_the_training_cannot_load_the_check_refuses(tmp_path, name):
    """Pillow opens all of these."""
    write, reason = FORMATS[name]
    path = write(tmp_path / name)
    Image.open(path).load()
    assert reason in inspect_image(path).problem
    with pytest.raises(UnreadableImageError, match='cannot be read'):
        LoadCheckedImage()(dict(img_path=path))


@pytest.mark.parametrize('grey', [True, False])
def test_a_png_without_its_end(tmp_path, grey):
    path = save(tmp_path / 'cut.png', draw_scene(0)[..., 0] if grey else draw_scene(0))
    with open(path, 'rb') as file:
        content = file.read()
    for end in (-12, len(content) // 2):
        with open(path, 'wb') as file:
            file.write(content[:end])
        assert inspect_image(path).problem


def test_in_processes_with_progress(tmp_path, capfd):
    paths = [save(tmp_path / f'{seed}.jpg', draw_scene(seed)) for seed in range(20)]
    facts = inspect_images(paths, workers=2)
    assert list(facts) == paths
    assert all(facts[path].digest == inspect_image(path).digest for path in paths)
    assert '20/20' in capfd.readouterr().err
    assert inspect_images([], workers=1) == {}
    with pytest.raises(ValueError, match='`workers`.*at least 1'):
        inspect_images(paths, workers=0)


@pytest.mark.parametrize('error', [ConnectionError('reset by peer'), OSError(24, 'Too many open files'), MemoryError()])
def test_an_error_of_the_storage_is_not_one_of_the_image(tmp_path, monkeypatch, error):
    path = save(tmp_path / 'a.png', draw_scene(0))

    def fail(*_):
        raise error

    monkeypatch.setattr(LocalBackend, 'get', fail)
    with pytest.raises(type(error)):
        inspect_image(path)


def test_a_file_without_permission_is_a_problem(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(LocalBackend, 'get', refuse)
    assert inspect_image(str(tmp_path / 'a.png')).problem == 'cannot be opened: Permission denied'


def test_a_memory_that_is_full_is_not_a_broken_image(tmp_path, monkeypatch):
    path = save(tmp_path / 'a.png', draw_scene(0))

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr('cv2.imdecode', fail)
    with pytest.raises(MemoryError):
        inspect_image(path)
