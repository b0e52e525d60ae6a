"""Facts of images that the checks need: each image is loaded once, as the training loads it, in parallel."""

import io
import multiprocessing
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.fileio import get
from mmengine.utils import ProgressBar
from PIL import Image

from ...checks import check_at_least
from ...datasets.transforms.jpeg import is_cut_short, is_jpeg
from ...datasets.transforms.loading import as_stored, loses_contrast
from ...errors import is_missing_file

THUMBNAIL_SIZE = 32
# Images that a process takes at once, for progress in steps of about 1 %.
_MIN_CHUNK, _MAX_CHUNK = 8, 256

_ORIENTATION_TAG = 0x0112
_SIDES_SWAPPED = (5, 6, 7, 8)
_USUAL_MODES = ('RGB', 'L', 'YCbCr')
_WITH_TRANSPARENCY = ('RGBA', 'LA', 'PA', 'P')
_TINY = 32
_EXTREME_RATIO = 5
_ONE_COLOUR = 1.0
# Ranges of grey values of 256: that of an image without contrast, and one that no image without contrast reaches.
_FEW_VALUES, _MANY_VALUES = 16, 64
LOST_CONTRAST = 'nearly without contrast as the network gets them'


@dataclass(frozen=True)
class ImageFacts:
    """Facts of an image file.

    Args:
        problem: Why it cannot be read, or only in part; None if it can.
        oddities: Unusual properties.
        width: Pixels, as stored.
        height: Pixels, as stored.
        mode: Pillow's name of the colour mode.
        sides_swapped: Whether its EXIF orientation turns it by 90 degrees.
        digest: Hash of the file's bytes; empty where there are none.
        thumbnail: Grey values (32, 32), uint8, of the whole image; None if it cannot be read.
    """

    problem: str | None
    oddities: tuple[str, ...] = ()
    width: int = 0
    height: int = 0
    mode: str = ''
    sides_swapped: bool = False
    digest: bytes = b''
    thumbnail: np.ndarray | None = None


