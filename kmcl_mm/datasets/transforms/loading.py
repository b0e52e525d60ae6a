"""Loading of images."""

import io
import math
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.fileio import FileClient, get
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from ...errors import UnreadableImageError, is_missing_file
from . import jpeg

# How many times smaller a JPEG can be decoded, the most first.
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}


@TRANSFORMS.register_module()
class LoadCheckedImage(LoadImageFromFile):
    """MMCV's ``LoadImageFromFile`` that refuses broken files by name and can decode JPEGs at a smaller size.

    Refused are a JPEG file whose end is missing (MMCV fills the rest with grey), and a header that claims more pixels
    than a JPEG file can hold or, in other formats, than PIL opens (twice ``PIL.Image.MAX_IMAGE_PIXELS``). The latter
    would fill gigabytes of memory.

    Args:
        min_size: If a JPEG's shorter side is at least two, four or eight times this many pixels, it is decoded at
            1/2, 1/4 or 1/8 of its size: faster, and never smaller than ``min_size``. The result is close to averages
            over squares of 2, 4 or 8 pixels of the full image. None decodes in full, as all other formats are.
        **kwargs: MMCV's arguments: ``color_type``, ``imdecode_backend``, ``backend_args`` and so on.

    Raises:
        ValueError: ``min_size`` is not positive, or is given together with another ``color_type`` than 'color' or
            another ``imdecode_backend`` than 'cv2'.
        UnreadableImageError: A file is missing, or its content is not a complete image. UnreadableImagesHook decides
            what happens then. Errors of the storage or the system (no connection, no permission, no memory) are
            raised as they are: they say nothing about the image.

    Required key: ``img_path``. Added keys: ``img`` (H, W, 3) in BGR, ``img_shape``, and ``ori_shape``, the height and
    width of the image in full.
    """

    def __init__(self, min_size: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min_size is not None:
            if min_size < 1:
                raise ValueError(f'Expected argument `min_size` to be at least 1 or None, but got {min_size}.')
            if (self.color_type, self.imdecode_backend) != ('color', 'cv2'):
                raise ValueError(
                    "Expected arguments `color_type` and `imdecode_backend` to be 'color' and 'cv2' where `min_size` "
                    f'is given, but got {self.color_type!r} and {self.imdecode_backend!r}. Leave `min_size` out.'
                )
        self.min_size = min_size

    def transform(self, results: dict) -> dict | None:
        """Load the image.

        Args:
            results: The data of an image, with ``img_path``.

        Returns:
            The same with ``img``, ``img_shape`` and ``ori_shape``; None for a missing or broken file with MMCV's
            ``ignore_empty=True``.

        Raises:
            UnreadableImageError: The file is missing, or its content is not a complete image.
            OSError: The storage does not answer or refuses to. Backends also raise errors of their own kind.
            MemoryError: There is not enough memory for the image.
        """
        path = results['img_path']
        try:
            content = self._read(path)
        except Exception as error:
            if not is_missing_file(error):
                raise
            self._refuse(path, error)
            return None
        try:
            img, results['ori_shape'] = self._decode(content)
        except MemoryError:
            raise
        except Exception as error:  # Decoders raise nearly everything on broken content, OSError included.
            if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
                raise MemoryError(str(error)) from error
            self._refuse(path, error)
            return None
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = img.shape[:2]
        return results

    def _refuse(self, path: str, error: Exception) -> None:
        if not self.ignore_empty:
            raise UnreadableImageError(
                f'Expected {path} to be an image, but it cannot be read: {error!r}. Restore the file, or '
                'leave it out of the annotations; default_hooks.unreadable_images.action=skip trains without it.'
            ) from error

    def _read(self, path: str) -> bytes:
        if self.file_client_args is not None:
            content = FileClient.infer_client(self.file_client_args, path).get(path)
        else:
            content = get(path, backend_args=self.backend_args)
        # Some backends return a memoryview; LMDB returns None for a missing file.
        return bytes(content or b'')

    def _decode(self, content: bytes) -> tuple[np.ndarray, tuple[int, int]]:
        """The image, and its height and width in full."""
        if not content:
            raise ValueError('it is empty')
        size = None
        if jpeg.is_jpeg(content):
            if jpeg.is_cut_short(content):
                raise ValueError('the end of the file is missing')
            size = jpeg.read_size(content)
            if size and math.prod(size) > jpeg.MOST_PIXELS_PER_BYTE * len(content):
                raise ValueError(f'its header claims {size[1]} x {size[0]} pixels, more than its bytes can hold')
        else:
            _check_number_of_pixels(content)
        factor = next((factor for factor in _REDUCED if self._is_enough(size, factor)), 1)
        flag = _REDUCED.get(factor, self.color_type)
        img = mmcv.imfrombytes(content, flag=flag, backend=self.imdecode_backend)
        if img is None:
            raise ValueError('it cannot be decoded')
        if size is None or factor == 1:
            return img, img.shape[:2]
        height, width = size
        # The decoder may have turned the image by 90 degrees, as its EXIF orientation demands.
        return img, (height, width) if img.shape[0] == -(-height // factor) else (width, height)

    def _is_enough(self, size: tuple[int, int] | None, factor: int) -> bool:
        """Whether an image decoded this many times smaller is still at least ``min_size``."""
        return self.min_size is not None and size is not None and min(size) >= factor * self.min_size

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, min_size={self.min_size})'


def _check_number_of_pixels(content: bytes) -> None:
    """Refuse an image whose header PIL refuses: a small file may hold billions of pixels of one colour."""
    try:
        Image.open(io.BytesIO(content)).close()
    except Image.DecompressionBombError:
        raise
    except Exception:
        # The decoder may know formats that PIL does not.
        return
