"""Loading of images."""

import io
import math
from typing import Any, Dict, Optional, Tuple

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.fileio import FileClient, get
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from ...errors import UnreadableImageError
from . import jpeg

# How many times smaller a JPEG can be decoded, the most first.
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}


@TRANSFORMS.register_module()
class LoadCheckedImage(LoadImageFromFile):
    """The host's ``LoadImageFromFile``, which refuses broken files by name and can decode JPEGs at a smaller size.

    A JPEG file whose end is missing is refused, where the host's gives an image with grey in place of the rest. So is a
    header that claims more pixels than the file can hold, or, in another format, than PIL opens (twice
    ``PIL.Image.MAX_IMAGE_PIXELS``), before gigabytes are filled.

    Args:
        min_size: Where a JPEG's shorter side is at least twice, four or eight times this many pixels, it is decoded at
            1/2, 1/4 or 1/8 of its size, which costs less and is never smaller than this. What is decoded so is close to
            averages over squares of 2, 4 or 8 pixels of the whole image. None decodes everything in full; other
            formats always are.
        **kwargs: The host's arguments: ``color_type``, ``imdecode_backend``, ``backend_args`` and so on.

    Raises:
        ValueError: ``min_size`` is not positive, or is given together with another ``color_type`` than 'color' or
            another ``imdecode_backend`` than 'cv2'.
        UnreadableImageError: A file is missing or is not a whole image. UnreadableImagesHook says what then happens.

    Required key: ``img_path``. Added keys: ``img`` (H, W, 3) in BGR, ``img_shape``, and ``ori_shape``, the height and
    width of the image in full.
    """

    def __init__(self, min_size: Optional[int] = None, **kwargs: Any) -> None:
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

    def transform(self, results: Dict) -> Optional[Dict]:
        """Load the image.

        Args:
            results: The data of an image, with ``img_path``.

        Returns:
            The same with ``img``, ``img_shape`` and ``ori_shape``; None for a broken file with the host's
            ``ignore_empty=True``.

        Raises:
            UnreadableImageError: The file is missing or is not a whole image.
        """
        path = results['img_path']
        try:
            img, results['ori_shape'] = self._decode(self._read(path))
        except Exception as error:
            if self.ignore_empty:
                return None
            raise UnreadableImageError(
                f'Expected {path} to be an image, but it cannot be read: {error!r}. Restore the file, or '
                'leave it out of the annotations; default_hooks.unreadable_images.action=skip trains without it.'
            ) from error
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = img.shape[:2]
        return results

    def _read(self, path: str) -> bytes:
        if self.file_client_args is not None:
            return FileClient.infer_client(self.file_client_args, path).get(path)
        return get(path, backend_args=self.backend_args)

    def _decode(self, content: bytes) -> Tuple[np.ndarray, Tuple[int, int]]:
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
        # The image may have been turned by a quarter, as its file asks for.
        return img, (height, width) if img.shape[0] == -(-height // factor) else (width, height)

    def _is_enough(self, size: Optional[Tuple[int, int]], factor: int) -> bool:
        """Whether an image that is decoded this many times smaller is still as large as asked for."""
        return self.min_size is not None and size is not None and min(size) >= factor * self.min_size

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, min_size={self.min_size})'


def _check_number_of_pixels(content: bytes) -> None:
    """Refuse what PIL refuses by its header: a small file may hold billions of pixels of one colour."""
    try:
        Image.open(io.BytesIO(content)).close()
    except Image.DecompressionBombError:
        raise
    except Exception:
        # What PIL does not know, the decoder may.
        return
