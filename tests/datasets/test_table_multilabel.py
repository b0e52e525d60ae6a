import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import DATASETS

from kmcl_mm.datasets import TableMultiLabel
from tests.conftest import ROOT

NAMES = ['001.jpg', '002.jpg', '003.jpg']
CLASSES = ('crack', 'rust', 'leak')
COLUMNS = 'image,crack,rust,leak\n001.jpg,1,0,1\n002.jpg,0,0,0\n003.jpg,0,1.0,0\n'
JOINED = 'image,labels\n001.jpg,crack|leak\n002.jpg,\n003.jpg, rust \n'


@pytest.fixture
def table(draw_images):
    """Write a table and three images, and build the data set."""

    def build(content, name='table.csv', **settings):
        root = draw_images('images', NAMES)
        if isinstance(content, pd.DataFrame):
            content.to_parquet(root / name)
        else:
            (root / name).write_text(content, encoding='utf-8')
        return DATASETS.build(
            dict(type='TableMultiLabel', data_root=str(root), ann_file=name, data_prefix='images', **settings)
        )

    return build


def labels(dataset):
    return [dataset.get_data_info(index)['gt_label'] for index in range(len(dataset))]


def joined(**settings):
    return dict(label_column='labels', metainfo=dict(classes=CLASSES), **settings)


def test_a_column_for_each_label(table, tmp_path):
    dataset = table(COLUMNS)
    assert dataset.metainfo['classes'] == CLASSES
    assert labels(dataset) == [[0, 2], [], [1]]
    assert dataset.get_data_info(0)['img_path'] == str(tmp_path / 'images/001.jpg')
    assert 'gt_score' not in dataset.get_data_info(0)


@pytest.mark.parametrize(
    'content, settings',
    [
        (JOINED, {}),
        (JOINED.replace('|', ';'), dict(separator=';')),
        (JOINED.replace('crack|leak', "\"['crack', 'leak']\""), {}),
        (JOINED.replace('002.jpg,', '002.jpg,none'), dict(ignored_names=['none'])),
        ('\ufeff' + JOINED, {}),
    ],
)
def test_one_column_of_joined_names(table, content, settings):
    assert labels(table(content, **joined(**settings))) == [[0, 2], [], [1]]


def test_tab_separated(table):
    assert labels(table(COLUMNS.replace(',', '\t'), name='table.tsv')) == [[0, 2], [], [1]]


def test_parquet(table):
    frame = pd.DataFrame(dict(image=NAMES, crack=[1, 0, 0], rust=[False, False, True], leak=[1.0, 0.0, None]))
    dataset = table(frame, name='table.parquet', unknown_values=[''])
    assert labels(dataset) == [[0, 2], [], [1]]
    assert dataset.get_data_info(2)['gt_label_unknown'] == [2]
    indexed = frame.set_index('image')
    assert labels(table(indexed, name='indexed.parquet', unknown_values=[''])) == [[0, 2], [], [1]]
    lists = pd.DataFrame(dict(image=NAMES, labels=[['crack', 'leak'], [], ['rust']]))
    assert labels(table(lists, name='lists.parquet', **joined())) == [[0, 2], [], [1]]


@pytest.mark.parametrize(
    'content, settings',
    [
        ('image,crack,rust,leak\n001.jpg,1,0,-1\n002.jpg,-1,-1,-1\n003.jpg,0,1,-1.0\n', {}),
        ('image,crack,rust,leak\n001.jpg,1,0,?\n002.jpg,?,?,?\n003.jpg,0,1,\n', dict(unknown_values=['?', ''])),
        (
            'image,labels,unsure\n001.jpg,crack,leak\n002.jpg,,crack|rust|leak\n003.jpg,rust,leak\n',
            joined(unknown_column='unsure'),
        ),
    ],
)
def test_unknown_labels_reach_the_targets_of_the_loss(table, content, settings):
    """Through MMPretrain's packing and preprocessing, as in training."""
    init_default_scope('mmpretrain')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    dataset = table(content, pipeline=pipeline, **settings)
    items = [dataset[index] for index in range(3)]
    batch = dict(
        inputs=[item['inputs'] for item in items],
        data_samples=[item['data_samples'] for item in items],
    )
    samples = ClsDataPreprocessor(num_classes=3, to_onehot=True)(batch, training=True)['data_samples']
    target = torch.stack([sample.gt_score for sample in samples])
    assert target.tolist() == [[1, 0, -1], [-1, -1, -1], [0, 1, -1]]
    assert labels(dataset) == [[0], [], [1]]


def test_whole_numbers_stay_whole_with_an_empty_cell(table):
    frame = pd.DataFrame(dict(image=NAMES, patient=[7, None, 8], crack=[1, 0, 0]))
    dataset = table(frame, name='table.parquet', patient_column='patient')
    assert [dataset.get_data_info(index)['patient_id'] for index in range(3)] == ['7', '', '8']


def test_rows_of_a_split_and_patients(table):
    content = 'file,patient,fold,crack,rust\n001.jpg,p1,train,1,0\n002.jpg,p2,val,0,1\n003.jpg,p1,train,0,0\n'
    settings = dict(split_column='fold', patient_column='patient')
    dataset = table(content, split='train', **settings)
    assert dataset.metainfo['classes'] == ('crack', 'rust')
    assert [dataset.get_data_info(index)['patient_id'] for index in range(2)] == ['p1', 'p1']
    with pytest.raises(ValueError, match=r"`split`.*'fold'.*'train', 'val'.*'test'"):
        table(content, split='test', **settings)
    with pytest.raises(ValueError, match='`split_column` and `split` together'):
        table(content, split='train')


