"""Images to predict, by path, folder, pattern or array."""

import glob
from collections.abc import Sequence
from pathlib import Path

import numpy as np

Source = str | Path | np.ndarray
Inputs = Source | Sequence[Source]

IMAGE_ENDINGS = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')


def find_sources(inputs: Inputs) -> list[str | np.ndarray]:
    """Resolve paths, folders, patterns and arrays to single images.

    Args:
        inputs: A path, a folder (its images and those of the folders in it, by name), a pattern such as
            ``'photos/*.jpg'`` (``**`` goes through folders), an array (H, W, 3), or a list of these.

    Returns:
        Paths and arrays, in the order given.

    Raises:
        ValueError: There is no such file, a folder has no image, no file matches a pattern, or an array is no image.
    """
    if isinstance(inputs, (str, Path, np.ndarray)):
        inputs = [inputs]
    return [source for item in inputs for source in _resolve(item)]


def _resolve(item: Source) -> Sequence[str | np.ndarray]:
    if isinstance(item, np.ndarray):
        return [_checked(item)]
    if not isinstance(item, (str, Path)):
        raise ValueError(
            f'Expected argument `inputs` to hold paths and arrays (H, W, 3), but got {type(item).__name__}.'
        )
    path = Path(item)
    if path.is_file():
        return [str(path)]
    if path.is_dir():
        found = sorted(str(file) for file in path.rglob('*') if file.suffix.lower() in IMAGE_ENDINGS)
        problem = f'The folder {item} has no images ({", ".join(IMAGE_ENDINGS)})'
    else:
        found = sorted(file for file in glob.glob(str(item), recursive=True) if Path(file).is_file())
        problem = f'There is no image or folder {item}, and no file matches it as a pattern'
    if not found:
        raise ValueError(f'{problem}. Check the path; it starts from {Path.cwd()}.')
    return found


def _checked(array: np.ndarray) -> np.ndarray:
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise ValueError(
            'Expected arrays in argument `inputs` to be images (H, W, 3) of type uint8, but got '
            f'{array.shape} of type {array.dtype}.'
        )
    return array
