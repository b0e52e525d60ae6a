import json
import time

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from PIL import Image

from kmcl_mm.datasets.coco_multilabel import COCO_CLASSES, CocoMultiLabel

CATEGORIES = [dict(id=9, name='dog'), dict(id=4, name='cat'), dict(id=7, name='bird')]
CLASSES = ('bird', 'cat', 'dog')


def box(image_id, category_id, iscrowd=0):
    return dict(id=1, image_id=image_id, category_id=category_id, iscrowd=iscrowd, bbox=[0, 0, 1, 1])


def instances():
    return dict(
        images=[dict(id=number, file_name=f'{number:012}.jpg', width=8, height=8) for number in (5, 3, 8, 1)],
        categories=list(CATEGORIES),
        annotations=[box(5, 9), box(5, 4), box(5, 9), box(3, 7), box(8, 7, iscrowd=1)],
    )


@pytest.fixture
def data_root(tmp_path):
    """A folder in COCO's layout: four images, one with crowd boxes only and one without any box."""

    def build(content=None):
        (tmp_path / 'annotations').mkdir(exist_ok=True)
        (tmp_path / 'val2017').mkdir(exist_ok=True)
        content = instances() if content is None else content
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / 'annotations/instances_val2017.json').write_text(text)
        for number in (1, 3, 5, 8):
            Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / f'val2017/{number:012}.jpg')
        return tmp_path

    return build


def load(root, **settings):
    return DATASETS.build(
        dict(
            dict(
                type='CocoMultiLabel',
                data_root=str(root),
                ann_file='annotations/instances_val2017.json',
                data_prefix='val2017',
                metainfo=dict(classes=CLASSES),
            ),
            **settings,
        )
    )


def labels(dataset):
    return {dataset[i]['img_id']: dataset[i]['gt_label'] for i in range(len(dataset))}


def test_labels_by_class_order_whatever_the_category_ids(data_root):
    dataset = load(data_root())
    assert labels(dataset) == {5: [1, 2], 3: [0], 8: [0]}
    assert dataset[0]['img_path'].endswith('val2017/000000000005.jpg')
    assert dataset.metainfo['classes'] == CLASSES
    assert dataset.get_cat_ids(0) == [1, 2]


def test_images_without_boxes_and_crowd_boxes(data_root):
    root = data_root()
    assert labels(load(root, filter_empty_gt=False)) == {5: [1, 2], 3: [0], 8: [0], 1: []}
    assert labels(load(root, include_crowd=False)) == {5: [1, 2], 3: [0]}
    assert labels(load(root, include_crowd=False, filter_empty_gt=False)) == {5: [1, 2], 3: [0], 8: [], 1: []}


def test_a_subset_of_the_classes(data_root):
    assert labels(
        load(data_root(), metainfo=dict(classes=('dog',))),
    ) == {5: [0]}


def test_lazy_loading_and_serialisation(data_root):
    root = data_root()
    lazy = load(root, lazy_init=True, serialize_data=True)
    assert not lazy._fully_initialized and lazy.metainfo['classes'] == CLASSES
    lazy.full_init()
    assert isinstance(lazy.data_bytes, np.ndarray) and not lazy.data_list
    assert labels(lazy) == labels(load(root, serialize_data=False))


def test_real_coco(shared_data):
    dataset = DATASETS.build(
        dict(
            type='CocoMultiLabel',
            data_root=str(shared_data / 'coco_mini'),
            ann_file='annotations/instances_train2017.json',
            data_prefix='train2017',
            pipeline=[dict(type='LoadCheckedImage'), dict(type='PackInputs')],
        )
    )
    content = json.loads((shared_data / 'coco_mini/annotations/instances_train2017.json').read_text())
    name = {category['id']: category['name'] for category in content['categories']}
    expected = {}
    for annotation in content['annotations']:
        expected.setdefault(annotation['image_id'], set()).add(name[annotation['category_id']])
    found = {
        dataset.get_data_info(i)['img_id']: {COCO_CLASSES[label] for label in dataset.get_cat_ids(i)}
        for i in range(len(dataset))
    }
    assert found == expected
    assert dataset[0]['inputs'].shape[0] == 3


def test_the_80_classes_are_the_real_ones(shared_data):
    content = json.loads((shared_data / 'coco_mini/annotations/instances_val2017.json').read_text())
    in_order_of_id = [category['name'] for category in sorted(content['categories'], key=lambda item: item['id'])]
    assert list(COCO_CLASSES) == in_order_of_id


