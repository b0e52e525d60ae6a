"""Names of the images of a data set."""

import os
from pathlib import Path
from typing import Any


def image_names(dataset: Any) -> list[str]:
    """Names of the images of a data set: their paths within the folder that holds all of them.

    Args:
        dataset: The data set, with ``get_data_info``, which is asked for each image's ``img_path``.

    Returns:
        The names; 'image 0', 'image 1' and so on for images that are in no file.
    """
    paths = [dataset.get_data_info(place).get('img_path') for place in range(len(dataset))]
    if not all(paths):
        return [f'image {place}' for place in range(len(paths))]
    return within_common_folder(paths)


def within_common_folder(paths: list[str]) -> list[str]:
    """Paths within the folder that holds all of them.

    Args:
        paths: The paths.

    Returns:
        The same without that folder, with slashes.

    Example:
        >>> within_common_folder(['data/train/a/1.jpg', 'data/train/b/1.jpg'])
        ['a/1.jpg', 'b/1.jpg']
    """
    try:
        common = os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:  # Several drives, or paths of which only some start from the root.
        return list(paths)
    return [Path(os.path.relpath(path, common or os.curdir)).as_posix() for path in paths]
