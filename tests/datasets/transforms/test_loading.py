import errno
import io
import os
import resource
from http.client import IncompleteRead
from unittest.mock import patch
from urllib.error import HTTPError, URLError

import cv2
import numpy as np
import pytest
from mmengine.fileio import LocalBackend
from mmpretrain.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError

from kmcl_mm.errors import UnreadableImageError
from tests.datasets.transforms.test_operations import difference, photo

TURNED = 6  # EXIF's number for an image that is to be shown turned by a quarter


def load(path, **settings):
    return TRANSFORMS.build(dict(type='LoadCheckedImage', **settings))(dict(img_path=str(path)))


def save(path, img, **options):
    """Save an image in BGR by PIL."""
    Image.fromarray(img[..., ::-1]).save(path, **options)
    return path


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_loads_as_mmpretrain_does(tmp_path, backend):
    pixels = np.random.RandomState(0).randint(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'image.png')
    results = load(tmp_path / 'image.png', imdecode_backend=backend)
    assert np.array_equal(results['img'], pixels[..., ::-1])
    assert results['img_shape'] == results['ori_shape'] == (5, 7)


@pytest.mark.parametrize(
    'settings', [{}, dict(color_type='grayscale'), dict(to_float32=True), dict(backend_args=dict(backend='local'))]
)
@pytest.mark.parametrize('orientation', [1, TURNED])
def test_mmpretrains_arguments(tmp_path, settings, orientation):
    path = save(tmp_path / 'image.jpg', photo(), exif=exif(orientation))
    theirs = TRANSFORMS.build(dict(type='LoadImageFromFile', **settings))(dict(img_path=str(path)))
    ours = load(path, **settings)
    assert np.array_equal(ours['img'], theirs['img']) and ours['img'].dtype == theirs['img'].dtype
    assert all(ours[key] == theirs[key] for key in ('img_shape', 'ori_shape'))


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('content', [b'', b'no image', b'\xff\xd8\xff\xe0 cut short'])
def test_names_a_file_that_is_no_image(tmp_path, backend, content):
    (tmp_path / 'broken.jpg').write_bytes(content)
    with pytest.raises(ValueError, match='broken.jpg to be an image.*Restore'):
        load(tmp_path / 'broken.jpg', imdecode_backend=backend)


def test_names_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match='missing.jpg'):
        load(tmp_path / 'missing.jpg')


def raising(error):
    """A function that raises, whatever it is given."""

    def fail(*args, **kwargs):
        raise error

    return fail


def no_memory():
    """What OpenCV raises where there is none."""
    error = cv2.error('(-4:Insufficient memory) Failed to allocate 192000000 bytes')
    error.code = cv2.Error.StsNoMem
    return error


@pytest.mark.parametrize('ignore_empty', [False, True])
@pytest.mark.parametrize(
    'error',
    [
        ConnectionResetError(errno.ECONNRESET, 'Connection reset by peer'),
        PermissionError(errno.EACCES, 'Permission denied'),
        OSError(errno.EMFILE, 'Too many open files'),
        OSError(errno.EIO, 'Input/output error'),
        OSError(errno.ESTALE, 'Stale file handle'),
        TimeoutError('timed out'),
        URLError('Name or service not known'),
        HTTPError('http://storage/image.png', 503, 'Service Unavailable', {}, None),
        HTTPError('http://storage/image.png', 403, 'Forbidden', {}, None),
        IncompleteRead(b'half'),
        RuntimeError('a client library of its own'),
        MemoryError(),
    ],
    ids=repr,
)
def test_a_storage_that_does_not_answer_is_no_broken_image(tmp_path, monkeypatch, error, ignore_empty):
    """Other images would take its place in the training."""
    path = save(tmp_path / 'image.png', photo())
    monkeypatch.setattr(LocalBackend, 'get', raising(error))
    with pytest.raises(type(error)) as raised:
        load(path, ignore_empty=ignore_empty)
    assert raised.value is error