def test_a_training_set_of_full_size_is_one_array_that_workers_share(tmp_path, monkeypatch):
    """82,081 images with 7 boxes each, the size of MS-COCO 2014."""
    monkeypatch.setattr('kmcl_mm.datasets.coco_multilabel.check_images', lambda *_: None)
    content = dict(
        images=[dict(id=number, file_name=f'{number:012}.jpg') for number in range(82081)],
        categories=CATEGORIES,
        annotations=[
            dict(id=7 * i + k, image_id=i, category_id=(4, 7, 9)[k % 3]) for i in range(82081) for k in range(7)
        ],
    )
    (tmp_path / 'instances.json').write_text(json.dumps(content))
    start = time.time()
    dataset = CocoMultiLabel(str(tmp_path), 'instances.json', metainfo=dict(classes=CLASSES))
    print(f'loaded in {time.time() - start:.1f} s')
    assert len(dataset) == 82081 and dataset.get_cat_ids(82080) == [0, 1, 2]
    assert isinstance(dataset.data_bytes, np.ndarray) and dataset.data_bytes.nbytes < 82081 * 300


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda content: content.pop('categories'), 'COCO instances JSON.*instances_'),
        (lambda content: content.pop('annotations'), 'COCO instances JSON'),
        (lambda content: content.pop('images'), 'COCO instances JSON'),
        (lambda content: content['images'][0].update(file_name=5), 'COCO instances JSON.*`file_name`.*is not a text'),
        (lambda content: content['annotations'].append(box(5, 'x' * 9999)), r'has .xxx.*\(10001 characters\)'),
        (lambda content: content['annotations'].append(box(5, 90)), '`category_id`.*lists.*has 90'),
        (lambda content: content['annotations'].append(box(77, 9)), '`image_id`.*lists.*has 77'),
        (lambda content: content['annotations'][0].pop('category_id'), 'instances_val2017.json'),
        (lambda content: content['images'][0].pop('file_name'), 'COCO instances JSON.*file_name'),
        (lambda content: content['images'].append(content['images'][0]), 'id is in `images` twice'),
        (lambda content: content.update(categories=[dict(id=1)]), 'COCO instances JSON.*name'),
        (lambda content: content.update(annotations=[]), 'at least one image.*filter_empty_gt=False'),
        (lambda content: content['categories'].pop(), r"hold every class, but \['bird'\].*metainfo"),
    ],
)
def test_annotation_files_that_are_wrong(data_root, change, message):
    content = instances()
    change(content)
    with pytest.raises(ValueError, match=message) as error:
        load(data_root(content))
    assert 'instances_val2017.json' in str(error.value)


@pytest.mark.parametrize('text', ['', 'not JSON', '[]', '[1, 2]', '{}', '7', 'null', '{"images": 3}', '[' * 50_000])
def test_files_that_are_no_annotations(data_root, text):
    with pytest.raises(ValueError, match='instances_val2017.json.*COCO instances JSON'):
        load(data_root(text))


def test_missing_files(data_root):
    with pytest.raises(FileNotFoundError, match='instances_train2014.json.*`ann_file`'):
        load(data_root(), ann_file='annotations/instances_train2014.json')
    with pytest.raises(FileNotFoundError, match='3 images.*3 of them are missing.*train2017.*`data_prefix`'):
        load(data_root(), data_prefix='train2017')


def test_a_missing_image(data_root):
    root = data_root()
    (root / 'val2017/000000000003.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='1 of them are missing, the first of them .*000000000003.jpg'):
        load(root)


@pytest.mark.parametrize('text', ['[8, 5, 5]', '8\n5\n', '5 8'])
def test_a_list_of_images(data_root, text):
    """In the order of the annotation file, each once; images without a label are left out as ever."""
    root = data_root()
    (root / 'ids').write_text(text)
    assert labels(load(root, img_ids_file='ids')) == {5: [1, 2], 8: [0]}
    (root / 'ids').write_text('1')
    assert labels(load(root, img_ids_file='ids', filter_empty_gt=False)) == {1: []}


@pytest.mark.parametrize(
    'content, message',
    [
        (b'5\ncat', "text with one id per line, but it is not: .*'cat'"),
        (b'[[5]]', 'JSON list of image ids.*but it is not'),
        (b'[5', 'JSON list of image ids.*but it is not'),
        (b'\xff\xfe\x00', 'JSON list of image ids.*but it is not'),
        (b'5\n77\n', r'every id in .*ids.*instances_val2017.json, but 1 of 2 are not, such as 77'),
        (b'["5"]', "but 1 of 1 are not, such as '5'"),
        (b'["' + b'5' * 9999 + b'"]', r'555... \(10001 characters\)'),
    ],
)
def test_a_wrong_list_of_images(data_root, content, message):
    root = data_root()
    (root / 'ids').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(root, img_ids_file='ids')


def test_a_missing_list_of_images(data_root):
    with pytest.raises(FileNotFoundError, match='img_ids_file'):
        load(data_root(), img_ids_file='ids')


def test_annotated_sizes(data_root):
    """Where the file names them: an image without a height has none, and neither has one of no such number."""
    content = instances()
    content['images'][2].update(width='8')
    content['images'][1].pop('height')
    dataset = load(data_root(content))
    assert [dataset.get_data_info(i).get('annotated_size') for i in range(3)] == [(8, 8), None, None]
