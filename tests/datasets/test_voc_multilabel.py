import numpy as np
import pytest
from mmpretrain.registry import DATASETS, METRICS
from PIL import Image

from kmcl_mm.datasets import VOCMultiLabel

CLASSES = VOCMultiLabel.METAINFO['classes']


def annotation(*objects):
    items = ''.join(
        f'<object><name>{name}</name><difficult>{difficult}</difficult></object>' for name, difficult in objects
    )
    return f'<annotation>{items}</annotation>'


@pytest.fixture
def data_root(tmp_path):
    for folder in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (tmp_path / folder).mkdir(parents=True)
    contents = dict(
        first=annotation(('dog', 0), ('cat', 1), ('dog', 1)),
        second=annotation(('cat', 1)),
        third=annotation(('car', 0)),
    )
    for name, content in contents.items():
        (tmp_path / f'Annotations/{name}.xml').write_text(content)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f'JPEGImages/{name}.jpg')
    for split in ('trainval', 'test'):
        (tmp_path / f'ImageSets/Main/{split}.txt').write_text('\n'.join(contents))
    return tmp_path


def load(root, **settings):
    return DATASETS.build(dict(type='VOCMultiLabel', data_root=str(root), **settings))


def names(labels):
    return {CLASSES[label] for label in labels}


def test_difficult_objects_are_positives_for_training(data_root):
    dataset = load(data_root, split='trainval')
    assert [names(dataset.get_cat_ids(i)) for i in range(3)] == [{'dog', 'cat'}, {'cat'}, {'car'}]


def test_difficult_objects_stand_apart_for_testing(data_root):
    dataset = load(data_root, split='test', test_mode=True)
    items = [dataset.get_data_info(i) for i in range(3)]
    assert [names(item['gt_label']) for item in items] == [{'dog'}, set(), {'car'}]
    assert [names(item['gt_label_difficult']) for item in items] == [{'dog', 'cat'}, {'cat'}, set()]


def test_mmpretrains_metric_leaves_difficult_labels_out(data_root):
    """The second image alone ranks `cat` high: an error unless it is left out of that label."""
    pipeline = [dict(type='LoadCheckedImage'), dict(type='PackInputs', meta_keys=('img_path', 'gt_label_difficult'))]
    dataset = load(data_root, split='test', test_mode=True, pipeline=pipeline)
    metric = METRICS.build(dict(type='VOCAveragePrecision', average=None))
    for i in range(3):
        sample = dataset[i]['data_samples']
        scores = np.zeros(20, np.float32)
        scores[list(sample.gt_label)] = 1
        sample.set_pred_score(scores)
        metric.process(None, [sample.to_dict()])
    targets = np.stack([result['gt_score'] for result in metric.results])
    cat, dog = CLASSES.index('cat'), CLASSES.index('dog')
    assert targets[:, cat].tolist() == [-1, -1, 0]
    assert targets[:, dog].tolist() == [1, 0, 0]


def test_real_voc(shared_data):
    """Image and label counts of the official lists; `difficult` as they count it."""
    root = shared_data / 'voc2007'
    for split, size in (('trainval', 5008), ('test', 4952)):
        dataset = load(root, split=split, test_mode=split == 'test')
        assert len(dataset) == size
        counts = np.zeros(20, int)
        for i in range(size):
            counts[dataset.get_cat_ids(i)] += 1
        for label, name in enumerate(CLASSES):
            rows = [line.split() for line in (root / f'ImageSets/Main/{name}_{split}.txt').read_text().splitlines()]
            present = {image for image, value in rows if value == '1' or (value == '0' and split == 'trainval')}
            listed = {line.strip() for line in (root / f'ImageSets/Main/{split}.txt').read_text().splitlines()}
            assert counts[label] == len(present & listed), name


