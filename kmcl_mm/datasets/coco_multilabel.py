"""MS-COCO, or any data in its instances format, as multilabel data."""

import contextlib
import io
import json
import math
import os
from typing import Any

from mmengine.utils import is_abs
from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.registry import DATASETS
from pycocotools.coco import COCO

from ..errors import shorten
from .fraction import WithFraction
from .validation import check_images, check_not_empty, read_file, report_left_out

# fmt: off
COCO_CLASSES = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat', 'traffic light',
    'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog', 'horse', 'sheep', 'cow',
    'elephant', 'bear', 'zebra', 'giraffe', 'backpack', 'umbrella', 'handbag', 'tie', 'suitcase', 'frisbee', 'skis',
    'snowboard', 'sports ball', 'kite', 'baseball bat', 'baseball glove', 'skateboard', 'surfboard',
    'tennis racket', 'bottle', 'wine glass', 'cup', 'fork', 'knife', 'spoon', 'bowl', 'banana', 'apple', 'sandwich',
    'orange', 'broccoli', 'carrot', 'hot dog', 'pizza', 'donut', 'cake', 'chair', 'couch', 'potted plant', 'bed',
    'dining table', 'toilet', 'tv', 'laptop', 'mouse', 'remote', 'keyboard', 'cell phone', 'microwave', 'oven',
    'toaster', 'sink', 'refrigerator', 'book', 'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush')
# fmt: on


