import pytest
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

import kmcl_mm
from kmcl_mm.datasets import DigitScenes
from tests.datasets import layouts


def seeds(**settings):
    dataset = DigitScenes(num_scenes=100, **settings)
    return [dataset.get_data_info(index)['noise_seed'] for index in range(len(dataset))]


def test_the_same_images_each_time_and_a_smaller_part_within_a_larger():
    everything, half, tenth = seeds(), seeds(fraction=0.5), seeds(fraction=0.1)
    assert len(half) == 50 and len(tenth) == 10
    assert set(tenth) < set(half) < set(everything)
    assert half == [seed for seed in everything if seed in set(half)]
    assert seeds(fraction=0.5) == half
    assert seeds(fraction=0.5, fraction_seed=1) != half


def test_one_image_at_the_least():
    assert len(seeds(fraction=0.001)) == 1


@pytest.mark.parametrize('data', ['adp', 'chestxray14', 'nuswide', 'custom'])
def test_of_every_layout(data, tmp_path):
    getattr(layouts, f'draw_{data}')(tmp_path)
    settings = kmcl_mm.get_config(f'kmcl_tresnet_m_{data}').train_dataloader.dataset
    settings = dict(settings, data_root=str(tmp_path), pipeline=[])
    init_default_scope('mmpretrain')
    everything, quarter = (DATASETS.build(dict(settings, fraction=fraction)) for fraction in (1, 0.25))
    paths = [[part.get_data_info(index)['img_path'] for index in range(len(part))] for part in (everything, quarter)]
    assert len(paths[0]) == 8 and len(paths[1]) == 2 and set(paths[1]) < set(paths[0])


def test_it_is_taken_of_the_first_part(tmp_path):
    layouts.draw_chestxray14(tmp_path)
    settings = dict(type='ChestXray14', data_root=str(tmp_path))
    first, part = (DATASETS.build(dict(settings, first_fraction=0.5, fraction=fraction)) for fraction in (1, 0.5))
    firsts, parts = ({data.get_data_info(i)['img_path'] for i in range(len(data))} for data in (first, part))
    assert len(firsts) == 4 and len(parts) == 2 and parts < firsts
    assert firsts == {str(tmp_path / f'images/{index:08}_000.png') for index in range(4)}


@pytest.mark.parametrize('fraction', [0, -0.1, 1.1])
def test_out_of_range(fraction):
    with pytest.raises(ValueError, match='`fraction` to be in'):
        DigitScenes(num_scenes=2, fraction=fraction)
