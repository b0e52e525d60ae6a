"""Small pictures of images, to lie in a file or in a page."""

import base64

import cv2
import numpy as np


def thumbnail_of(image: np.ndarray, size: int = 160, quality: int = 80) -> bytes:
    """A small JPEG of an image; by default about 4 kB.

    Args:
        image: The image (H, W, 3) in BGR, uint8.
        size: Pixels of its longer side, at the most.
        quality: Quality of the JPEG, in [0, 100].

    Returns:
        The JPEG.
    """
    factor = min(1, size / max(image.shape[:2]))
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def as_data_uri(jpeg: bytes) -> str:
    """The address of a picture that holds the picture itself.

    Args:
        jpeg: The JPEG.

    Returns:
        The address, for ``<img src="...">``.

    Example:
        >>> as_data_uri(b'abc')
        'data:image/jpeg;base64,YWJj'
    """
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'
