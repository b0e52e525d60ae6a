import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from kmcl_mm.apps.webapp.uploads import RefusedUpload, check_upload
from tests.attacks import ATTACKS


def chunk(kind, content):
    body = kind + content
    return struct.pack('>I', len(content)) + body + struct.pack('>I', zlib.crc32(body))


def png_of(width, height):
    """A PNG of a few hundred bytes that says it has this size."""
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', pixels) + chunk(b'IEND', b'')


@pytest.mark.parametrize(
    'width, height, words',
    [
        (10001, 10000, 'too large. It has 10001 x 10000 pixels'),
        (60000, 60000, 'too large'),
        (100, 5001, '100 x 5001 pixels. The longer side must be at most 50 times'),
        (0, 10, 'not an image'),
    ],
)
def test_images_that_would_take_too_much_memory_are_refused_undecoded(width, height, words, tmp_path):
    path = tmp_path / 'bomb.png'
    path.write_bytes(png_of(width, height))
    assert path.stat().st_size < 500
    with pytest.raises(RefusedUpload, match=words):
        check_upload(path)


def test_the_largest_images_are_not(tmp_path):
    for number, (width, height) in enumerate([(10000, 10000), (100, 5000), (1, 1)]):
        path = tmp_path / f'{number}.png'
        path.write_bytes(png_of(width, height))
        check_upload(path)


@pytest.mark.parametrize(
    'content', [b'', b'just text', b'<svg xmlns="http://www.w3.org/2000/svg"/>', b'%!PS-Adobe', b'\xff\xd8\xff']
)
def test_other_files_are_refused_whatever_they_are_called(content, tmp_path):
    path = tmp_path / 'photo.jpg'
    path.write_bytes(content)
    with pytest.raises(RefusedUpload, match='not an image in one of the formats JPEG, PNG'):
        check_upload(path)


def test_a_pickle_is_no_image(tmp_path):
    import pickle

    path = tmp_path / 'photo.png'
    path.write_bytes(pickle.dumps(ATTACKS[0]))
    with pytest.raises(RefusedUpload):
        check_upload(path)
    assert not (tmp_path / 'pwned').exists()


def test_formats_that_run_other_programs_or_are_rare_are_refused(tmp_path):
    path = tmp_path / 'photo.jpg'
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, 'EPS')
    with pytest.raises(RefusedUpload):
        check_upload(path)


@pytest.mark.parametrize('error', [PermissionError(13, 'Permission denied'), MemoryError()])
def test_an_error_of_the_storage_is_not_one_of_the_upload(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(Image, 'open', fail)
    with pytest.raises(type(error)):
        check_upload(tmp_path / 'photo.jpg')
