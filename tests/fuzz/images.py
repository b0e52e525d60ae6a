"""Image files through LoadCheckedImage, and through the check of the data, which must agree with it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import init_default_scope
from mmpretrain.registry import TRANSFORMS
from numpy.random import Generator
from PIL import Image, ImageOps

from kmcl_mm.apps.data_check.image_facts import inspect_image
from kmcl_mm.datasets.transforms import LoadCheckedImage
from kmcl_mm.errors import UnreadableImageError

from .image_mutations import IMAGE, draw_jpeg
from .target import Target

MIN_SIZE = 20


class ImageFile(Target):
    """A small JPEG, loaded with a window, in full and with ``min_size``."""

    name, number, mutations = 'image', 130, IMAGE

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        init_default_scope('mmpretrain')
        self.transforms = [
            TRANSFORMS.build(dict(type='LoadCheckedImage', **settings))
            for settings in (dict(window='bit_depth'), {}, dict(min_size=MIN_SIZE))
        ]

    def original(self, generator: Generator) -> bytes:
        return draw_jpeg()

    def load(self, content: bytes) -> Any:
        path = self.folder / 'image.jpg'
        path.write_bytes(content)
        return [self._load(str(path), transform) for transform in self.transforms]

    def _load(self, path: str, transform: LoadCheckedImage) -> dict[str, Any]:
        problem = inspect_image(path, transform).problem
        try:
            results = transform(dict(img_path=path))
        except UnreadableImageError:
            assert problem, 'the check has found nothing'
            raise
        assert problem is None, f'the check has found {problem!r}'
        return results

    def check(self, content: bytes, loaded: list[Any]) -> None:
        """Against PIL's header, and its pixels where it decodes the file."""
        for results in loaded:
            img = results['img']
            assert img.dtype == np.uint8 and img.ndim == 3 and img.shape[2] == 3
            assert results['img_shape'] == img.shape[:2]
            assert min(img.shape[:2]) >= min(*results['ori_shape'], MIN_SIZE)
        windowed, whole, reduced = loaded
        assert whole['ori_shape'] == reduced['ori_shape'] == whole['img_shape']
        with Image.open(io.BytesIO(content)) as img:
            assert sorted(img.size) == sorted(whole['ori_shape'])
            try:
                if img.mode.startswith('I'):
                    assert windowed['img'].max() > 127
                    judge = np.dstack([np.asarray(img) >> 8] * 3)
                else:
                    assert np.array_equal(windowed['img'], whole['img'])
                    judge = np.asarray(ImageOps.exif_transpose(img).convert('RGB'))[..., ::-1]
            except OSError:
                # One decoder gives up where the other goes on: damaged scans have no checksums.
                return
        assert judge.shape == whole['img'].shape and np.abs(whole['img'].astype(int) - judge).mean() < 3
