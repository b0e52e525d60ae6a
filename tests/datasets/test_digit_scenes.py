import hashlib

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

from kmcl_mm.datasets.digit_scenes import GROUPS


def load(**settings):
    return DATASETS.build(dict(dict(type='DigitScenes', split='train', num_scenes=60), **settings))


def digest(dataset):
    return hashlib.sha256(b''.join(dataset[i]['img'].tobytes() for i in range(len(dataset)))).hexdigest()


def test_scenes():
    dataset = load(image_size=48)
    assert len(dataset) == 60 and len(dataset.metainfo['classes']) == 10
    for i in range(60):
        scene = dataset[i]
        assert scene['img'].shape == (48, 48, 3) and scene['img'].dtype == np.uint8
        assert 1 <= len(scene['gt_label']) <= 4 and scene['gt_label'] == sorted(set(scene['gt_label']))
        assert len(scene['digits']) >= len(scene['gt_label'])


def test_the_labels_are_the_digits_drawn():
    """By scikit-learn's own list of which sample shows which digit."""
    for split, offset in (('train', 0), ('test', 1347)):
        dataset = load(split=split)
        for i in range(60):
            scene = dataset.get_data_info(i)
            digits = {int(load_digits().target[offset + digit['sample']]) for digit in scene['digits']}
            assert digits == set(scene['gt_label'])


def test_the_digits_are_visible():
    """Where a digit is drawn at full opacity, the pixel has its ink."""
    dataset = load()
    for i in range(60):
        scene = dataset[i]
        for digit in scene['digits']:
            top, left, size = digit['top'], digit['left'], digit['size']
            area = scene['img'][top : top + size, left : left + size]
            assert area.shape[:2] == (size, size)
            assert area.max() > scene['background'] + 60


def test_train_and_test_use_different_handwriting():
    train, test = load(split='train'), load(split='test')
    assert len(train._samples) + len(test._samples) == 1797
    assert digest(train) != digest(test)
    seen = {sample.tobytes() for sample in train._samples}
    assert sum(sample.tobytes() in seen for sample in test._samples) == 0


def test_labels_of_a_group_occur_together():
    dataset = load(num_scenes=2000)
    present = np.zeros((2000, 10), bool)
    for i in range(2000):
        present[i, dataset.get_cat_ids(i)] = True
    correlation = np.corrcoef(present.T)
    group = {digit: number for number, digits in enumerate(GROUPS) for digit in digits}
    same = [correlation[i, j] for i in range(10) for j in range(i) if group[i] == group[j]]
    other = [correlation[i, j] for i in range(10) for j in range(i) if group[i] != group[j]]
    assert np.mean(same) > 0.1 > 0 > np.mean(other)
    assert 0.1 < present.mean() < 0.3 and present.mean(axis=0).min() > 0.1


def test_the_same_seed_gives_the_same_data_everywhere():
    """The digest was taken once; numpy's RandomState and OpenCV's bit-exact resize keep it on every machine."""
    assert digest(load()) == digest(load(serialize_data=False))
    assert digest(load(seed=1)) != digest(load())
    assert digest(load()) == DIGEST


def test_the_same_in_workers_and_in_any_order():
    dataset = load(num_scenes=12)
    loader = DataLoader(dataset, batch_size=None, num_workers=2, sampler=list(reversed(range(12))))
    for i, scene in zip(reversed(range(12)), loader):
        assert np.array_equal(scene['img'], dataset[i]['img'])


def test_more_scenes_begin_with_the_same_ones():
    few, many = load(num_scenes=5), load(num_scenes=20)
    assert all(np.array_equal(few[i]['img'], many[i]['img']) for i in range(5))


def test_lazy_loading():
    dataset = load(lazy_init=True)
    assert not dataset._fully_initialized
    dataset.full_init()
    assert digest(dataset) == digest(load())


@pytest.mark.parametrize(
    'settings, name',
    [(dict(split='val'), 'split'), (dict(num_scenes=0), 'num_scenes'), (dict(image_size=31), 'image_size')],
)
def test_wrong_settings(settings, name):
    with pytest.raises(ValueError, match=f'`{name}`.*but got'):
        load(**settings)


DIGEST = '1c29a7eca7df8c7f7ab784722d78548c5010fbb17c01cb6a4ea2aeb04016b842'
