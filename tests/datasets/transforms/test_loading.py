import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS
from PIL import Image


def load(path, **settings):
    return TRANSFORMS.build(dict(type='LoadCheckedImage', **settings))(dict(img_path=str(path)))


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_loads_as_the_host_does(tmp_path, backend):
    pixels = np.random.RandomState(0).randint(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'image.png')
    results = load(tmp_path / 'image.png', imdecode_backend=backend)
    assert np.array_equal(results['img'], pixels[..., ::-1]) and results['img_shape'] == (5, 7)


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('content', [b'', b'no image', b'\xff\xd8\xff\xe0 cut short'])
def test_names_a_file_that_is_no_image(tmp_path, backend, content):
    (tmp_path / 'broken.jpg').write_bytes(content)
    with pytest.raises(ValueError, match='broken.jpg to be an image.*Restore'):
        load(tmp_path / 'broken.jpg', imdecode_backend=backend)


def test_names_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match='missing.jpg'):
        load(tmp_path / 'missing.jpg')
