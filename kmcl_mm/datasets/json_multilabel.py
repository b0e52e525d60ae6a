"""MMPretrain's JSON annotation files, with checks."""

from numbers import Integral
from typing import Any

from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.registry import DATASETS

from ..checks import are_names
from ..errors import shorten
from .fraction import WithFraction
from .validation import check_images, check_not_empty, explain_missing_file


@DATASETS.register_module()
class JSONMultiLabel(WithFraction, MultiLabelDataset):
    """MMPretrain's ``MultiLabelDataset`` that checks labels and images before training starts.

    ::

        {"metainfo": {"classes": ["crack", "rust", "leak"]},
         "data_list": [{"img_path": "001.jpg", "gt_label": [0, 2]}, {"img_path": "002.jpg", "gt_label": []}]}

    Args:
        ann_file: The JSON.
        **kwargs: MMPretrain's arguments: ``data_root``, ``data_prefix``, ``metainfo``, ``pipeline`` and so on;
            ``fraction`` and ``fraction_seed`` of :class:`kmcl_mm.datasets.WithFraction`.

    Raises:
        FileNotFoundError: The annotation file or an image is missing.
        ValueError: The file has another format, or a label is not the index of a class.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotation file.

        Returns:
            One ``dict(img_path, gt_label)`` per image.
        """
        try:
            with explain_missing_file(self.ann_file, 'ann_file'):
                data_list = super().load_data_list()
            missing = [key for item in data_list for key in ('img_path', 'gt_label') if key not in item]
            if missing:
                raise KeyError(f'an image lacks {missing[0]!r}')
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError) as error:
            raise ValueError(
                f'Expected {self.ann_file} to be a JSON with `metainfo` and a `data_list` of `img_path` and '
                f'`gt_label`, but it is not: {shorten(repr(error))}. A COCO JSON takes type="CocoMultiLabel"; '
                'from Label Studio export a CSV, for type="TableMultiLabel".'
            ) from error
        self._check_labels(data_list)
        check_not_empty(data_list, self.ann_file, 'Its `data_list` is empty.')
        check_images([item['img_path'] for item in data_list], self.ann_file)
        return data_list

    def _check_labels(self, data_list: list[dict[str, Any]]) -> None:
        if not self.CLASSES:
            raise ValueError(
                f'Expected {self.ann_file} to name the classes in its `metainfo`, but it does not. Add them there, or '
                'give the data set metainfo=dict(classes=(...)).'
            )
        if not are_names(self.CLASSES):
            raise ValueError(
                f'Expected the classes of {self.ann_file} to be a list of names, each once, but got '
                f'{shorten(repr(self.CLASSES))}. Correct its `metainfo`, or give the data set '
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
                    'subtract 1 from all of them; if they are 0 or 1 for each class, give the indices of the ones.'
                )