@pytest.mark.parametrize(
    'content, message',
    [
        ('', 'VOC annotation'),
        ('<annotation><object>', 'VOC annotation'),
        ('{"not": "XML"}', 'VOC annotation'),
        ('<annotation><object><difficult>0</difficult></object></annotation>', 'VOC annotation'),
        ('<annotation><object><name>dog</name><difficult>x</difficult></object></annotation>', 'VOC annotation'),
        (annotation(('dragon', 0)), "but got 'dragon'.*metainfo"),
    ],
)
def test_annotations_that_are_wrong(data_root, content, message):
    (data_root / 'Annotations/second.xml').write_text(content)
    with pytest.raises(ValueError, match=f'second.xml.*{message}|{message}.*second.xml'):
        load(data_root)


def test_an_object_without_the_difficult_mark_is_not_difficult(data_root):
    (data_root / 'Annotations/second.xml').write_text('<annotation><object><name>dog</name></object></annotation>')
    assert names(load(data_root, split='test', test_mode=True).get_cat_ids(1)) == {'dog'}


def test_missing_files(data_root):
    with pytest.raises(FileNotFoundError, match='ImageSets/Main/val.txt.*`split`'):
        load(data_root, split='val')
    with pytest.raises(ValueError, match="`split`.*but got 'validation'"):
        load(data_root, split='validation')
    (data_root / 'JPEGImages/third.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='1 of them are missing.*third.jpg'):
        load(data_root)
    (data_root / 'Annotations/first.xml').unlink()
    with pytest.raises(FileNotFoundError, match='first.xml'):
        load(data_root)


@pytest.mark.parametrize(
    'size, expected',
    [
        ('<size><width>500</width><height>375</height><depth>3</depth></size>', (500, 375)),
        ('<size><width>0</width><height>0</height></size>', None),
        ('<size><width>500</width></size>', None),
        ('<size><width>1e999</width><height>375</height></size>', None),
        ('<size><width>nan</width><height>375</height></size>', None),
        ('<size><width>500</width><height>?</height></size>', None),
        ('', None),
    ],
)
def test_annotated_sizes(data_root, size, expected):
    """Where the annotation names one."""
    (data_root / 'Annotations/second.xml').write_text(f'<annotation>{size}</annotation>')
    dataset = load(data_root, split='test', test_mode=True)
    assert [dataset.get_data_info(i).get('annotated_size') for i in range(3)] == [None, expected, None]


@pytest.mark.parametrize(
    'content, message',
    [
        (b'<?xml version="1.0" encoding="no-such"?><annotation/>', 'second.xml to be a VOC annotation'),
        (b'<annotation><object><name>' + b'x' * 9999 + b'</name></object></annotation>', r'\(10001 characters\)'),
    ],
)
def test_broken_annotations(data_root, content, message):
    (data_root / 'Annotations/second.xml').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(data_root)


@pytest.mark.parametrize('levels, message', [(4, 'but got .haha'), (10, 'cannot be read')])
def test_entities_that_expand_take_no_memory(data_root, levels, message):
    """A billion laughs are refused by the parser; fewer are a long name."""
    entities = ''.join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, levels))
    text = f'<!DOCTYPE a [<!ENTITY e0 "ha">{entities}]>' + annotation((f'&e{levels - 1};', 0))
    (data_root / 'Annotations/second.xml').write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load(data_root)
    assert len(str(error.value)) < 2000


def test_no_other_file_is_read(data_root):
    (data_root / 'Annotations/secret.txt').write_text('dog')
    text = '<!DOCTYPE a [<!ENTITY e SYSTEM "secret.txt">]>' + annotation(('&e;', 0))
    (data_root / 'Annotations/second.xml').write_text(text)
    with pytest.raises(ValueError, match='second.xml.*undefined entity'):
        load(data_root)


@pytest.mark.parametrize(
    'content, message', [(b'first\n\xff', 'trainval.txt to be text in UTF-8'), (b'', 'trainval.txt')]
)
def test_broken_lists(data_root, content, message):
    (data_root / 'ImageSets/Main/trainval.txt').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(data_root)
