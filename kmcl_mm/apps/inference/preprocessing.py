"""Images as a configuration's test pipeline prepares them."""

import json
from typing import Any, NamedTuple

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS
from PIL import UnidentifiedImageError

from ...datasets.transforms.loading import LoadCheckedImage
from ...datasets.wrappers import pipeline_of
from ...errors import is_missing_file


class Skipped(NamedTuple):
    """An image that could not be read.

    Attributes:
        source: Its path.
        reason: Why not.
    """

    source: str
    reason: str


class Preprocessing:
    """A configuration's test pipeline, for files and for arrays.

    Args:
        cfg: The configuration. A pipeline that loads no files (its data set makes images) loads them by
            :class:`kmcl_mm.datasets.transforms.loading.LoadCheckedImage`.

    Raises:
        ValueError: Its ``test_dataloader`` has no data set with a pipeline, or several with different ones.

    Attributes:
        loading: What of the pipeline loads files: its first transform, or nothing.
        load: The transform that loads files.
    """

    def __init__(self, cfg: Config) -> None:
        pipeline = pipeline_of((cfg.get('test_dataloader') or {}).get('dataset'))
        transforms = [TRANSFORMS.build(transform) for transform in pipeline]
        loads = isinstance(transforms[0], LoadImageFromFile)
        self.loading = list(pipeline[:1]) if loads else []
        self.load = transforms[0] if loads else LoadCheckedImage()
        self._transforms = Compose(transforms[1:] if loads else transforms)

    def __call__(self, source: str | np.ndarray, channel_order: str = 'bgr') -> dict[str, Any] | Skipped:
        """Load and prepare an image.

        Args:
            source: Its path, or the image (H, W, 3), uint8.
            channel_order: 'bgr' or 'rgb', of an array.

        Returns:
            The result of the pipeline, ``inputs`` (3, H, W) and ``data_samples``; or why a file is no image.

        Raises:
            OSError: The storage does not answer, or refuses to.
        """
        if not isinstance(source, str):
            return self.prepare(source, channel_order)
        try:
            results = self.load(dict(img_path=source))
        except Exception as error:
            raise_storage_error(error)
            return Skipped(source, str(error.__cause__ or error))
        if results is None:
            return Skipped(source, 'it cannot be decoded')
        return self._transforms(results)

    def prepare(self, image: np.ndarray, channel_order: str = 'bgr') -> dict[str, Any]:
        """Prepare an image that is in memory.

        Args:
            image: The image (H, W, 3), uint8.
            channel_order: 'bgr' or 'rgb'.

        Returns:
            The result of the pipeline, ``inputs`` (3, H, W) and ``data_samples``.
        """
        image = np.ascontiguousarray(image[..., ::-1]) if channel_order == 'rgb' else image
        return self._transforms(dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2]))


def raise_storage_error(error: Exception) -> None:
    """Raise an error again that is not about the image: it may be whole, and others would fail in the same way.

    Args:
        error: What loading an image has raised. Nothing happens where the image is missing or broken.

    Raises:
        OSError: The storage does not answer or refuses to: a network, a permission, too many open files.
        MemoryError: There was no memory for it.

    Example:
        >>> raise_storage_error(FileNotFoundError(2, 'No such file'))
        >>> raise_storage_error(ConnectionResetError(104, 'Connection reset by peer'))
        Traceback (most recent call last):
        ...
        ConnectionResetError: [Errno 104] Connection reset by peer
    """
    # Pillow raises OSErrors without a number for broken images.
    is_of_pillow = isinstance(error, UnidentifiedImageError) or (type(error) is OSError and error.errno is None)
    if isinstance(error, (OSError, MemoryError)) and not is_of_pillow and not is_missing_file(error):
        raise error


def plain_settings(settings: Any) -> Any:
    """Settings of a configuration as JSON has them, in which a type is its name, however the configuration gives it.

    Args:
        settings: Dictionaries, lists and values.

    Returns:
        The same in new dictionaries and lists; a value that JSON does not know is its name or its text.

    Example:
        >>> from mmcv.transforms import Resize
        >>> plain_settings([dict(type=Resize, scale=(4, 4)), dict(type='mmcv.transforms.Resize')])
        [{'type': 'Resize', 'scale': [4, 4]}, {'type': 'Resize'}]
    """
    text = json.dumps(settings, default=lambda value: getattr(value, '__qualname__', str(value)))
    return json.loads(text, object_hook=_with_short_type)


def _with_short_type(settings: dict[str, Any]) -> dict[str, Any]:
    if isinstance(settings.get('type'), str):
        settings['type'] = settings['type'].rpartition('.')[2]
    return settings
