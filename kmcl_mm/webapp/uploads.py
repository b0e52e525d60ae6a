"""Which uploaded files are given to the classifier."""

import warnings
from pathlib import Path
from typing import Union

from PIL import Image

# Pillow's names of the formats that are read.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF')
# An image takes three bytes a pixel when it is decoded, however small its file is.
MAX_PIXELS = 100_000_000
# How many times longer than wide: resizing the shorter side to the network's size makes a stripe as large.
MAX_RATIO = 50


class RefusedUpload(ValueError):
    """A file is not given to the classifier; the message says why, in words for the page."""


def check_upload(path: Union[str, Path]) -> None:
    """Refuse a file that is no image, or whose image would take too much memory, before it is decoded.

    Args:
        path: The file.

    Raises:
        RefusedUpload: It is of another format than JPEG, PNG, WebP, BMP and TIFF, whatever its name ends in; or its
            image has no pixels, more than 100 million, or one side that is more than 50 times as long as the other.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise RefusedUpload(_too_large('It has far more pixels than can be decoded safely;')) from error
    except Exception as error:  # readers of formats fail in many ways on what is none
        raise RefusedUpload(
            f'This file cannot be read as an image. Expected one of {", ".join(FORMATS)}, whatever its name ends in.'
        ) from error
    if width * height > MAX_PIXELS:
        raise RefusedUpload(_too_large(f'It has {width} x {height} pixels, where'))
    if min(width, height) < 1 or max(width, height) > MAX_RATIO * min(width, height):
        raise RefusedUpload(
            f'This image has {width} x {height} pixels. Expected the longer side to be at most {MAX_RATIO} times the '
            'shorter one. Cut out a part of it.'
        )


def _too_large(found: str) -> str:
    return (
        f'This image is too large. {found} {MAX_PIXELS // 10**6} million are the most that are read. Make it smaller.'
    )
