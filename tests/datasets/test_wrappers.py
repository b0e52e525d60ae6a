"""Wrappers in each other: which images they show, how often, and where an image's pipeline is found."""

import copy
import math
from collections import Counter

import mmpretrain.datasets  # noqa: F401  registers KFoldDataset
import pytest
from mmengine.dataset import RepeatDataset
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from kmcl_mm.apps.data_check.splits import load_splits
from kmcl_mm.datasets.wrappers import check_nesting, each_image_once, innermost, pipeline_of, with_pipeline
from kmcl_mm.engine import KMCLRunner
from tests.conftest import ROOT
from tests.docs.pages import blocks

SCENES = dict(type='DigitScenes', num_scenes=12)
# Eight images: a is common, b in two images of one table, c in one of each, d in one; the last image has none.
LABELS = [['a', 'a|b', 'a|b', 'a|c'], ['a', 'a|d', 'a|c', '']]


def concat(*parts):
    return dict(type='ConcatDataset', datasets=list(parts))


def repeat(part, times=2):
    return dict(type='RepeatDataset', times=times, dataset=part)


def balanced(part, kind='ClassBalancedMultiLabel'):
    return dict(type=kind, oversample_thr=0.9, dataset=part)


def fold(part, **settings):
    return dict(dict(type='KFoldDataset', num_splits=4, dataset=part), **settings)


def num_images(cfg):
    init_default_scope('mmpretrain')
    return len(DATASETS.build(cfg))


@pytest.fixture
def tables(draw_images):
    """Configurations of two tables, and of one that has both."""
    rows = [[f'{table}{row}.jpg,{cell}' for row, cell in enumerate(cells)] for table, cells in zip('xy', LABELS)]
    root = draw_images('images', [row.split(',')[0] for row in rows[0] + rows[1]])
    for name, part in zip(('first', 'second', 'both'), (*rows, rows[0] + rows[1])):
        (root / f'{name}.csv').write_text('\n'.join(['image,labels', *part]))
    init_default_scope('mmpretrain')
    settings = dict(data_prefix='images', label_column='labels', metainfo=dict(classes=tuple('abcd')))
    return [
        dict(type='TableMultiLabel', data_root=str(root), ann_file=f'{name}.csv', **settings)
        for name in ('first', 'second', 'both')
    ]


def shown(cfg):
    """How often each image is shown."""
    dataset = DATASETS.build(copy.deepcopy(cfg))
    return Counter(dataset.get_data_info(index)['img_path'][-6:-4] for index in range(len(dataset)))


def test_balanced_around_one_data_set_is_that_of_mmengine(tables):
    for cfg in tables:
        assert shown(balanced(cfg)) == shown(balanced(cfg, 'ClassBalancedDataset'))
        assert shown(balanced(fold(cfg))) == shown(balanced(fold(cfg), 'ClassBalancedDataset'))


def test_balanced_around_joined_data_sets_counts_the_labels_of_all(tables):
    first, second, both = tables
    expected = shown(balanced(both, 'ClassBalancedDataset'))
    # By hand: a is in 7 of 8 images, b and c in two, d in one.
    often = {number: math.ceil(math.sqrt(0.9 * 8 / number)) for number in (7, 2, 1)}
    assert expected == dict(
        x0=often[7], x1=often[2], x2=often[2], x3=often[2], y0=often[7], y1=often[1], y2=often[2], y3=1
    )
    assert shown(balanced(concat(first, second))) == expected
    assert shown(balanced(concat(first, concat(second)))) == expected
    twice = {name: 2 * number for name, number in expected.items()}
    assert shown(balanced(repeat(concat(first, second)))) == twice
    assert shown(repeat(balanced(concat(first, second)))) == twice
    assert shown(concat(balanced(concat(first, second)), repeat(first))) == expected + Counter(
        dict.fromkeys(['x0', 'x1', 'x2', 'x3'], 2)
    )


def test_the_example_in_the_docs(tables):
    """docs/data.md."""
    (block,) = (block for block in blocks(ROOT / 'docs/data.md', 'python') if 'ClassBalancedMultiLabel' in block)
    names = dict(_split=lambda name, pipeline: tables[name != 'train'], train_pipeline=lambda size: [])
    exec(block, names)
    assert shown(names['train_dataloader']['dataset']) == shown(concat(*tables[:2]))
    names['train_dataloader']['dataset']['oversample_thr'] = 0.9
    assert shown(names['train_dataloader']['dataset']) == shown(balanced(tables[2], 'ClassBalancedDataset'))


