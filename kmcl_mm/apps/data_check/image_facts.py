"""Facts of images that the checks need: each image is decoded once, in parallel."""

import io
import multiprocessing
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from mmengine.fileio import get
from mmengine.utils import ProgressBar
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from ...checks import check_at_least
from ...datasets.transforms.jpeg import is_cut_short
from ...errors import is_missing_file

THUMBNAIL_SIZE = 32
# JPEGs are decoded at 1/2 to 1/8 of their size if that leaves this many pixels: much faster, and truncated ones are
# still found.
_DECODED_SIZE = 128
# Images that a process takes at once, for progress in steps of about 1 %.
_MIN_CHUNK, _MAX_CHUNK = 8, 256

_ORIENTATION_TAG = 0x0112
_SIDES_SWAPPED = (5, 6, 7, 8)
_USUAL_MODES = ('RGB', 'L', 'YCbCr')
_TINY = 32
_EXTREME_RATIO = 5
_ONE_COLOUR = 1.0


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


def inspect_images(paths: Sequence[str], workers: int) -> dict[str, ImageFacts]:
    """Decode images in parallel processes, with a progress bar and the time left on stderr.

    Args:
        paths: Paths of the images, each once, in any of MMEngine's storage backends.
        workers: Number of processes.

    Returns:
        The facts by path.

    Raises:
        ValueError: ``workers`` is less than 1.
        OSError: The storage of the images does not answer.
    """
    check_at_least('workers', workers, 1)
    if not paths:
        return {}
    size = min(max(len(paths) // 100, _MIN_CHUNK), _MAX_CHUNK)
    chunks = [paths[start : start + size] for start in range(0, len(paths), size)]
    # A forked process need not spend seconds on imports.
    method = 'fork' if 'fork' in multiprocessing.get_all_start_methods() else None
    facts = []
    bar = ProgressBar(len(paths), file=sys.stderr)
    with ProcessPoolExecutor(workers, multiprocessing.get_context(method), _start_worker) as executor:
        for inspected in executor.map(_inspect_chunk, chunks):
            facts += inspected
            bar.update(len(inspected))
    sys.stderr.write('\n')
    return dict(zip(paths, facts))


def inspect_image(path: str) -> ImageFacts:
    """Decode an image.

    A truncated JPEG counts as unreadable; OpenCV would return its upper part without a warning.

    Args:
        path: Its path.

    Returns:
        The facts.

    Raises:
        OSError: The storage does not answer, or too many files are open.
    """
    try:
        content = bytes(get(path) or b'')
    except OSError as error:
        if not is_missing_file(error) and not isinstance(error, PermissionError):
            raise
        return ImageFacts(problem=f'cannot be opened: {error.strerror or repr(error)}')
    if not content:
        return ImageFacts(problem='an empty file')
    digest = blake2b(content, digest_size=16).digest()
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            mode, orientation = image.mode, image.getexif().get(_ORIENTATION_TAG, 1)
            image.draft('L', (_DECODED_SIZE, _DECODED_SIZE))
            grey = _grey(image)
            if image.format == 'JPEG' and is_cut_short(content):
                return ImageFacts('ends before its end marker', (), width, height, mode, digest=digest)
            if orientation != 1:
                grey = ImageOps.exif_transpose(_with_exif(grey, image))
    except UnidentifiedImageError:
        return ImageFacts(problem='not an image, or in an unknown format', digest=digest)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files.
        return ImageFacts(problem=f'cannot be decoded: {error}', digest=digest)
    thumbnail = np.asarray(grey.resize((THUMBNAIL_SIZE, THUMBNAIL_SIZE), Image.Resampling.BOX))
    return ImageFacts(
        problem=None,
        oddities=tuple(_oddities(width, height, mode, orientation, np.asarray(grey))),
        width=width,
        height=height,
        mode=mode,
        sides_swapped=orientation in _SIDES_SWAPPED,
        digest=digest,
        thumbnail=thumbnail,
    )


def _start_worker() -> None:
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    warnings.simplefilter('ignore')


def _inspect_chunk(paths: Sequence[str]) -> list[ImageFacts]:
    return [inspect_image(path) for path in paths]


def _grey(image: Image.Image) -> Image.Image:
    """The image in 8-bit grey; images with more bits are scaled by their range of values."""
    if not image.mode.startswith(('I', 'F')):
        return image.convert('L')
    values = np.asarray(image, dtype=np.float64)
    low, high = values.min(), values.max()
    return Image.fromarray(((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8))


def _with_exif(grey: Image.Image, image: Image.Image) -> Image.Image:
    grey.getexif()[_ORIENTATION_TAG] = image.getexif()[_ORIENTATION_TAG]
    return grey


def _oddities(width: int, height: int, mode: str, orientation: int, grey: np.ndarray) -> list[str]:
    short, long = sorted((width, height))
    found = {
        f'smaller than {_TINY} pixels': short < _TINY,
        f'longer than {_EXTREME_RATIO} to 1': long > _EXTREME_RATIO * short,
        f'colour mode {mode}': mode not in _USUAL_MODES,
        'turned by its EXIF orientation': orientation != 1,
        'of one colour': grey.std() < _ONE_COLOUR,
    }
    return [oddity for oddity, is_there in found.items() if is_there]
