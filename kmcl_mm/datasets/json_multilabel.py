"""The host's annotation file, checked."""

from numbers import Integral
from typing import Any, Dict, List

from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.registry import DATASETS

from ..errors import shorten
from .checks import check_file, check_images, check_not_empty
from .fraction import WithFraction


@DATASETS.register_module()
class JSONMultiLabel(WithFraction, MultiLabelDataset):
    """The host's ``MultiLabelDataset``, whose labels and images are checked before training starts.

    ::

        {"metainfo": {"classes": ["crack", "rust", "leak"]},
         "data_list": [{"img_path": "001.jpg", "gt_label": [0, 2]}, {"img_path": "002.jpg", "gt_label": []}]}

    Args:
        ann_file: The JSON.
        **kwargs: The host's arguments: ``data_root``, ``data_prefix``, ``metainfo``, ``pipeline`` and so on;
            ``fraction`` and ``fraction_seed`` of :class:`kmcl_mm.datasets.WithFraction`.

    Raises:
        FileNotFoundError: The annotation file or an image is missing.
        ValueError: The file has another form, or a label that is no index of a class.
    """

    def load_data_list(self) -> List[Dict[str, Any]]:
        """Read the annotation file.

        Returns:
            One ``dict(img_path, gt_label)`` an image.
        """
        check_file(self.ann_file, 'ann_file')
        try:
            data_list = super().load_data_list()
            missing = [key for item in data_list for key in ('img_path', 'gt_label') if key not in item]
            if missing:
                raise KeyError(f'an image lacks {missing[0]!r}')
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError) as error:
            raise ValueError(
                f'Expected {self.ann_file} to be a JSON with `metainfo` and a `data_list` of `img_path` and '
                f'`gt_label`, but it is not: {shorten(repr(error))}. A COCO JSON takes type="CocoMultiLabel".'
            ) from error
        self._check_labels(data_list)
        check_not_empty(data_list, self.ann_file, 'Its `data_list` is empty.')
        check_images(item['img_path'] for item in data_list)
        return data_list

    def _check_labels(self, data_list: List[Dict[str, Any]]) -> None:
        if not self.CLASSES:
            raise ValueError(
                f'Expected {self.ann_file} to name the classes in its `metainfo`, but it does not. Add them there, or '
                'give the data set metainfo=dict(classes=(...)).'
            )
        if not _are_names(self.CLASSES):
            raise ValueError(
                f'Expected the classes of {self.ann_file} to be a list of names, each once, but got '
                f'{shorten(repr(self.CLASSES))}. Mend its `metainfo`, or give the data set '
                'metainfo=dict(classes=(...)).'
            )
        number = len(self.CLASSES)
        for item in data_list:
            labels = item['gt_label']
            is_index = isinstance(labels, list) and all(
                isinstance(label, Integral) and not isinstance(label, bool) and label in range(number)
                for label in labels
            )
            if not is_index or len(set(labels)) < len(labels):
                raise ValueError(
                    f'Expected the `gt_label` of each image of {self.ann_file} to be a list of indices from 0 to '
                    f'{number - 1}, each once, but '
                    f'{shorten(item["img_path"])} has {shorten(repr(labels))}. If labels are counted from 1, '
                    'subtract 1 from all of them; of one number for each class, 0 or 1, give the indices of the ones.'
                )


def _are_names(classes: Any) -> bool:
    is_list = isinstance(classes, (list, tuple)) and all(isinstance(name, str) for name in classes)
    return is_list and len(set(classes)) == len(classes)