@DATASETS.register_module()
class CocoMultiLabel(WithFraction, MultiLabelDataset):
    """Images of a COCO instances file, labelled with the categories of their boxes.

    The 2014 and 2017 layouts differ only in folder and file names, which the arguments and the annotation file give:
    ``annotations/instances_train2014.json`` with ``train2014/COCO_train2014_000000000009.jpg``, or
    ``annotations/instances_train2017.json`` with ``train2017/000000000009.jpg``. Labels are numbered in the order of
    the class names; category ids do not matter.

    Args:
        data_root: Folder that ``ann_file`` and ``data_prefix`` are relative to.
        ann_file: The instances JSON.
        data_prefix: Folder of the images.
        filter_empty_gt: Leave out images without a box of any class, in training and testing, as the published recipe
            does; False keeps them as negatives.
        img_ids_file: File with the ids of the images to take, relative to ``data_root``: a JSON list, or text with one
            id per line. Default: all images. The published subsets of 1,000 to 40,000 training images are such lists.
        include_crowd: Count crowd boxes (``iscrowd``), as the published recipe does.
        metainfo: ``dict(classes=(...))`` for other labels than COCO's 80. Other categories of the file are ignored.
        **kwargs: Passed to MMPretrain's ``MultiLabelDataset``: ``pipeline``, ``test_mode``, ``lazy_init``,
            ``serialize_data``, ``indices`` and so on; ``fraction`` and ``fraction_seed`` of
            :class:`kmcl_mm.datasets.WithFraction`.

    Raises:
        FileNotFoundError: The annotation file, the list of ids or an image is missing.
        ValueError: The annotation file is not an instances JSON, lacks a class, or has a box of a category or image
            that it does not list; or the list of ids is not one, or has an id that the annotation file lacks.

    Source: https://cocodataset.org/#format-data; the published recipe counts 82,081 + 40,137 images of 2014.
    """

    METAINFO = dict(classes=COCO_CLASSES)

    def __init__(
        self,
        data_root: str = '',
        ann_file: str = '',
        data_prefix: str | dict = '',
        filter_empty_gt: bool = True,
        include_crowd: bool = True,
        metainfo: dict | None = None,
        img_ids_file: str = '',
        **kwargs: Any,
    ) -> None:
        is_relative = img_ids_file and not is_abs(img_ids_file)
        self.img_ids_file = os.path.join(data_root, img_ids_file) if is_relative else img_ids_file
        self.filter_empty_gt = filter_empty_gt
        self.include_crowd = include_crowd
        super().__init__(ann_file=ann_file, metainfo=metainfo, data_root=data_root, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotation file.

        Returns:
            One ``dict(img_path, gt_label, img_id)`` per image, in the order of the file, with ``annotated_size``
            (width, height) in pixels if the file has it.
        """
        coco = self._read()
        label_of_category = self._map_categories(coco)
        data_list = []
        wanted = self._wanted_images(coco)
        for image_id in wanted:
            image = coco.imgs[image_id]
            labels = {
                label_of_category[box['category_id']]
                for box in coco.imgToAnns.get(image_id, ())
                if box['category_id'] in label_of_category and (self.include_crowd or not box.get('iscrowd', 0))
            }
            if labels or not self.filter_empty_gt:
                path = os.path.join(self.img_prefix, image['file_name'])
                item = dict(img_path=path, gt_label=sorted(labels), img_id=image_id)
                size = (image.get('width'), image.get('height'))
                if all(isinstance(side, (int, float)) and 0 < side < math.inf for side in size):
                    item['annotated_size'] = size
                data_list.append(item)
        report_left_out(self.ann_file, len(wanted) - len(data_list), len(wanted))
        hint = 'Images without a label are left out; filter_empty_gt=False keeps them.'
        check_not_empty(data_list, self.ann_file, hint)
        check_images([item['img_path'] for item in data_list], self.ann_file)
        return data_list

    def _wanted_images(self, coco: COCO) -> list[int]:
        """Ids of the images to take, in the order of the annotation file."""
        if not self.img_ids_file:
            return list(coco.imgs)
        content = read_file(self.img_ids_file, 'img_ids_file')
        try:
            text = content.decode()
            ids = json.loads(text) if text.lstrip().startswith('[') else [int(line) for line in text.split()]
            wanted = set(ids)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f'Expected {self.img_ids_file} to be a JSON list of image ids, or text with one id per line, but it is '
                f'not: {shorten(str(error))}. Correct the file.'
            ) from error
        unknown = [image_id for image_id in ids if image_id not in coco.imgs]
        if unknown:
            raise ValueError(
                f'Expected every id in {self.img_ids_file} to be that of an image in {self.ann_file}, but '
                f'{len(unknown)} of {len(ids)} are not, such as {shorten(repr(unknown[0]))}. Use the annotation file '
                'that the list was made for: the splits of 2014 and 2017 hold different images.'
            )
        return [image_id for image_id in coco.imgs if image_id in wanted]

    def _read(self) -> COCO:
        text = read_file(self.ann_file, 'ann_file')
        coco = COCO()
        try:
            content = coco.dataset = json.loads(text)
            with contextlib.redirect_stdout(io.StringIO()):
                coco.createIndex()
            missing = [key for key in ('images', 'annotations', 'categories') if key not in content]
            if missing:
                raise KeyError(f'{missing} are missing')
            for key, name in (('images', 'file_name'), ('categories', 'name')):
                if len({item['id'] for item in content[key]}) < len(content[key]):
                    raise KeyError(f'an id is in `{key}` twice')
                if not all(isinstance(item[name], str) for item in content[key]):
                    raise TypeError(f'a `{name}` in `{key}` is not a text')
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError) as error:
            raise ValueError(
                f'Expected {self.ann_file} to be a COCO instances JSON with `images`, `annotations` and '
                f'`categories`, but it is not: {shorten(repr(error))}. Set `ann_file` to an instances_*.json.'
            ) from error
        return coco

    def _map_categories(self, coco: COCO) -> dict[int, int]:
        """Map the ids of the categories that are classes to label indices."""
        names = {category_id: category['name'] for category_id, category in coco.cats.items()}
        absent = [name for name in self.CLASSES if name not in names.values()]
        if absent:
            raise ValueError(
                f'Expected the categories of {self.ann_file} to hold every class, but {absent} are not '
                f'among its {shorten(repr(sorted(names.values())), most=2000)}. For your own labels give '
                'metainfo=dict(classes=(...)) with their names, the same for all splits.'
            )
        for box in coco.dataset['annotations']:
            for key, known in (('category_id', names), ('image_id', coco.imgs)):
                if box.get(key) not in known:
                    raise ValueError(
                        f'Expected every annotation of {self.ann_file} to have a `{key}` that the file lists, but '
                        f'annotation {shorten(repr(box.get("id")))} has {shorten(repr(box.get(key)))}. Correct '
                        'the file, or use the one that belongs to these images.'
                    )
        index = self.class_to_idx
        return {category_id: index[name] for category_id, name in names.items() if name in index}