def inspect_images(loading: dict[str, LoadImageFromFile], workers: int) -> dict[str, ImageFacts]:
    """Load images in parallel processes, with a progress bar and the time left on stderr.

    Args:
        loading: The transform by which the training loads an image, by its path, in any of MMEngine's storage backends.
        workers: Number of processes.

    Returns:
        The facts by path.

    Raises:
        ValueError: ``workers`` is less than 1.
        OSError: The storage of the images does not answer.
    """
    check_at_least('workers', workers, 1)
    if not loading:
        return {}
    images = list(loading.items())
    size = min(max(len(images) // 100, _MIN_CHUNK), _MAX_CHUNK)
    chunks = [images[start : start + size] for start in range(0, len(images), size)]
    # A forked process need not spend seconds on imports.
    method = 'fork' if 'fork' in multiprocessing.get_all_start_methods() else None
    facts = []
    bar = ProgressBar(len(images), file=sys.stderr)
    with ProcessPoolExecutor(workers, multiprocessing.get_context(method), _start_worker) as executor:
        for inspected in executor.map(_inspect_chunk, chunks):
            facts += inspected
            bar.update(len(inspected))
    sys.stderr.write('\n')
    return dict(zip(loading, facts))


def inspect_image(path: str, load: LoadImageFromFile) -> ImageFacts:
    """Load an image as the training does.

    A JPEG without its end counts as unreadable also where the training would take its upper part for the whole.

    Args:
        path: Its path.
        load: The transform by which the training loads it.

    Returns:
        The facts.

    Raises:
        OSError: The storage does not answer, or too many files are open.
    """
    try:
        content = bytes(get(path, backend_args=load.backend_args) or b'')
    except OSError as error:
        if not is_missing_file(error) and not isinstance(error, PermissionError):
            raise
        return ImageFacts(problem=f'cannot be opened: {error.strerror or repr(error)}')
    if not content:
        return ImageFacts(problem='an empty file')
    digest = blake2b(content, digest_size=16).digest()
    header = _header(content)
    try:
        results = load(dict(img_path=path))
    except MemoryError:
        raise
    except Exception as error:
        return ImageFacts(str(error.__cause__ or error), (), *header[:3], digest=digest)
    if results is None or (is_jpeg(content) and is_cut_short(content)):
        problem = 'cannot be decoded' if results is None else 'ends before its end marker'
        return ImageFacts(problem, (), *header[:3], digest=digest)
    grey = _grey(np.asarray(results['img']))
    thumbnail = cv2.resize(grey, (THUMBNAIL_SIZE, THUMBNAIL_SIZE), interpolation=cv2.INTER_AREA)
    width, height, mode, orientation = header if header[0] else (*results['ori_shape'][::-1], 'unknown', 1)
    return ImageFacts(
        problem=None,
        oddities=tuple(_oddities(width, height, mode, orientation, grey, content, getattr(load, 'window', None))),
        width=width,
        height=height,
        mode=mode,
        sides_swapped=orientation in _SIDES_SWAPPED,
        digest=digest,
        thumbnail=thumbnail.astype(np.uint8),
    )


def _header(content: bytes) -> tuple[int, int, str, int]:
    """Width and height as stored, Pillow's colour mode, and EXIF orientation; zeros where Pillow knows nothing."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            # That of a PNG would decode the image.
            exif = Image.Image.getexif(image)
            return *image.size, image.mode, exif.get(_ORIENTATION_TAG, 1)
    except Exception:  # Pillow raises nearly everything on damaged files.
        return 0, 0, '', 1


def _start_worker() -> None:
    warnings.simplefilter('ignore')


def _inspect_chunk(images: Sequence[tuple[str, LoadImageFromFile]]) -> list[ImageFacts]:
    return [inspect_image(*image) for image in images]


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Grey values (H, W) from 0 to 255, uint8 or float32; values of other than 8 bits are stretched to this range."""
    if pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    grey = pixels[..., :3].mean(axis=2, dtype=np.float32) if pixels.ndim == 3 else pixels.astype(np.float32)
    is_of_8_bits = pixels.dtype == np.uint8 or (pixels.dtype == np.float32 and 1 < grey.max() <= 255)
    return grey if is_of_8_bits else np.asarray(cv2.normalize(grey, grey, 0, 255, cv2.NORM_MINMAX))


def _oddities(
    width: int, height: int, mode: str, orientation: int, grey: np.ndarray, content: bytes, window: Any
) -> list[str]:
    short, long = sorted((width, height))
    is_plain, values = grey.std() < _ONE_COLOUR, np.ptp(grey)
    is_lost = values < _MANY_VALUES and _loses_contrast(grey, content, window)
    found = {
        f'smaller than {_TINY} pixels': short < _TINY,
        f'longer than {_EXTREME_RATIO} to 1': long > _EXTREME_RATIO * short,
        f'colour mode {mode}': mode not in _USUAL_MODES,
        'turned by its EXIF orientation': orientation != 1,
        'of one colour': is_plain,
        LOST_CONTRAST: is_lost,
        f'in less than {_FEW_VALUES} of 256 grey values': values < _FEW_VALUES and not is_plain and not is_lost,
        'with colours under full transparency, which the network sees': _has_hidden_colours(mode, content),
    }
    return [oddity for oddity, is_there in found.items() if is_there]


def _loses_contrast(grey: np.ndarray, content: bytes, window: Any) -> bool:
    stored = as_stored(content)
    return stored is not None and loses_contrast(grey, stored, window)


def _has_hidden_colours(mode: str, content: bytes) -> bool:
    """Whether pixels that are fully transparent differ from each other."""
    if mode not in _WITH_TRANSPARENCY:
        return False
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape[2:] != (4,):
        return False
    hidden = pixels[pixels[..., 3] == 0][:, :3]
    return bool(len(hidden)) and bool((hidden != hidden[0]).any())
