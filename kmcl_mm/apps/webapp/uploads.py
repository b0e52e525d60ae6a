"""Checks of uploaded files."""

import warnings
from pathlib import Path

from PIL import Image

from ..inference.preprocessing import raise_storage_error

# Accepted formats, by Pillow's names.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF')
# A decoded image takes three bytes per pixel, however small its file is.
MAX_PIXELS = 100_000_000
# Ratio of the sides: resizing the shorter side to the network's size gives an image of this many times its area.
MAX_RATIO = 50


class RefusedUpload(ValueError):
    """A file is not predicted; the message is shown on the page."""


def check_upload(path: str | Path) -> None:
    """Refuse a file that is no image, or whose image would take too much memory, before it is decoded.

    Args:
        path: The file.

    Raises:
        RefusedUpload: The content is not JPEG, PNG, WebP, BMP or TIFF; or the image has no pixels, more than 100
            million, or one side that is more than 50 times as long as the other.
        OSError: The file cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise RefusedUpload(_too_large('It has far more pixels than can be decoded safely;')) from error
    except Exception as error:  # Pillow's readers fail in many ways on other files.
        raise_storage_error(error)
        raise RefusedUpload(f'This file is not an image in one of the formats {", ".join(FORMATS)}.') from error
    if width * height > MAX_PIXELS:
        raise RefusedUpload(_too_large(f'It has {width} x {height} pixels, where'))
    if min(width, height) < 1 or max(width, height) > MAX_RATIO * min(width, height):
        raise RefusedUpload(
            f'This image has {width} x {height} pixels. The longer side must be at most {MAX_RATIO} times the shorter '
            'one. Crop it.'
        )


def _too_large(found: str) -> str:
    return f'This image is too large. {found} at most {MAX_PIXELS // 10**6} million are allowed. Make it smaller.'
