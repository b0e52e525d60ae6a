"""Images as a configuration's test pipeline prepares them."""

from typing import Any, Dict, NamedTuple, Union

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS

from ..datasets.transforms.loading import LoadCheckedImage


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
        ValueError: Its ``test_dataloader`` has no data set with a pipeline.
    """

    def __init__(self, cfg: Config) -> None:
        pipeline = cfg.get('test_dataloader', {}).get('dataset', {}).get('pipeline')
        if pipeline is None:
            raise ValueError(
                'Expected the configuration to have test_dataloader.dataset.pipeline, but there is none. Take the '
                'configuration that the checkpoint was trained with.'
            )
        transforms = [TRANSFORMS.build(transform) for transform in pipeline]
        loads = isinstance(transforms[0], LoadImageFromFile)
        self._load = transforms[0] if loads else LoadCheckedImage()
        self._transforms = Compose(transforms[1:] if loads else transforms)

    def __call__(self, source: Union[str, np.ndarray], channel_order: str = 'bgr') -> Union[Dict[str, Any], Skipped]:
        """Load and prepare an image.

        Args:
            source: Its path, or the image (H, W, 3), uint8.
            channel_order: 'bgr' or 'rgb', of an array.

        Returns:
            What the pipeline makes of it, ``inputs`` (3, H, W) and ``data_samples``; or why a file cannot be read.
        """
        if not isinstance(source, str):
            return self.prepare(source, channel_order)
        try:
            results = self._load(dict(img_path=source))
        except Exception as error:
            return Skipped(source, str(error.__cause__ or error))
        if results is None:
            return Skipped(source, 'it cannot be decoded')
        return self._transforms(results)

    def prepare(self, image: np.ndarray, channel_order: str = 'bgr') -> Dict[str, Any]:
        """Prepare an image that is in memory.

        Args:
            image: The image (H, W, 3), uint8.
            channel_order: 'bgr' or 'rgb'.

        Returns:
            What the pipeline makes of it, ``inputs`` (3, H, W) and ``data_samples``.
        """
        image = np.ascontiguousarray(image[..., ::-1]) if channel_order == 'rgb' else image
        return self._transforms(dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2]))
