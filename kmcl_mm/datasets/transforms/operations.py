"""Image operations at the speed of OpenCV, with the results of PIL.

Each takes an image (H, W, 3), uint8, in BGR, and returns a new one. Point operations are lookup tables of 256 entries,
computed as in PIL: in single precision, rounded down.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

_LEVELS = np.arange(256)
# Added before rounding to the nearest, this rounds down; slightly less than 0.5 keeps whole numbers.
_ROUND_DOWN = -0.499


def invert(img: np.ndarray) -> np.ndarray:
    """Invert each channel, as ``ImageOps.invert``.

    Args:
        img: Image (H, W, 3), uint8.

    Returns:
        The new image.
    """
    return cv2.bitwise_not(img)


def posterize(img: np.ndarray, bits: float) -> np.ndarray:
    """Keep the high bits of each channel, as ``ImageOps.posterize``.

    Args:
        img: Image (H, W, 3), uint8.
        bits: Number of bits to keep, in [0, 8], rounded to a whole number.

    Returns:
        The new image.
    """
    return cv2.LUT(img, _table(_LEVELS & (256 - 2 ** (8 - round(bits)))))


def solarize(img: np.ndarray, threshold: float) -> np.ndarray:
    """Invert values at or above a threshold, as ``ImageOps.solarize``.

    Args:
        img: Image (H, W, 3), uint8.
        threshold: Lowest value that is inverted.

    Returns:
        The new image.
    """
    return cv2.LUT(img, _table(np.where(_LEVELS < threshold, _LEVELS, 255 - _LEVELS)))


def autocontrast(img: np.ndarray) -> np.ndarray:
    """Stretch each channel to the range 0 to 255, as ``ImageOps.autocontrast``.

    Args:
        img: Image (H, W, 3), uint8.

    Returns:
        The new image.
    """
    return cv2.LUT(img, np.stack([_stretched(histogram) for histogram in _histograms(img)], axis=-1)[None])


def equalize(img: np.ndarray) -> np.ndarray:
    """Spread each channel's histogram evenly, as ``ImageOps.equalize``.

    Args:
        img: Image (H, W, 3), uint8.

    Returns:
        The new image.
    """
    return cv2.LUT(img, np.stack([_equalized(histogram) for histogram in _histograms(img)], axis=-1)[None])


def adjust_brightness(img: np.ndarray, amount: float) -> np.ndarray:
    """Blend away from black, as ``ImageEnhance.Brightness(img).enhance(1 + amount)``.

    Args:
        img: Image (H, W, 3), uint8.
        amount: 0 leaves the image as it is, -1 makes it black.

    Returns:
        The new image.
    """
    return cv2.LUT(img, _blended(0, amount))


def adjust_contrast(img: np.ndarray, amount: float) -> np.ndarray:
    """Blend away from the mean grey, as ``ImageEnhance.Contrast(img).enhance(1 + amount)``.

    Args:
        img: Image (H, W, 3), uint8.
        amount: 0 leaves the image as it is, -1 makes it one grey.

    Returns:
        The new image.
    """
    return cv2.LUT(img, _blended(int(cv2.mean(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY))[0] + 0.5), amount))


def adjust_color(img: np.ndarray, amount: float) -> np.ndarray:
    """Blend away from the grey image, as ``ImageEnhance.Color(img).enhance(1 + amount)``.

    Args:
        img: Image (H, W, 3), uint8.
        amount: 0 leaves the image as it is, -1 makes it grey.

    Returns:
        The new image, equal to PIL's within 1 grey level.
    """
    grey = cv2.cvtColor(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(img, 1 + amount, grey, -amount, _ROUND_DOWN)


def adjust_sharpness(img: np.ndarray, amount: float) -> np.ndarray:
    """Blend away from the smoothed image, as ``ImageEnhance.Sharpness(img).enhance(1 + amount)``.

    PIL smooths by the weights 1 around a 5 in the middle, of 13, and leaves the outermost pixels as they are. With the
    mean of all nine pixels that is 4 parts of the image and 9 of the mean.

    Args:
        img: Image (H, W, 3), uint8.
        amount: 0 leaves the image as it is, -1 smooths it.

    Returns:
        The new image, equal to PIL's within 1 grey level.
    """
    of_mean = -amount * 9 / 13
    sharpened = cv2.addWeighted(img, 1 - of_mean, cv2.blur(img, (3, 3)), of_mean, _ROUND_DOWN)
    for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        sharpened[border] = img[border]
    return sharpened


def paint_square(img: np.ndarray, center: tuple[int, int], side: tuple[int, int], color: Sequence[int]) -> np.ndarray:
    """Paint a rectangle; the part outside the image is cut off.

    Args:
        img: Image (H, W, 3), uint8.
        center: Row and column of its centre, pixels.
        side: Its height and width, pixels.
        color: Its colour, one value per channel.

    Returns:
        The new image.
    """
    painted = img.copy()
    (top, left), (height, width) = (middle - length // 2 for middle, length in zip(center, side)), side
    area = painted[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    # NumPy copies a whole row of the colour faster than single pixels.
    area[:] = np.tile(np.asarray(color, img.dtype), (area.shape[1], 1))
    return painted


def shear(img: np.ndarray, amount: float, axis: int, fill: int) -> np.ndarray:
    """Shift each row by its distance from the first one, or each column; the first one stays.

    Bicubic, as ``Image.transform`` with (1, amount, 0, 0, 1, 0) for rows and (1, 0, 0, amount, 1, 0) for columns. The
    two libraries' bicubic kernels differ: PIL's parameter is -1, OpenCV's -0.75.

    Args:
        img: Image (H, W, 3), uint8.
        amount: Shift in pixels from one row or column to the next; a positive one takes from further right or below.
        axis: 1 to shift rows in x, 0 to shift columns in y.
        fill: Grey level of the area beyond the border.

    Returns:
        The new image.
    """
    matrix = np.eye(2, 3)
    # A row's centre is half a pixel from its index.
    if axis == 1:
        matrix[0, 1:] = amount, amount / 2
    else:
        matrix[1, ::2] = amount, amount / 2
    return _warp(img, matrix, cv2.INTER_CUBIC, fill)


def translate(img: np.ndarray, amount: float, axis: int, fill: int) -> np.ndarray:
    """Shift the image by whole pixels, as ``Image.transform`` does with the nearest pixel.

    Args:
        img: Image (H, W, 3), uint8.
        amount: Shift as a part of the side, in [-1, 1]; a positive one takes from further right or below.
        axis: 1 to shift in x, 0 to shift in y.
        fill: Grey level of the area beyond the border.

    Returns:
        The new image.
    """
    side = img.shape[axis]
    shift = math.floor(amount * side + 0.5)
    shifted = np.full_like(img, fill)
    kept = side - abs(shift)
    to, taken = (slice(start, start + kept) for start in (max(-shift, 0), max(shift, 0)))
    if axis == 1:
        shifted[:, to] = img[:, taken]
    else:
        shifted[to] = img[taken]
    return shifted


def rotate(img: np.ndarray, degrees: float, fill: int) -> np.ndarray:
    """Rotate about the centre, anticlockwise, as ``Image.rotate`` does with the nearest pixel.

    Args:
        img: Image (H, W, 3), uint8.
        degrees: Angle, degrees.
        fill: Grey level of the area beyond the border.

    Returns:
        The new image.
    """
    center = (img.shape[1] - 1) / 2, (img.shape[0] - 1) / 2
    return _warp(img, cv2.getRotationMatrix2D(center, -degrees, 1), cv2.INTER_NEAREST, fill)


def _warp(img: np.ndarray, to_source: np.ndarray, interpolation: int, fill: int) -> np.ndarray:
    size = img.shape[1::-1]
    return cv2.warpAffine(img, to_source, size, flags=interpolation | cv2.WARP_INVERSE_MAP, borderValue=(fill,) * 3)


def _table(values: np.ndarray) -> np.ndarray:
    """Table (256) of what each grey level becomes."""
    return values.clip(0, 255).astype(np.uint8)


def _blended(grey: int, amount: float) -> np.ndarray:
    return _table(np.float32(grey) + np.float32(1 + amount) * (_LEVELS - grey).astype(np.float32))


def _histograms(img: np.ndarray) -> Sequence[np.ndarray]:
    """Histogram (256) of each channel."""
    return [cv2.calcHist([img], [channel], None, [256], [0, 256]).ravel().astype(int) for channel in range(3)]


def _stretched(histogram: np.ndarray) -> np.ndarray:
    lowest, highest = np.flatnonzero(histogram)[[0, -1]]
    if lowest == highest:
        return _table(_LEVELS)
    scale = 255 / (highest - lowest)
    return _table(_LEVELS * scale - lowest * scale)


def _equalized(histogram: np.ndarray) -> np.ndarray:
    step = (histogram.sum() - histogram[np.flatnonzero(histogram)[-1]]) // 255
    if step == 0:
        return _table(_LEVELS)
    below = histogram.cumsum() - histogram
    return _table((step // 2 + below) // step)
