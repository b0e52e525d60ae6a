"""Loading of images."""

import io
import logging
import math
from typing import Any, NoReturn

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.fileio import FileClient, get
from mmengine.logging import print_log
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from ...errors import UnreadableImageError, is_missing_file
from . import jpeg

# How many times smaller a JPEG can be decoded, the most first.
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}

# Of 256 grey values: the highest of 14 bits in 16, and the range of an image without contrast.
_DARK, _FEW_VALUES = 64, 16
_BIT_DEPTHS = (8, 10, 12, 14, 16)
# PIL's names of formats that OpenCV decodes: such a file that it does not decode is broken.
_DECODED = ('BMP', 'GIF', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP')


@TRANSFORMS.register_module()
class LoadCheckedImage(LoadImageFromFile):
    """MMCV's ``LoadImageFromFile`` that refuses broken files by name and can decode JPEGs at a smaller size.

    Refused are a JPEG file whose end is missing (MMCV fills the rest with grey), and a header that claims more pixels
    than a JPEG file can hold or, in other formats, than PIL opens (twice ``PIL.Image.MAX_IMAGE_PIXELS``). The latter
    would fill gigabytes of memory.

    Networks take 8 bits a channel. OpenCV keeps the highest 8 of 16 bits, so that 12-bit values, as radiographs and
    satellite images have, come out nearly black: at most 15 of 255. Then a warning says so, once in each process. Give
    a ``window`` for such files. Floating-point numbers, signed ones and those of 32 bits are refused without one.

    Args:
        min_size: If a JPEG's shorter side is at least two, four or eight times this many pixels, it is decoded at
            1/2, 1/4 or 1/8 of its size: faster, and never smaller than ``min_size``. The result is close to averages
            over squares of 2, 4 or 8 pixels of the full image. None decodes in full, as all other formats are.
        window: What of the values of images with more than 8 bits a channel becomes 0 to 255: the two values, such as
            (0, 4095), or 'bit_depth', 0 to the highest value of the smallest bit depth (8, 10, 12, 14, 16 or more) that
            holds the image. Images of floating-point numbers, or with values below 0, need two values.
        **kwargs: MMCV's arguments: ``color_type``, ``imdecode_backend``, ``backend_args`` and so on.

    Raises:
        ValueError: ``min_size`` is not positive; ``window`` is neither 'bit_depth' nor two rising values; or one of
            them is given together with another ``color_type`` than 'color' or another ``imdecode_backend`` than 'cv2'.
        UnreadableImageError: A file is missing, or its content is not a complete image. UnreadableImagesHook decides
            what happens then. Errors of the storage or the system (no connection, no permission, no memory) are
            raised as they are: they say nothing about the image.

    An image that is there already, as MMPretrain's inferencers give it, stays as it is.

    Required key: ``img_path``. Added keys: ``img`` (H, W, 3) in BGR, ``img_shape``, and ``ori_shape``, the height and
    width of the image in full.
    """

    def __init__(
        self, min_size: int | None = None, window: str | tuple[float, float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if min_size is not None and min_size < 1:
            raise ValueError(f'Expected argument `min_size` to be at least 1 or None, but got {min_size}.')
        if window is not None and not _is_window(window):
            raise ValueError(
                "Expected argument `window` to be 'bit_depth', or the two values that become 0 and 255, but got "
                f'{window!r}.'
            )
        for name, value in (('min_size', min_size), ('window', window)):
            if value is not None and not self._is_plain:
                raise ValueError(
                    f"Expected arguments `color_type` and `imdecode_backend` to be 'color' and 'cv2' where `{name}` "
                    f'is given, but got {self.color_type!r} and {self.imdecode_backend!r}. Leave `{name}` out.'
                )
        self.min_size = min_size
        self.window = window
        # In this process: workers have a copy each.
        self._has_warned = False

    @property
    def _is_plain(self) -> bool:
        return (self.color_type, self.imdecode_backend) == ('color', 'cv2')

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
        if 'img' in results and 'img_path' not in results:
            return results
        path = results['img_path']
        try:
            content = self._read(path)
        except Exception as error:
            if not is_missing_file(error):
                raise
            self._refuse(path, error)
            return None
        try:
            img, results['ori_shape'] = self._decode(content, path)
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

    def _decode(self, content: bytes, path: str) -> tuple[np.ndarray, tuple[int, int]]:
        """The image, and its height and width in full."""
        if not content:
            raise ValueError('it is empty')
        if not jpeg.is_jpeg(content):
            img = self._decode_other(content, path)
            return img, img.shape[:2]
        if jpeg.is_cut_short(content):
            raise ValueError('the end of the file is missing')
        size = jpeg.read_size(content)
        if size and math.prod(size) > jpeg.MOST_PIXELS_PER_BYTE * len(content):
            raise ValueError(f'its header claims {size[1]} x {size[0]} pixels, more than its bytes can hold')
        factor = next((factor for factor in _REDUCED if self._is_enough(size, factor)), 1)
        img = mmcv.imfrombytes(content, flag=_REDUCED.get(factor, self.color_type), backend=self.imdecode_backend)
        if img is None:
            raise ValueError('it cannot be decoded')
        if size is None or factor == 1:
            return img, img.shape[:2]
        height, width = size
        # The decoder may have turned the image by 90 degrees, as its EXIF orientation demands.
        return img, (height, width) if img.shape[0] == -(-height // factor) else (width, height)

    def _decode_other(self, content: bytes, path: str) -> np.ndarray:
        """The image of another format than JPEG, which may have more than 8 bits a channel."""
        kind = _format(content)
        if self._is_plain:
            stored = as_stored(content)
            img = stored if stored is None else self._to_8_bits(stored, content, path)
        else:
            img = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
        return img if img is not None else _refuse_format(kind)

    def _to_8_bits(self, stored: np.ndarray, content: bytes, path: str) -> np.ndarray:
        """An image in the type of its file as (H, W, 3), uint8."""
        if stored.dtype == np.uint8:
            return _with_three_channels(stored)
        if self.window is not None:
            img = _with_three_channels(_stretched(stored, self.window))
        elif stored.dtype == np.uint16:
            img = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
        else:
            raise ValueError(f'it holds {stored.dtype} numbers: set window=(lowest, highest) of LoadCheckedImage')
        if not self._has_warned and loses_contrast(img, stored, self.window):
            self._has_warned = True
            print_log(
                f'{path} reaches the network nearly without contrast: its values {stored.min()} to {stored.max()} '
                f'become {img.min()} to {img.max()} of 255. Set window of LoadCheckedImage to the values that matter: '
                'train_pipeline(224, window=(0, 4095)). Other images may be like it.',
                logger='current',
                level=logging.WARNING,
            )
        return img

    def _is_enough(self, size: tuple[int, int] | None, factor: int) -> bool:
        """Whether an image decoded this many times smaller is still at least ``min_size``."""
        return self.min_size is not None and size is not None and min(size) >= factor * self.min_size

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, min_size={self.min_size}, window={self.window!r})'


def _is_window(window: Any) -> bool:
    if isinstance(window, str):
        return window == 'bit_depth'
    try:
        low, high = map(float, window)
    except (TypeError, ValueError):
        return False
    return low < high < math.inf and low > -math.inf


def _format(content: bytes) -> str:
    """PIL's name of a format, '' if it knows none; refuses what PIL refuses, a few bytes of billions of pixels."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.format or ''
    except Image.DecompressionBombError:
        raise
    except Exception:
        # The decoder may know formats that PIL does not.
        return ''


def _refuse_format(kind: str) -> NoReturn:
    if kind in _DECODED or not kind:
        raise ValueError('it cannot be decoded')
    raise ValueError(f'OpenCV does not decode the format {kind}: convert it to PNG')


def as_stored(content: bytes) -> np.ndarray | None:
    """Decode an image in the type of its file.

    Args:
        content: The file's bytes.

    Returns:
        The image (H, W) or (H, W, 3) in BGR, turned as its EXIF orientation demands; None if it cannot be decoded.
    """
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)


def loses_contrast(img: np.ndarray, stored: np.ndarray, window: str | tuple[float, float] | None) -> bool:
    """Tell whether little is left of an image of more than 8 bits.

    That is less than 16 of 256 grey values or, without a window, only values below 64.

    Args:
        img: What the network gets (H, W) or (H, W, 3), from 0 to 255.
        stored: The image of the file (H, W) or (H, W, 3).
        window: The setting of :class:`LoadCheckedImage`. Within a window an image may be dark.

    Returns:
        Whether little is left of it; not of an image of one value.
    """
    is_dark = window is None and img.max() < _DARK
    return stored.dtype != np.uint8 and np.ptp(stored) > 0 and bool(is_dark or np.ptp(img) < _FEW_VALUES)


def _with_three_channels(img: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(img, cv2.COLOR_GRAY2BGR) if img.ndim == 2 else img


def _stretched(img: np.ndarray, window: str | tuple[float, float]) -> np.ndarray:
    """An image in uint8."""
    low, high = _bit_depth(img) if isinstance(window, str) else window
    scaled = (np.nan_to_num(img.astype(np.float32), nan=low) - low) * (255 / (high - low))
    return scaled.clip(0, 255).round().astype(np.uint8)


def _bit_depth(img: np.ndarray) -> tuple[int, int]:
    """0 and the highest value of the smallest bit depth that holds an image."""
    if img.dtype.kind == 'f' or img.min() < 0:
        what = f'{img.dtype} numbers' if img.dtype.kind == 'f' else 'values below 0'
        raise ValueError(f'it holds {what}: set window=(lowest, highest) of LoadCheckedImage')
    highest = int(img.max())
    return 0, 2 ** next((bits for bits in _BIT_DEPTHS if highest < 2**bits), highest.bit_length()) - 1
