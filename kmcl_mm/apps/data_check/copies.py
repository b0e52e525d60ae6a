"""Find copies of images: the same file, the same bytes, or the same picture compressed or resized.

Two pictures are copies if the details of their thumbnails have a correlation above 0.85, and the grey values differ by
less than 12 of 255 (root mean square). Pictures in the same frame fulfil the first condition alone, pictures of plain
sky the second. docs/check_dataset.md has the numbers.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from .image_facts import THUMBNAIL_SIZE, ImageFacts

_MIN_CORRELATION = 0.85
_MAX_DIFFERENCE = 12.0
# Standard deviation, in thumbnail pixels, of the blur that is subtracted to leave the details.
_BLUR = 3.0
_BLOCK_ELEMENTS = 2**24

SAME_FILE, SAME_BYTES, SAME_PICTURE = 'same file', 'same bytes', 'same picture'


@dataclass(frozen=True)
class Copy:
    """An image and another one that it is a copy of.

    Args:
        path: The image.
        other_path: The other image.
        kind: 'same file', 'same bytes', or 'same picture' where it was compressed or resized.
        similarity: Correlation of the details, at most 1.
    """

    path: str
    other_path: str
    kind: str
    similarity: float


def find_copies(
    paths: Sequence[str], facts: dict[str, ImageFacts], other_paths: Sequence[str] | None = None
) -> list[Copy]:
    """Find for each image the most similar other one that it is a copy of.

    Args:
        paths: Images to check.
        facts: Facts of all images by path. Images that cannot be read are left out.
        other_paths: Images to compare with. Default: for each image those before it in ``paths``.

    Returns:
        One copy for each image that has one, in the order of ``paths``.
    """
    within = other_paths is None
    paths = _readable(paths, facts)
    others = paths if other_paths is None else _readable(other_paths, facts)
    if not paths or not others:
        return []
    found = _same_bytes(paths, others, facts, within)
    for row, (column, similarity) in _same_pictures(paths, others, facts, within).items():
        found.setdefault(row, Copy(paths[row], others[column], SAME_PICTURE, similarity))
    return [found[row] for row in sorted(found)]


def _readable(paths: Sequence[str], facts: dict[str, ImageFacts]) -> list[str]:
    return [path for path in paths if facts[path].problem is None]


def _same_bytes(
    paths: Sequence[str], others: Sequence[str], facts: dict[str, ImageFacts], within: bool
) -> dict[int, Copy]:
    first_with: dict[str | bytes, str] = {}
    if not within:
        for path in reversed(others):
            first_with[facts[path].digest] = path
        first_with.update({os.path.realpath(path): path for path in others})
    found = {}
    for row, path in enumerate(paths):
        file, digest = os.path.realpath(path), facts[path].digest
        if file in first_with:
            found[row] = Copy(path, first_with[file], SAME_FILE, 1.0)
        elif digest in first_with:
            found[row] = Copy(path, first_with[digest], SAME_BYTES, 1.0)
        if within:
            first_with.setdefault(file, path)
            first_with.setdefault(digest, path)
    return found


def _same_pictures(
    paths: Sequence[str], others: Sequence[str], facts: dict[str, ImageFacts], within: bool
) -> dict[int, tuple[int, float]]:
    """Row of each copy -> (row of the other image, correlation)."""
    thumbnails = _thumbnails(paths, facts)
    other_thumbnails = thumbnails if within else _thumbnails(others, facts)
    details = _details(thumbnails)
    other_details = details if within else _details(other_thumbnails)
    found: dict[int, tuple[int, float]] = {}
    step = max(_BLOCK_ELEMENTS // len(others), 1)
    for start in range(0, len(paths), step):
        end = min(start + step, len(paths))
        # Within one split an image is compared with those before it.
        compared = end if within else len(others)
        correlation = details[start:end] @ other_details[:compared].T
        if within:
            correlation[np.arange(compared) >= np.arange(start, end)[:, None]] = -1
        alike = correlation > _MIN_CORRELATION
        rows, columns = np.flatnonzero(alike.any(axis=1)), np.flatnonzero(alike.any(axis=0))
        if not len(rows):
            continue
        close = _differences(thumbnails[start + rows], other_thumbnails[columns]) < _MAX_DIFFERENCE
        candidates = correlation[np.ix_(rows, columns)]
        candidates = np.where(close & (candidates > _MIN_CORRELATION), candidates, -1)
        best = columns[candidates.argmax(axis=1)]
        for row, column, similarity in zip(rows.tolist(), best.tolist(), candidates.max(axis=1).tolist()):
            if similarity > 0:
                found[start + row] = (column, min(similarity, 1.0))
    return found


def _thumbnails(paths: Sequence[str], facts: dict[str, ImageFacts]) -> np.ndarray:
    """Grey values (N, 32, 32), uint8."""
    return np.array([facts[path].thumbnail for path in paths], dtype=np.uint8)


def _details(thumbnails: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 256), float32, of the differences to a blurred image; 0 for a plain image."""
    half = THUMBNAIL_SIZE // 2
    details = np.empty((len(thumbnails), half * half), dtype=np.float32)
    for row, thumbnail in zip(details, thumbnails):
        thumbnail = thumbnail.astype(np.float32)
        sharp = thumbnail - cv2.GaussianBlur(thumbnail, (0, 0), _BLUR)
        row[:] = sharp.reshape(half, 2, half, 2).mean(axis=(1, 3)).ravel()
    details -= details.mean(axis=1, keepdims=True)
    return details / np.maximum(np.linalg.norm(details, axis=1, keepdims=True), 1.0)


def _differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Root mean square differences (N, M) of grey values of thumbnails (N, 32, 32) and (M, 32, 32)."""
    one, other = (torch.from_numpy(images).flatten(1).float() for images in (first, second))
    return torch.cdist(one, other).numpy() / THUMBNAIL_SIZE
