"""PASCAL VOC as sets of labels, with the published treatment of difficult objects."""

import math
import os
import xml.etree.ElementTree as ElementTree
from typing import Any

from mmpretrain.datasets import VOC
from mmpretrain.registry import DATASETS

from ..checks import check_choice
from ..errors import shorten
from .fraction import WithFraction
from .validation import check_images, check_not_empty, read_file, read_text


@DATASETS.register_module()
class VOCMultiLabel(WithFraction, VOC):
    """MMPretrain's ``VOC`` in which a label with only `difficult` objects is a positive for training.

    With ``test_mode=True`` such a label is in ``gt_label_difficult`` only, and MMPretrain's ``VOCAveragePrecision``
    leaves the image out of that label's average precision.

    Args:
        data_root: Folder of one year's data, with ``JPEGImages``, ``Annotations`` and ``ImageSets/Main``.
        split: 'train', 'val', 'trainval' or 'test'.
        **kwargs: Passed to MMPretrain's ``VOC``: ``image_set_path``, ``data_prefix``, ``metainfo``, ``pipeline``,
            ``test_mode`` and so on; ``fraction`` and ``fraction_seed`` of :class:`kmcl_mm.datasets.WithFraction`.

    Raises:
        FileNotFoundError: The list of images, an annotation file or an image is missing.
        ValueError: There is no such split, or an annotation file cannot be read or has an unknown label.

    Source: the VOC 2007 development kit; arXiv:2009.14119 and the published recipe for the difficult objects.
    """

    def __init__(self, data_root: str, split: str = 'trainval', **kwargs: Any) -> None:
        check_choice('split', split, ('train', 'val', 'trainval', 'test'))
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the list of images and their annotations.

        Returns:
            One ``dict(img_path, gt_label, gt_label_difficult)`` per image, with ``annotated_size`` (width, height) in
            pixels if its annotation has one.
        """
        read_text(self.image_set_path, 'split')
        self._sizes: list[tuple[float, float] | None] = []
        data_list = super().load_data_list()
        for item, size in zip(data_list, self._sizes):
            if size is not None:
                item['annotated_size'] = size
        del self._sizes
        if not self.test_mode:
            for item in data_list:
                item['gt_label'] = sorted({*item['gt_label'], *item['gt_label_difficult']})
        check_not_empty(data_list, self.image_set_path, 'It is empty.')
        check_images([item['img_path'] for item in data_list], self.image_set_path)
        return data_list

    def _get_labels_from_xml(self, img_id: str) -> tuple[list[int], list[int]]:
        """Indices of the labels with an object that is not difficult, and of those with one that is."""
        path = os.path.join(self.ann_prefix, f'{img_id}.xml')
        try:
            annotation = ElementTree.fromstring(read_file(path, 'data_prefix'))
            objects = annotation.findall('object')
            labels = [(item.findtext('name'), bool(int(item.findtext('difficult', '0')))) for item in objects]
            if any(name is None for name, _ in labels):
                raise ValueError('an `object` has no `name`')
        except (ElementTree.ParseError, AttributeError, ValueError, LookupError) as error:
            raise ValueError(
                f'Expected {path} to be a VOC annotation with a `name` in each `object`, but it cannot be '
                f'read: {error!r}. Restore the file.'
            ) from error
        self._sizes.append(_annotated_size(annotation))
        known = {*self.CLASSES, *self.METAINFO['classes']}
        for name, _ in labels:
            if name not in known:
                raise ValueError(
                    f'Expected the labels of {path} to be among {sorted(known)}, but got {shorten(repr(name))}. '
                    'Correct the file, or give metainfo=dict(classes=(...)) with the names of your labels.'
                )
        index = self.class_to_idx
        easy, difficult = (
            {index[name] for name, is_difficult in labels if name in index and is_difficult == wanted}
            for wanted in (False, True)
        )
        return sorted(easy), sorted(difficult)


def _annotated_size(annotation: ElementTree.Element) -> tuple[float, float] | None:
    """(width, height) in pixels if the annotation has both."""
    try:
        width, height = (float(annotation.findtext(f'size/{side}', '0')) for side in ('width', 'height'))
    except ValueError:
        return None
    return (width, height) if 0 < width < math.inf and 0 < height < math.inf else None
