import json

import pytest
from mmpretrain.registry import DATASETS

CLASSES = ['crack', 'rust', 'leak']


@pytest.fixture
def load(draw_images):
    """Write an annotation file and two images, and build the data set."""
    root = draw_images('images', ['001.jpg', '002.jpg'])

    def build(labels=((0, 2), ()), content=None, **settings):
        data_list = [dict(img_path=f'00{number}.jpg', gt_label=list(label)) for number, label in enumerate(labels, 1)]
        if content is None:
            content = dict(metainfo=dict(classes=CLASSES), data_list=data_list)
        (root / 'train.json').write_text(json.dumps(content))
        settings = dict(dict(data_root=str(root), ann_file='train.json', data_prefix='images'), **settings)
        return DATASETS.build(dict(type='JSONMultiLabel', **settings))

    return build


def test_as_mmpretrains_own(load):
    dataset = load()
    theirs = DATASETS.build(
        dict(type='MultiLabelDataset', data_root=dataset.data_root, ann_file='train.json', data_prefix='images')
    )
    assert dataset.metainfo == theirs.metainfo
    assert [dataset.get_data_info(i) for i in range(2)] == [theirs.get_data_info(i) for i in range(2)]


@pytest.mark.parametrize(
    'content, message',
    [
        (dict(metainfo=dict(classes=CLASSES), data_list=[]), 'at least one image'),
        (dict(data_list=[dict(img_path='001.jpg', gt_label=[0])]), 'metainfo'),
        (dict(metainfo={}, data_list=[dict(img_path='001.jpg', gt_label=[0])]), 'name the classes'),
        (dict(images=[], annotations=[], categories=[]), 'COCO JSON'),
        (dict(metainfo=dict(classes=CLASSES), data_list=[dict(img_path='001.jpg')]), 'gt_label'),
        ([1], 'train.json'),
        ([dict(id=1, data=dict(image='/data/upload/1/001.jpg'), annotations=[])], 'Label Studio export a CSV'),
        (dict(metainfo=dict(classes=CLASSES), data_list=[dict(gt_label=[0])]), 'train.json.*img_path'),
    ],
)
def test_other_contents(load, content, message):
    with pytest.raises(ValueError, match=message):
        load(content=content)


@pytest.mark.parametrize('label', [(1, 3), (-1,), (0.5,), ('rust',), (0, 0, 1), (True, False, True)])
def test_labels_that_are_no_indices(load, label):
    with pytest.raises(ValueError, match='from 0 to 2.*001.jpg.*counted from 1'):
        load(labels=[label, ()])


def test_missing_files(load, draw_images):
    with pytest.raises(FileNotFoundError, match='003.jpg'):
        load(labels=[(0,), (), (1,)])
    with pytest.raises(FileNotFoundError, match='ann_file'):
        load(ann_file='val.json')


@pytest.mark.parametrize(
    'name, kind, message',
    [
        ('photos\\001.jpg', FileNotFoundError, r'train.json.*photos\\001.jpg. Write / instead'),
        ('https://host/001.jpg', ValueError, 'train.json.*https://host/001.jpg. Download the images'),
        ('s3://a/s3://b/001.jpg', ValueError, 'train.json.*001.jpg. Download the images'),
    ],
)
def test_names_of_another_system(load, name, kind, message):
    with pytest.raises(kind, match=message):
        load(content=dict(metainfo=dict(classes=CLASSES), data_list=[dict(img_path=name, gt_label=[0])]))


@pytest.mark.parametrize('classes', ['crack', 5, [['crack']], [1, 2], ['crack', 'crack']])
def test_classes_that_are_no_names(load, classes):
    content = dict(metainfo=dict(classes=classes), data_list=[dict(img_path='001.jpg', gt_label=[0])])
    with pytest.raises(ValueError, match='classes of .*train.json to be a list of names, each once, but got'):
        load(content=content)


def test_a_file_that_nests_too_deep(load, tmp_path, monkeypatch):
    load()
    monkeypatch.setattr('json.dumps', lambda content: '[' * 50_000)
    with pytest.raises(ValueError, match='train.json.*RecursionError'):
        load()
