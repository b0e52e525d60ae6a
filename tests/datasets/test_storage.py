"""Data sets whose files lie in a storage that is not the local file system."""

import json
from http import HTTPStatus
from urllib.error import HTTPError

import numpy as np
import pandas as pd
import pytest
from mmengine.fileio import BaseStorageBackend, register_backend
from mmengine.fileio import io as fileio
from mmengine.fileio.backends import backends, prefix_to_backends
from mmpretrain.registry import DATASETS

from tests.datasets import layouts

CLASSES = ('cat', 'dog')
NAMES = ['1.jpg', '2.jpg']
LABELS = [[0, 1], [1]]


class WebStorage(BaseStorageBackend):
    """As MMEngine's ``HTTPBackend``: it reads files, and cannot look them up."""

    def get(self, filepath):
        path = self.root / filepath.removeprefix('memory://')
        if not path.is_file():
            raise HTTPError(filepath, HTTPStatus.NOT_FOUND, 'Not Found', {}, None)
        return path.read_bytes()

    def get_text(self, filepath, encoding='utf-8'):
        return bytes(self.get(filepath)).decode(encoding)


class ObjectStorage(WebStorage):
    """As MMEngine's ``PetrelBackend``: it looks files up as well, and reads views of bytes."""

    def get(self, filepath):
        return memoryview(super().get(filepath))

    def isfile(self, filepath):
        return (self.root / filepath.removeprefix('memory://')).is_file()

    def join_path(self, filepath, *filepaths):
        return '/'.join([filepath, *filepaths])


@pytest.fixture
def register(tmp_path):
    """Serve the files of ``tmp_path`` as ``memory://...`` by a backend."""

    def register(backend):
        register_backend('memory', type(backend.__name__, (backend,), dict(root=tmp_path)), prefixes='memory')

    yield register
    backends.pop('memory')
    prefix_to_backends.pop('memory')
    fileio.backend_instances.pop('memory:{}', None)


def write_coco(root):
    boxes = [(number, 7 + label) for number, labels in enumerate(LABELS) for label in labels]
    content = dict(
        images=[dict(id=number, file_name=name) for number, name in enumerate(NAMES)],
        categories=[dict(id=7 + number, name=name) for number, name in enumerate(CLASSES)],
        annotations=[dict(id=n, image_id=i, category_id=category) for n, (i, category) in enumerate(boxes)],
    )
    (root / 'ann.json').write_text(json.dumps(content))
    (root / 'ids.txt').write_text('0 1')
    return dict(type='CocoMultiLabel', img_ids_file='memory://ids.txt', metainfo=dict(classes=CLASSES))


def write_json(root):
    data_list = [dict(img_path=name, gt_label=labels) for name, labels in zip(NAMES, LABELS)]
    (root / 'ann.json').write_text(json.dumps(dict(metainfo=dict(classes=CLASSES), data_list=data_list)))
    return dict(type='JSONMultiLabel')


def table():
    return pd.DataFrame(dict(image=NAMES, cat=[1, 0], dog=[1, 1]))


def write_csv(root):
    table().to_csv(root / 'ann.csv', index=False)
    return dict(type='TableMultiLabel', ann_file='memory://ann.csv')


def write_parquet(root):
    table().to_parquet(root / 'ann.parquet')
    return dict(type='TableMultiLabel', ann_file='memory://ann.parquet')


WRITERS = [write_coco, write_json, write_csv, write_parquet]
# MMEngine joins the paths in its JSON by the backend, which its backend for the web does not know.
CASES = [(write, backend) for write in WRITERS for backend in (WebStorage, ObjectStorage)]
CASES.remove((write_json, WebStorage))


@pytest.mark.parametrize('write, backend', CASES)
def test_annotations_and_images(draw_images, register, write, backend):
    root = draw_images('images', NAMES)
    settings = write(root)
    register(backend)
    pipeline = [dict(type='LoadCheckedImage')]
    settings = dict(dict(ann_file='memory://ann.json', data_prefix='memory://images', pipeline=pipeline), **settings)
    dataset = DATASETS.build(settings)
    items = [dataset[index] for index in range(len(dataset))]
    assert [item['gt_label'] for item in items] == LABELS
    assert tuple(dataset.metainfo['classes']) == CLASSES
    assert [item['img_path'] for item in items] == [f'memory://images/{name}' for name in NAMES]
    assert all(item['img'].shape == (8, 12, 3) for item in items)


@pytest.mark.parametrize('backend', [WebStorage, ObjectStorage])
@pytest.mark.parametrize('write', WRITERS)
def test_a_missing_annotation_file(draw_images, register, write, backend):
    root = draw_images('images', NAMES)
    settings = dict(dict(ann_file='memory://ann.json', data_prefix='memory://images'), **write(root))
    (root / settings['ann_file'].removeprefix('memory://')).unlink()
    register(backend)
    with pytest.raises(FileNotFoundError, match=r'Expected the file memory://ann\..*, but there is none.*`ann_file`'):
        DATASETS.build(settings)


def test_a_storage_that_refuses_is_no_missing_file(draw_images, register, monkeypatch):
    settings = write_coco(draw_images('images', NAMES))
    register(WebStorage)

    def refuse(self, path):
        raise HTTPError(path, HTTPStatus.FORBIDDEN, 'Forbidden', {}, None)

    monkeypatch.setattr(WebStorage, 'get', refuse)
    with pytest.raises(HTTPError, match='403'):
        DATASETS.build(dict(settings, ann_file='memory://ann.json', data_prefix='memory://images'))


def draw_voc(root):
    names = [str(index) for index in range(layouts.NUMBER)]
    layouts.draw_images(root / 'JPEGImages', [f'{name}.jpg' for name in names])
    for folder in ('Annotations', 'ImageSets/Main'):
        (root / folder).mkdir(parents=True)
    (root / 'ImageSets/Main/trainval.txt').write_text('\n'.join(names))
    for name in names:
        (root / f'Annotations/{name}.xml').write_text('<annotation><object><name>cat</name></object></annotation>')


@pytest.mark.parametrize(
    'draw, settings',
    [
        (layouts.draw_adp, dict(type='ADP')),
        (layouts.draw_chestxray14, dict(type='ChestXray14', ann_file='Data_Entry_2017.csv')),
        (layouts.draw_nuswide, dict(type='NUSWide')),
        (draw_voc, dict(type='VOCMultiLabel')),
    ],
)
def test_layouts_with_a_root_folder(tmp_path, register, draw, settings):
    """The same items as from the local file system, and images that can be read."""
    (tmp_path / 'data').mkdir()
    draw(tmp_path / 'data')
    register(ObjectStorage)
    settings = dict(settings, pipeline=[dict(type='LoadCheckedImage')])
    local, remote = (
        DATASETS.build(dict(settings, data_root=root)) for root in (str(tmp_path / 'data'), 'memory://data')
    )
    assert len(local) == len(remote) >= 8
    for index in range(len(local)):
        here, there = local[index], remote[index]
        assert there['gt_label'] == here['gt_label'] and np.array_equal(there['img'], here['img'])
        assert there['img_path'] == here['img_path'].replace(str(tmp_path / 'data'), 'memory://data')
