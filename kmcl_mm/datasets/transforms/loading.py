"""Loading of images."""

from typing import Dict

from mmcv.transforms import LoadImageFromFile
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadCheckedImage(LoadImageFromFile):
    """The host's ``LoadImageFromFile``, which names the file and the way out where an image cannot be read.

    Takes the host's arguments: ``color_type``, ``imdecode_backend``, ``backend_args`` and so on.

    Required key: ``img_path``. Added keys: ``img`` (H, W, 3) in BGR, ``img_shape``, ``ori_shape``.
    """

    def transform(self, results: Dict) -> Dict:
        """Load the image.

        Args:
            results: The data of an image, with ``img_path``.

        Returns:
            The same with ``img``, ``img_shape`` and ``ori_shape``.

        Raises:
            ValueError: The file is missing or is not an image.
        """
        try:
            return super().transform(results)
        except Exception as error:
            raise ValueError(
                f'Expected {results["img_path"]} to be an image, but it cannot be read: {error!r}. Restore '
                'the file, or take it out of the annotations.'
            ) from error
