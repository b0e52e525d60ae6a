import pytest

from kmcl_mm.datasets import DigitScenes


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


@pytest.mark.parametrize('fraction', [0, -0.1, 1.1])
def test_out_of_range(fraction):
    with pytest.raises(ValueError, match='`fraction` to be in'):
        DigitScenes(num_scenes=2, fraction=fraction)