def test_too_many_open_files(tmp_path):
    path = save(tmp_path / 'image.png', photo())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_handle = os.dup(0)
    os.close(next_handle)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_handle, hard))
    try:
        with pytest.raises(OSError, match='Too many open files'):
            load(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert load(path)['img_shape'] == photo().shape[:2]


@pytest.mark.parametrize('error', [MemoryError(), no_memory()], ids=repr)
def test_no_memory_to_decode_is_no_broken_image(tmp_path, monkeypatch, error):
    path = save(tmp_path / 'image.png', photo())
    monkeypatch.setattr('cv2.imdecode', raising(error))
    with pytest.raises(MemoryError):
        load(path)


@pytest.mark.parametrize(
    'error',
    [
        FileNotFoundError(errno.ENOENT, 'No such file or directory'),
        NotADirectoryError(errno.ENOTDIR, 'Not a directory'),
        IsADirectoryError(errno.EISDIR, 'Is a directory'),
        HTTPError('http://storage/image.png', 404, 'Not Found', {}, None),
    ],
    ids=repr,
)
def test_a_missing_file_is_a_broken_image(tmp_path, monkeypatch, error):
    monkeypatch.setattr(LocalBackend, 'get', raising(error))
    with pytest.raises(UnreadableImageError, match='image.png to be an image'):
        load(tmp_path / 'image.png')


@pytest.mark.parametrize(
    'error',
    [
        UnidentifiedImageError('cannot identify image file'),
        OSError('image file is truncated'),
        cv2.error('(-215:Assertion failed)'),
        SyntaxError('not a TIFF file'),
    ],
    ids=repr,
)
def test_what_a_decoder_raises_is_about_the_image(tmp_path, monkeypatch, error):
    path = save(tmp_path / 'image.png', photo())
    monkeypatch.setattr('cv2.imdecode', raising(error))
    with pytest.raises(UnreadableImageError, match='image.png to be an image'):
        load(path)


def test_a_view_of_bytes_is_an_image(tmp_path, monkeypatch):
    """As MMEngine's backends for Petrel and memcached give it."""
    path = save(tmp_path / 'image.jpg', photo(480, 640))
    expected = load(path, min_size=120)['img']
    monkeypatch.setattr(LocalBackend, 'get', lambda self, path: memoryview(open(path, 'rb').read()))
    assert np.array_equal(load(path, min_size=120)['img'], expected)


def test_ignore_empty_gives_nothing_for_a_broken_file(tmp_path):
    (tmp_path / 'broken.jpg').write_bytes(b'no image')
    assert load(tmp_path / 'broken.jpg', ignore_empty=True) is None


@pytest.mark.parametrize('options', [{}, dict(progressive=True), dict(exif=exif(1), comment=b'x' * 300)])
@pytest.mark.parametrize('part', [0.999, 0.9, 0.5])
def test_refuses_a_jpeg_that_is_cut_short(tmp_path, options, part):
    content = save(tmp_path / 'image.jpg', photo(300, 400), **options).read_bytes()
    (tmp_path / 'image.jpg').write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match='image.jpg.*the end of the file is missing'):
        load(tmp_path / 'image.jpg')


def test_the_end_of_a_thumbnail_is_not_that_of_the_image(tmp_path):
    """A whole thumbnail before the image's scans, and data after its end, as cameras write them."""
    content = save(tmp_path / 'image.jpg', photo(300, 400)).read_bytes()
    thumbnail = save(tmp_path / 'thumbnail.jpg', photo(30, 40)).read_bytes()
    segment = b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    with_thumbnail = content[:2] + segment + content[2:]
    for file_content, is_whole in (
        (with_thumbnail, True),
        (with_thumbnail + b'more', True),
        # As of a film behind the image, which may hold any bytes.
        (with_thumbnail + b'\xff\xd9 more \xff\xda more', True),
        (with_thumbnail[:-100], False),
    ):
        (tmp_path / 'image.jpg').write_bytes(file_content)
        if is_whole:
            assert np.array_equal(load(tmp_path / 'image.jpg', min_size=100)['img'].shape, (150, 200, 3))
        else:
            with pytest.raises(ValueError, match='the end of the file is missing'):
                load(tmp_path / 'image.jpg')


