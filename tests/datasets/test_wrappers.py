import mmpretrain.datasets  # noqa: F401  registers KFoldDataset
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

import kmcl_mm  # noqa: F401  registers DigitScenes
from kmcl_mm.datasets.wrappers import each_image_once

SCENES = dict(type='DigitScenes', num_scenes=12)


def num_images(cfg):
    init_default_scope('mmpretrain')
    return len(DATASETS.build(cfg))


def test_images_shown_several_times_are_counted_once():
    repeated = dict(type='RepeatDataset', times=3, dataset=SCENES)
    balanced = dict(type='ClassBalancedDataset', oversample_thr=1.0, dataset=repeated)
    assert num_images(repeated) == 36
    assert num_images(each_image_once(repeated)) == num_images(each_image_once(balanced)) == 12


def test_what_joins_data_sets_or_chooses_a_part_stays():
    fold = dict(type='KFoldDataset', dataset=SCENES, fold=0, num_splits=4, test_mode=True)
    joined = dict(type='ConcatDataset', datasets=[SCENES, dict(type='RepeatDataset', times=2, dataset=fold)])
    assert num_images(each_image_once(fold)) == 3
    assert num_images(joined) == 12 + 2 * 3 and num_images(each_image_once(joined)) == 12 + 3


def test_settings_reach_the_data_sets_within_and_the_given_configuration_stays():
    repeated = dict(type='RepeatDataset', times=3, dataset=SCENES)
    assert num_images(each_image_once(dict(type='ConcatDataset', datasets=[repeated]), num_scenes=5)) == 5
    assert repeated == dict(type='RepeatDataset', times=3, dataset=SCENES) and SCENES['num_scenes'] == 12