def test_images_without_a_label_can_be_left_out(table):
    assert labels(table(COLUMNS, filter_empty_gt=True)) == [[0, 2], [1]]


def test_suffix(table):
    content = COLUMNS.replace('.jpg', '')
    assert table(content, image_suffix='.jpg').get_data_info(1)['img_path'].endswith('images/002.jpg')


@pytest.mark.parametrize(
    'content, settings, message',
    [
        (COLUMNS.replace('1.0', '0.7'), {}, "'rust'.*'0.7'.*'003.jpg'.*Soft labels"),
        (COLUMNS.replace('1,0,1', '1,0,'), {}, "'leak'.*''.*'001.jpg'.*`unknown_values`"),
        (COLUMNS.replace('1,0,1', '2,0,1'), {}, "'crack'.*'2'"),
        (COLUMNS + '001.jpg,0,0,1\n', {}, "'001.jpg' is in 2 rows.*Join"),
        (COLUMNS, dict(metainfo=dict(classes=('crack', 'hole'))), r"'hole' are not among.*`label_column`"),
        (COLUMNS, dict(metainfo=dict(classes='crack')), r"\('crack',\)"),
        (COLUMNS, dict(image_column='file'), r"column 'file'.*it has 'image', 'crack', 'rust', 'leak'"),
        (COLUMNS, dict(label_column='crack'), r'`metainfo`.*classes='),
        (JOINED, {}, r"'labels'.*'crack\|leak'.*`label_column`"),
        (JOINED.replace('rust', 'Rust'), joined(), "'labels'.*'Rust'.*`separator`"),
        (JOINED.replace('crack|leak', '"[crack"'), joined(), r"'labels'.*list of names.*\[crack"),
        (JOINED.replace('crack|leak', '[' + '-' * 50_000 + '1]'), joined(), r'list of names.*characters\)'),
        (COLUMNS.replace('1,0,1', f'{"x" * 9999},0,1'), {}, r'x... \(10001 characters\)'),
        ('image,crack,crack\n001.jpg,1,0\n', {}, r"it has \['crack'\] twice"),
        ('image,crack\n', {}, 'have rows, .* but it has no rows'),
        ('', {}, 'cannot be read'),
        ('image\n001.jpg\n', {}, 'columns of labels'),
        (COLUMNS, dict(unknown_column='leak'), '`unknown_column` together with `label_column`'),
        (JOINED, joined(separator=''), '`separator`'),
        ('image,labels,unsure\n001.jpg,crack,crack\n', joined(unknown_column='unsure'), "'001.jpg' has one in both"),
        (COLUMNS.replace('1,0,1', '0,0,0').replace('1.0', '0'), dict(filter_empty_gt=True), 'at least one image'),
    ],
)
def test_mistakes_in_a_table(table, content, settings, message):
    with pytest.raises(ValueError, match=message):
        table(content, **settings)


def test_images_with_another_ending(table):
    with pytest.raises(FileNotFoundError, match=r'001\.png\. There is 001\.jpg'):
        table(COLUMNS.replace('.jpg', '.png'))


def test_files_that_are_not_there_or_no_tables(table, tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / 'images/004.jpg'))):
        table(COLUMNS.replace('003', '004'))
    with pytest.raises(ValueError, match='.csv, .tsv or .parquet'):
        table(json.dumps({}), name='table.json')
    with pytest.raises(ValueError, match='broken.parquet to be a table'):
        table('no parquet', name='broken.parquet')
    with pytest.raises(FileNotFoundError, match='ann_file'):
        TableMultiLabel(data_root=str(tmp_path), ann_file='missing.csv')


def test_against_a_table_that_pandas_writes(table):
    """All cells of a random table."""
    target = np.random.RandomState(0).randint(-1, 2, (3, 5))
    frame = pd.DataFrame(target, columns=list('abcde'))
    frame.insert(0, 'image', NAMES)
    dataset = table(frame.to_csv(index=False))
    scores = np.stack([dataset.get_data_info(index)['gt_score'] for index in range(3)])
    np.testing.assert_array_equal(scores, target)


def test_the_layouts_in_the_docs_are_data_sets_with_such_arguments():
    """docs/data.md: each `_split` builds, without its files."""
    text = (ROOT / 'docs/data.md').read_text()
    code = re.search(r'```python\n(.*?)```', text, re.DOTALL)[1]
    functions = code.split('def _split')[1:]
    assert len(functions) == 3
    for function in functions:
        names = dict(data_root='nowhere', classes=CLASSES)
        exec(f'def split{function}', names)
        dataset = DATASETS.build(dict(names['split']('train', []), lazy_init=True))
        assert dataset.metainfo['classes'] == CLASSES and dataset.data_root == 'nowhere'


@pytest.mark.parametrize('error', [NotImplementedError, TypeError, KeyError])
def test_a_damaged_parquet_file_fails_in_any_way(table, monkeypatch, error):
    def fail(file):
        raise error('not in cstdint')

    monkeypatch.setattr(pd, 'read_parquet', fail)
    with pytest.raises(ValueError, match='table.parquet to be a table.*not in cstdint.*Correct or restore'):
        table(pd.DataFrame(dict(image=NAMES)), name='table.parquet')


def test_a_missing_reader_of_parquet_is_not_a_damaged_file(table, monkeypatch):
    def fail(file):
        raise ImportError('pyarrow')

    monkeypatch.setattr(pd, 'read_parquet', fail)
    with pytest.raises(ImportError, match='pyarrow'):
        table(pd.DataFrame(dict(image=NAMES)), name='table.parquet')
