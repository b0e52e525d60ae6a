"""Annotation files of the data sets, each judged by a reading of its own."""

import csv
import io
import json
import math
import re
import string
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.dom import minidom

import numpy as np
import pandas as pd
import pyarrow.parquet
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS
from numpy.random import Generator

from .image_mutations import draw_jpeg
from .json_mutations import JSON
from .mutations import BYTES, TEXT, choose
from .table_mutations import TABLE
from .target import Target
from .xml_mutations import SECRET, XML

CLASSES = ('crack', 'rust', 'leak', 'dog')
NAMES = ('001.jpg', '002.jpg', '003.jpg', '004.jpg')
LABELS = ((0, 2), (), (1,), (0, 1, 2, 3))
# The judge's reader takes any cell.
csv.field_size_limit(10**7)
Rows = list[tuple[str, list[int]]]


class DataSetTarget(Target):
    """A data set of four images; its annotation file is mutated.

    Attributes:
        file: The annotation file in its folder.
        settings: The data set's configuration.
    """

    file: str
    settings: dict[str, Any]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        init_default_scope('mmpretrain')
        (folder / 'images').mkdir()
        for name in NAMES:
            (folder / 'images' / name).write_bytes(draw_jpeg(8, 12))
        (folder / self.file).parent.mkdir(exist_ok=True, parents=True)

    def load(self, content: bytes) -> Any:
        (self.folder / self.file).write_bytes(content)
        pipeline = [dict(type='LoadCheckedImage'), dict(type='PackInputs')]
        dataset = DATASETS.build(dict(data_root=str(self.folder), pipeline=pipeline, **self.settings))
        return dataset, [dataset[index] for index in range(len(dataset))]

    def check(self, content: bytes, loaded: Any) -> None:
        dataset, items = loaded
        classes = dataset.metainfo['classes']
        assert not isinstance(classes, str) and len(set(classes)) == len(classes) > 0
        assert all(isinstance(name, str) for name in classes)
        rows = []
        for index, item in enumerate(items):
            data = dataset.get_data_info(index)
            labels = data['gt_label']
            assert Path(data['img_path']).is_file()
            assert all(type(label) is int and 0 <= label < len(classes) for label in labels)
            assert sorted(set(labels)) == sorted(labels)
            size = data.get('annotated_size', (1, 1))
            assert len(size) == 2 and all(type(side) in (int, float) and 0 < side < math.inf for side in size)
            assert item['inputs'].dtype == torch.uint8 and item['inputs'].shape == (3, 8, 12)
            assert item['data_samples'].gt_label.tolist() == labels
            rows.append((Path(data['img_path']).name, sorted(labels)))
        assert len(rows) > 0 and rows == self.read(content)

    @abstractmethod
    def read(self, content: bytes) -> Rows:
        """Name and labels of each image, as the file has them."""


class CocoInstances(DataSetTarget):
    name, number, mutations, file = 'COCO JSON', 130, JSON, 'instances.json'
    settings = dict(
        type='CocoMultiLabel',
        ann_file='instances.json',
        data_prefix='images',
        filter_empty_gt=False,
        metainfo=dict(classes=CLASSES),
    )

    def original(self, generator: Generator) -> bytes:
        images = [dict(id=5 + n, file_name=name, width=12, height=8) for n, name in enumerate(NAMES)]
        boxes = [(5 + n, 9 - label) for n, labels in enumerate(LABELS) for label in labels]
        return json.dumps(
            dict(
                info=dict(year=2017),
                images=images,
                categories=[dict(id=9 - label, name=name) for label, name in enumerate(CLASSES)],
                annotations=[
                    dict(id=n, image_id=image, category_id=category, iscrowd=0, bbox=[0, 0, 1, 1.5])
                    for n, (image, category) in enumerate(boxes)
                ],
            )
        ).encode()

    def read(self, content: bytes) -> Rows:
        tree = json.loads(content)
        names = {category['id']: category['name'] for category in tree['categories']}
        boxes = [(box['image_id'], names[box['category_id']]) for box in tree['annotations']]
        return [
            (
                Path(image['file_name']).name,
                sorted({CLASSES.index(name) for owner, name in boxes if owner == image['id'] and name in CLASSES}),
            )
            for image in tree['images']
        ]


class ImageIds(CocoInstances):
    """The list of images to take, with a good annotation file."""

    name, number, mutations, file = 'list of COCO ids', 20, (*TEXT, *JSON[-4:]), 'ids.txt'
    settings = dict(CocoInstances.settings, img_ids_file='ids.txt')

    def original(self, generator: Generator) -> bytes:
        (self.folder / 'instances.json').write_bytes(super().original(generator))
        return b'[5, 6, 8]'

    def read(self, content: bytes) -> Rows:
        try:
            ids = json.loads(content)
            ids = ids if isinstance(ids, list) else [ids]
        except ValueError:
            ids = [int(line) for line in content.decode('utf-8').split()]
        rows = super().read((self.folder / 'instances.json').read_bytes())
        return [row for number, row in enumerate(rows, start=5) if number in ids]


