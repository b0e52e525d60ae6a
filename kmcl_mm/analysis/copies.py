"""Find copies of an image: the same file, the same bytes, or the same picture compressed or sized again.

Two pictures are copies where their thumbnails agree in structure and in grey values: the correlation of the details of
the thumbnails is above 0.85, and the grey values differ by less than 12 of 255 (root mean square). The first alone is
true of pictures in the same frame, the second alone of pictures of plain sky. docs/check_dataset.md has the figures.
"""

import os
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from .images import THUMBNAIL_SIZE, ImageFacts

_MIN_CORRELATION = 0.85
_MAX_DIFFERENCE = 12.0
# Width of the blur, in thumbnail pixels, that is taken off to leave the details.
_BLUR = 3.0
_BLOCK_ELEMENTS = 2**24

SAME_FILE, SAME_BYTES, SAME_PICTURE = 'same file', 'same bytes', 'same picture'


@dataclass(frozen=True)
class Copy:
    """An image and one that it is a copy of.

    Args:
        path: The image.
        other_path: The one that it is a copy of.
        kind: 'same file', 'same bytes', or 'same picture' where it was compressed or sized again.
        similarity: Correlation of the details, at most 1.
    """

    path: str
    other_path: str
    kind: str
    similarity: float


def find_copies(
    paths: Sequence[str], facts: Dict[str, ImageFacts], other_paths: Optional[Sequence[str]] = None
) -> List[Copy]:
    """For each image, the closest other one that it is a copy of.

    Args:
        paths: Images to look at.
        facts: Facts of all images by path. Images that cannot be read are left out.
        other_paths: Images that they may be copies of; None for those before each of them in ``paths``.

    Returns:
        One for each image that is a copy, in the order of ``paths``.
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


def _readable(paths: Sequence[str], facts: Dict[str, ImageFacts]) -> List[str]:
    return [path for path in paths if facts[path].problem is None]


def _same_bytes(
    paths: Sequence[str], others: Sequence[str], facts: Dict[str, ImageFacts], within: bool
) -> Dict[int, Copy]:
    first_with: Dict[Union[str, bytes], str] = {}
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
    paths: Sequence[str], others: Sequence[str], facts: Dict[str, ImageFacts], within: bool
) -> Dict[int, Tuple[int, float]]:
    """Row of each copy -> (row of the other image, correlation)."""
    thumbnails = _thumbnails(paths, facts)
    other_thumbnails = thumbnails if within else _thumbnails(others, facts)
    details = _details(thumbnails)
    other_details = details if within else _details(other_thumbnails)
    found: Dict[int, Tuple[int, float]] = {}
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


def _thumbnails(paths: Sequence[str], facts: Dict[str, ImageFacts]) -> np.ndarray:
    """Grey values (N, 32, 32), uint8."""
    return np.array([facts[path].thumbnail for path in paths], dtype=np.uint8)


def _details(thumbnails: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 256), float32: what differs from the surroundings; 0 for a plain image."""
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
    first, second = (images.reshape(len(images), -1).astype(np.float32) - 128 for images in (first, second))
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.sqrt(np.maximum(squares, 0) / first.shape[1])