@pytest.mark.parametrize('orientation', [1, TURNED])
@pytest.mark.parametrize(
    'shape, min_size, factor',
    [
        ((375, 500), 224, 1),
        ((447, 640), 224, 1),
        ((448, 640), 224, 2),
        ((480, 640), 224, 2),
        ((481, 643), 224, 2),
        ((480, 640), 120, 4),
        ((480, 640), 60, 8),
        ((480, 640), 1, 8),
        ((480, 640), None, 1),
    ],
)
def test_min_size(tmp_path, shape, min_size, factor, orientation):
    """The image is never smaller than asked for, and close to the area average of the whole one."""
    path = save(tmp_path / 'image.jpg', photo(*shape), quality=95, exif=exif(orientation))
    whole, results = load(path)['img'], load(path, min_size=min_size)
    assert results['ori_shape'] == whole.shape[:2] == (shape if orientation == 1 else shape[::-1])
    size = tuple(-(-side // factor) for side in whole.shape[:2])
    assert results['img_shape'] == results['img'].shape[:2] == size
    assert min_size is None or min(size) >= min_size
    if factor == 1:
        assert np.array_equal(results['img'], whole)
    else:
        averaged = cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA)
        found = difference(results['img'], averaged)
        assert found.mean() < 2 and np.quantile(found, 0.99) < 12


def test_other_formats_are_decoded_in_full(tmp_path):
    path = save(tmp_path / 'image.png', photo(480, 640))
    assert np.array_equal(load(path, min_size=60)['img'], photo(480, 640))


def test_real_images(shared_data):
    """Half the size, against PIL's own decoding at half the size, and against averages of the whole image."""
    paths = sorted((shared_data / 'coco_mini/val2017').glob('*.jpg'))[:20]
    from_averages = []
    for path in paths:
        with Image.open(path) as img:
            whole = img.convert('RGB')
        size = tuple(-(-side // 2) for side in whole.size)
        with Image.open(path) as img:
            img.draft('RGB', (img.width // 2, img.height // 2))
            halved = np.asarray(img.convert('RGB'))[..., ::-1]
        ours = load(path, min_size=min(whole.size) // 2)['img']
        assert difference(ours, halved).max() <= 2
        averaged = np.asarray(whole.resize(size, Image.Resampling.BOX))[..., ::-1]
        from_averages.append(difference(ours, averaged).mean())
    assert np.median(from_averages) < 4


def test_a_header_that_says_no_size_is_left_to_the_decoder(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(photo(480, 640)).save(buffer, 'JPEG')
    # A fill byte before the first marker is allowed, and a length that leads nowhere is not.
    for extra, factor in ((b'\xff', 4), (b'\xff\xe2\xff\xfe', 1)):
        (tmp_path / 'image.jpg').write_bytes(buffer.getvalue()[:2] + extra + buffer.getvalue()[2:])
        if factor == 1:
            with pytest.raises(ValueError, match='image.jpg'):
                load(tmp_path / 'image.jpg', min_size=120)
        else:
            assert load(tmp_path / 'image.jpg', min_size=120)['img_shape'] == (120, 160)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(min_size=0), '`min_size` to be at least 1'),
        (dict(min_size=9, color_type='grayscale'), "but got 'grayscale' and 'cv2'"),
        (dict(min_size=9, imdecode_backend='pillow'), "but got 'color' and 'pillow'"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type='LoadCheckedImage', **settings))


@pytest.mark.parametrize('min_size', [None, 20])
def test_a_jpeg_that_claims_more_pixels_than_its_bytes_can_hold(tmp_path, monkeypatch, min_size):
    """Refused before anything is decoded, which would take 6 GB."""
    content = bytearray(save(tmp_path / 'image.jpg', photo(48, 64)).read_bytes())
    start = content.find(b'\xff\xc0') + 5
    content[start : start + 4] = (32000).to_bytes(2, 'big') * 2
    (tmp_path / 'image.jpg').write_bytes(content)
    monkeypatch.setattr('cv2.imdecode', lambda *_, **__: pytest.fail('it was decoded'))
    with pytest.raises(ValueError, match='image.jpg.*claims 32000 x 32000 pixels, more than its bytes can hold'):
        load(tmp_path / 'image.jpg', min_size=min_size)


def test_a_plain_jpeg_is_no_bomb(tmp_path):
    """Of one colour, progressive and with optimal codes: as few bytes for its pixels as there can be."""
    path = save(tmp_path / 'image.jpg', np.full((4000, 4000, 3), 128, np.uint8), progressive=True, optimize=True)
    assert load(path)['img_shape'] == (4000, 4000)
    Image.new('L', (4000, 4000)).save(path, progressive=True, optimize=True)
    assert load(path)['img_shape'] == (4000, 4000)


def test_a_bomb_of_another_format(tmp_path, monkeypatch):
    """400 million pixels of one colour, in 50 kB."""
    Image.new('1', (20000, 20000)).save(tmp_path / 'image.png')
    monkeypatch.setattr('cv2.imdecode', lambda *_, **__: pytest.fail('it was decoded'))
    with pytest.raises(ValueError, match='image.png.*exceeds limit of'):
        load(tmp_path / 'image.png')


def test_an_empty_file(tmp_path):
    (tmp_path / 'image.png').touch()
    with pytest.raises(ValueError, match='image.png to be an image.*it is empty'):
        load(tmp_path / 'image.png')


def deep(path, values):
    """Save an image (H, W) or (H, W, 3) in BGR with more than 8 bits a channel."""
    assert cv2.imwrite(str(path), values)
    return path


RAMP = np.linspace(0, 1, 20 * 30).reshape(20, 30)


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize(
    'name, values, window',
    [
        ('12.png', RAMP * 4095, 'bit_depth'),
        ('12.png', RAMP * 4095, (0, 4095)),
        ('10.tif', RAMP * 1023, 'bit_depth'),
        ('8.png', RAMP * 255, 'bit_depth'),
        ('16.png', RAMP * 65535, 'bit_depth'),
        ('window.png', 1000 + RAMP * 500, (1000, 1500)),
    ],
)
def test_a_window_gives_the_network_the_whole_range(tmp_path, name, values, window, channels):
    values = np.round(values).astype(np.uint16)
    path = deep(tmp_path / name, values if channels == 1 else np.dstack([values] * 3))
    img = load(path, window=window)['img']
    assert img.dtype == np.uint8 and img.shape == (20, 30, 3)
    assert np.abs(img - 255 * RAMP[..., None]).max() <= 1


def test_a_bit_depth_of_32_bits(tmp_path):
    values = np.round(RAMP * 250_000).astype(np.int32)
    Image.fromarray(values).save(tmp_path / 'some.tif')
    assert load(tmp_path / 'some.tif', window='bit_depth')['img'].max() == round(255 * 250_000 / (2**18 - 1))
    with pytest.raises(UnreadableImageError, match='it holds int32 numbers: set window='):
        load(tmp_path / 'some.tif')


@pytest.mark.parametrize('dtype, low', [(np.float32, -0.5), (np.int32, -1000), (np.int16, -1000)])
def test_numbers_without_a_bit_depth_need_two_values(tmp_path, dtype, low):
    values = (low + RAMP * -low * 2).astype(dtype)
    path = deep(tmp_path / 'some.tif', values)
    for settings in ({}, dict(window='bit_depth')):
        with pytest.raises(UnreadableImageError, match=r'it holds .*: set window=\(lowest, highest\)'):
            load(path, **settings)
    img = load(path, window=(low, -low))['img']
    assert np.abs(img - 255 * RAMP[..., None]).max() <= 1


def test_values_outside_the_window_and_none_are_its_ends(tmp_path):
    values = np.array([[-5, 0, 5, 20, np.nan]], np.float32)
    Image.fromarray(values).save(tmp_path / 'some.tif')
    assert load(tmp_path / 'some.tif', window=(0, 10))['img'][0, :, 0].tolist() == [0, 0, 128, 255, 0]


EIGHT_BITS = ('grey.png', 'colour.png', 'colour.bmp', 'alpha.png', 'palette.png', 'palette.gif', 'alpha.webp')
EIGHT_BITS += ('print.tif', 'bits.tif', 'grey.jp2', 'colour.ppm')


@pytest.mark.parametrize('window', [None, 'bit_depth', (0, 4095)])
@pytest.mark.parametrize('name', [*EIGHT_BITS, 'colour.jpg'])
def test_images_of_8_bits_are_loaded_as_without_a_window(tmp_path, name, window):
    kind = dict(grey='L', alpha='RGBA', palette='P', print='CMYK', bits='1').get(name.split('.')[0], 'RGB')
    Image.fromarray(photo()[..., ::-1]).convert(kind).save(tmp_path / name)
    assert np.array_equal(load(tmp_path / name, window=window)['img'], cv2.imread(str(tmp_path / name)))


@pytest.mark.parametrize(
    'values, becomes',
    [(RAMP * 4000, '0 to 4000 become 0 to 15'), (32768 + RAMP * 2000, '32768 to 34768 become 128 to 135')],
)
def test_images_that_lose_their_contrast_are_said_once(tmp_path, values, becomes):
    paths = [deep(tmp_path / f'{number}.png', values.astype(np.uint16)) for number in range(2)]
    transform = TRANSFORMS.build(dict(type='LoadCheckedImage'))
    with patch('kmcl_mm.datasets.transforms.loading.print_log') as log:
        for path in paths:
            # As MMPretrain loads it.
            assert np.array_equal(transform(dict(img_path=str(path)))['img'], cv2.imread(str(path)))
    ((message,), _) = log.call_args
    assert log.call_count == 1 and str(paths[0]) in message and f'{becomes} of 255. Set window' in message


@pytest.mark.parametrize(
    'values, window, is_said',
    [
        (np.zeros((9, 9), np.uint16), None, False),
        (np.full((9, 9), 60000, np.uint16), None, False),
        (np.eye(9, dtype=np.uint8), None, False),
        ((RAMP * 60000).astype(np.uint16), None, False),
        ((RAMP * 800).astype(np.uint16), (0, 4095), False),
        ((RAMP * 800).astype(np.uint16), (0, 65535), True),
    ],
)
def test_which_images_lose_their_contrast(tmp_path, values, window, is_said):
    with patch('kmcl_mm.datasets.transforms.loading.print_log') as log:
        load(deep(tmp_path / 'some.png', values), window=window)
    assert log.called == is_said


@pytest.mark.parametrize('window', ['depth', (1, 1), (5, 2), (0,), 7, (0, float('inf')), (float('nan'), 1)])
def test_what_is_no_window(window):
    with pytest.raises(ValueError, match="`window` to be 'bit_depth', or the two values.*but got"):
        load('some.png', window=window)


def test_a_window_is_for_colour_images_by_opencv():
    with pytest.raises(ValueError, match='where `window` is given'):
        load('some.png', window='bit_depth', color_type='unchanged')


def test_a_turned_image_of_16_bits(tmp_path):
    Image.fromarray(np.round(RAMP * 4095).astype(np.uint16)).save(tmp_path / 'some.tif', exif=exif(TURNED))
    assert load(tmp_path / 'some.tif', window='bit_depth')['img_shape'] == load(tmp_path / 'some.tif')['img_shape']


def test_an_image_that_is_there_already_stays():
    given = dict(img=photo(), img_shape=photo().shape[:2])
    assert TRANSFORMS.build(dict(type='LoadCheckedImage'))(given) is given