def test_folds_of_joined_data_sets_have_each_image_once_for_testing(tables):
    first, second, _ = tables
    parts = [concat(*(fold(cfg, fold=number, test_mode=True) for cfg in (first, second))) for number in range(4)]
    assert sum(map(shown, parts), Counter()) == shown(concat(first, second))
    training = concat(fold(first), fold(second))
    assert shown(training) + shown(parts[0]) == shown(concat(first, second))
    # Five of the six training images have a, two b, two c, one d.
    assert set(shown(balanced(training))) == set(shown(training)) and shown(balanced(training))['y1'] == math.ceil(
        math.sqrt(0.9 * 6)
    )
    again = DATASETS.build(balanced(balanced(training), 'ClassBalancedDataset'))
    assert [again.get_cat_ids(index) for index in range(len(again))] == [
        again.get_data_info(index)['gt_label'] for index in range(len(again))
    ]


def test_an_unknown_label_counts_as_absent(tables):
    first, second, _ = tables
    with open(f'{first["data_root"]}/first.csv', 'w') as file:
        file.write('image,labels,unsure\nx0.jpg,a,b\nx1.jpg,a|b,\n')
    cfg = dict(first, unknown_column='unsure')
    assert shown(balanced(concat(cfg))) == dict(x0=1, x1=2)


WRONG = [
    (balanced(concat(SCENES), 'ClassBalancedDataset'), 'labels in ConcatDataset. Use type="ClassBalancedMultiLabel"'),
    (concat(balanced(repeat(SCENES), 'ClassBalancedDataset')), 'labels in RepeatDataset. Use'),
    (fold(concat(SCENES, SCENES)), 'does not divide a ConcatDataset. Put one KFoldDataset around each data set'),
    (fold(fold(SCENES)), 'does not divide a KFoldDataset'),
    (fold(dict(repeat(SCENES), type=RepeatDataset)), 'copies of an image .* Put RepeatDataset around KFoldDataset'),
    (repeat(fold(balanced(SCENES))), 'Put ClassBalancedMultiLabel around KFoldDataset'),
]


@pytest.mark.parametrize('cfg, message', WRONG)
def test_wrappers_that_do_not_fit_are_refused_with_the_way(cfg, message):
    init_default_scope('mmpretrain')
    with pytest.raises(ValueError, match=message):
        check_nesting(cfg)
    # As in a training and in a check of the data; without the check they end deep inside.
    with pytest.raises(ValueError, match=message):
        KMCLRunner.build_dataloader(dict(dataset=cfg, batch_size=1, sampler=dict(type='DefaultSampler')))
    splits, findings = load_splits(dict(train_dataloader=dict(dataset=cfg)))
    assert not splits and len(findings) == 1


def test_images_shown_several_times_are_counted_once():
    assert num_images(repeat(SCENES, times=3)) == 36
    assert num_images(each_image_once(repeat(SCENES))) == num_images(each_image_once(balanced(repeat(SCENES)))) == 12
    assert num_images(each_image_once(balanced(SCENES, 'ClassBalancedDataset'))) == 12


def test_what_joins_data_sets_or_chooses_a_part_stays():
    part = fold(SCENES, test_mode=True)
    joined = concat(SCENES, repeat(part))
    assert num_images(each_image_once(part)) == 3
    assert num_images(joined) == 12 + 2 * 3 and num_images(each_image_once(balanced(joined))) == 12 + 3


def test_a_pipeline_is_that_of_the_data_sets_within():
    plain, other = ([dict(type='Resize', scale=scale), dict(type='PackInputs')] for scale in (8, 16))
    one, two = dict(SCENES, pipeline=plain), dict(SCENES, pipeline=other)
    for cfg in (one, repeat(fold(one)), balanced(concat(one, repeat(one)))):
        assert pipeline_of(cfg) == plain
        changed = with_pipeline(cfg, other)
        assert pipeline_of(changed) == other and pipeline_of(cfg) == plain
        assert changed['type'] == cfg['type'] and num_images(changed) == num_images(cfg)
        assert {part['num_scenes'] for part in innermost(changed)} == {12}
    with pytest.raises(ValueError, match='The 2 data sets in test_dataloader.dataset have different pipelines'):
        pipeline_of(concat(one, two))
    for cfg in (None, SCENES, concat(one, SCENES)):
        with pytest.raises(ValueError, match='has no test_dataloader.dataset.pipeline'):
            pipeline_of(cfg)