class HostsJSON(DataSetTarget):
    name, number, mutations, file = "host's JSON", 90, JSON, 'train.json'
    settings = dict(type='JSONMultiLabel', ann_file='train.json', data_prefix='images')

    def original(self, generator: Generator) -> bytes:
        data_list = [dict(img_path=name, gt_label=labels) for name, labels in zip(NAMES, LABELS)]
        return json.dumps(dict(metainfo=dict(classes=CLASSES), data_list=data_list)).encode()

    def read(self, content: bytes) -> Rows:
        tree = json.loads(content)
        return [(Path(item['img_path']).name, sorted(item['gt_label'])) for item in tree['data_list']]


class VOCAnnotation(DataSetTarget):
    name, number, mutations, file = 'VOC XML', 110, XML, 'Annotations/002.xml'
    settings = dict(
        type='VOCMultiLabel',
        split='trainval',
        data_prefix=dict(img_path='images', ann_path='Annotations'),
        metainfo=dict(classes=CLASSES),
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for part in ('Annotations', 'ImageSets/Main'):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for part in ('', 'Annotations'):
            (folder / part / SECRET).write_text('leak')
        (folder / 'ImageSets/Main/trainval.txt').write_text('001\n002')
        for name in ('001', '002'):
            (folder / f'Annotations/{name}.xml').write_bytes(self._draw())

    def original(self, generator: Generator) -> bytes:
        return self._draw()

    def _draw(self) -> bytes:
        objects = ''.join(
            f'<object>\n<name>{name}</name>\n<difficult>{difficult}</difficult>\n</object>\n'
            for name, difficult in (('dog', 0), ('rust', 1), ('dog', 1))
        )
        size = '<size>\n<width>12</width>\n<height>8</height>\n</size>'
        return f'<annotation>\n<filename>a.jpg</filename>\n{size}\n{objects}</annotation>'.encode()

    def read(self, content: bytes) -> Rows:
        root = minidom.parseString(content).documentElement
        names = set()
        for child in root.childNodes:
            if child.nodeName == 'object':
                name = next(node for node in child.childNodes if node.nodeName == 'name')
                names.add(
                    ''.join(node.data for node in name.childNodes if node.nodeName in ('#text', '#cdata-section'))
                )
        return [('001.jpg', [1, 3]), ('002.jpg', sorted(CLASSES.index(name) for name in names if name in CLASSES))]


class VOCList(VOCAnnotation):
    name, number, mutations, file = 'VOC list', 30, TEXT, 'ImageSets/Main/trainval.txt'

    def original(self, generator: Generator) -> bytes:
        return b'001\n002\n'

    def read(self, content: bytes) -> Rows:
        lines = io.TextIOWrapper(io.BytesIO(content), 'utf-8').read().splitlines()
        return [(f'{Path(line).name}.jpg', [1, 3]) for line in lines]


class LabelColumns(DataSetTarget):
    """A column of 0 and 1 for each label."""

    name, number, mutations, file = 'CSV of columns', 80, TABLE, 'train.csv'
    settings = dict(
        type='TableMultiLabel',
        ann_file='train.csv',
        data_prefix='images',
        image_column='image',
        metainfo=dict(classes=CLASSES),
    )
    separator = ','

    def original(self, generator: Generator) -> bytes:
        rows = [('image', *CLASSES, 'note')]
        rows += [
            (name, *(str(int(k in labels)) for k in range(len(CLASSES))), 'n') for name, labels in zip(NAMES, LABELS)
        ]
        return ''.join(self.separator.join(row) + '\n' for row in rows).encode()

    def read(self, content: bytes) -> Rows:
        return [
            (_file(row['image']), [k for k, name in enumerate(CLASSES) if _is_one(row[name])])
            for row in self._rows(content)
        ]

    def _rows(self, content: bytes) -> list[dict[str, str]]:
        """With the separator by which the header has a column of images."""
        text = content.decode('utf-16' if content[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig')
        text = re.sub(r'\A\s*"?sep=.*\n', '', text, flags=re.IGNORECASE)
        for separator in ',;\t|':
            reader = csv.reader(io.StringIO(text, newline=''), delimiter=separator, skipinitialspace=True)
            header, *rows = [row for row in reader if ''.join(row).strip()]
            names = list(map(str.strip, header))
            if 'image' in names:
                return [dict(zip(names, (*map(str.strip, row), *[''] * len(names)))) for row in rows]
        raise AssertionError('no column of images')


class TabSeparated(LabelColumns):
    name, number, file, separator = 'TSV of columns', 20, 'train.tsv', '\t'
    settings = dict(LabelColumns.settings, ann_file='train.tsv')


class JoinedNames(LabelColumns):
    """One column of joined names."""

    name, number = 'CSV of names', 60
    settings = dict(LabelColumns.settings, label_column='labels', patient_column='patient')

    def original(self, generator: Generator) -> bytes:
        rows = [f'{name},{"|".join(CLASSES[k] for k in labels)},p1' for name, labels in zip(NAMES, LABELS)]
        return '\n'.join(('image,labels,patient', *rows, '')).encode()

    def read(self, content: bytes) -> Rows:
        return [
            (_file(row['image']), sorted({CLASSES.index(name) for name in _names(row['labels'])}))
            for row in self._rows(content)
        ]


class ParquetTable(LabelColumns):
    """A Parquet file, of columns of several types."""

    name, number, file = 'Parquet', 50, 'train.parquet'
    mutations = (*BYTES, *6 * BYTES[:1])
    settings = dict(LabelColumns.settings, ann_file='train.parquet')

    def original(self, generator: Generator) -> bytes:
        frame = pd.DataFrame(dict(image=NAMES))
        for k, name in enumerate(CLASSES):
            frame[name] = [int(k in labels) for labels in LABELS]
        columns: Sequence[Any] = (
            [1.0, None, 0.0, 1.0],
            [math.inf, 1, 0, 1],
            [True, False, False, True],
            ['1', '0', '0.0', 'TRUE'],
            [b'1', b'0', b'1', b'0'],
            [[1], [], [0], [1]],
            [dict(a=1)] * 4,
            pd.to_datetime(['2020-01-01'] * 4),
            [None] * 4,
            pd.Categorical(['1', '0', '1', '0']),
            [10**18, 0, 1, 1],
        )
        frame[choose((*frame.columns, 'note'), generator)] = choose(columns, generator)
        frame.index.name = choose((None, None, 'row', 'rust'), generator)
        return frame.to_parquet()

    def _rows(self, content: bytes) -> list[dict[str, str]]:
        rows = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
        return [{name: str(value) for name, value in row.items()} for row in rows]


class RowNumbers(DataSetTarget):
    """The .npy file of ADP's split."""

    name, number, mutations, file = 'ADP .npy', 20, (*BYTES, *8 * BYTES[:1]), 'splits/train.npy'
    settings = dict(type='ADP', split='train', data_prefix='images', metainfo=dict(classes=CLASSES), ann_file='adp.csv')
    settings.update(filter_empty_gt=False)

    def original(self, generator: Generator) -> bytes:
        table = LabelColumns.original(self, generator).replace(b'image', b'Patch Names')
        (self.folder / 'adp.csv').write_bytes(table)
        arrays: Sequence[Any] = ([0, 2, 3], [0], [3, 1, 0], [1, 1], [], [-1], [4], [0.0], [[0]], ['0'])
        buffer = io.BytesIO()
        np.save(buffer, np.array(choose(arrays, generator)))
        return buffer.getvalue()

    separator = ','

    def read(self, content: bytes) -> Rows:
        rows = np.load(io.BytesIO(content), allow_pickle=False)
        return [(NAMES[row], list(LABELS[row])) for row in rows]


class PatientLists(DataSetTarget):
    """NIH's list of the images for training."""

    name, number, mutations, file = 'ChestX-ray14 list', 20, TEXT, 'train_val_list.txt'
    settings = dict(type='ChestXray14', metainfo=dict(classes=CLASSES), ann_file='table.csv', filter_empty_gt=False)

    def original(self, generator: Generator) -> bytes:
        rows = [f'{name},{"|".join(CLASSES[k] for k in labels)},{name}' for name, labels in zip(NAMES, LABELS)]
        (self.folder / 'table.csv').write_text('\n'.join(('Image Index,Finding Labels,Patient ID', *rows)))
        (self.folder / 'test_list.txt').write_text(NAMES[3])
        return '\n'.join(NAMES[:3]).encode()

    def read(self, content: bytes) -> Rows:
        names = content.decode().split()
        return [(name, list(labels)) for name, labels in zip(NAMES, LABELS) if name in names]


def _file(cell: str) -> str:
    return re.split(r'[/\\]', cell)[-1]


def _is_one(cell: str) -> bool:
    text = ''.join(character for character in cell if character in string.printable).strip().lower()
    return text == 'true' or (text not in ('', 'false', 'none') and float(text.replace(',', '.')) == 1)


def _names(cell: str) -> list[str]:
    if cell.startswith(('[', '{')):
        return [name.strip() for name in re.findall(r"""["']([^"']+)["']""", cell) if name != 'choices']
    return [name.strip() for name in cell.split('|') if name.strip()]


DATA_SETS = (
    CocoInstances,
    ImageIds,
    HostsJSON,
    VOCAnnotation,
    VOCList,
    LabelColumns,
    TabSeparated,
    JoinedNames,
    ParquetTable,
    RowNumbers,
    PatientLists,
)
