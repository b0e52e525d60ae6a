"""The recipe's pipelines as the configurations build them: same seed, same image."""

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmpretrain.registry import TRANSFORMS
from PIL import Image

import kmcl_mm
from benchmarks.loader import MMPRETRAIN_RAND_AUGMENT
from kmcl_mm.datasets import recipe
from kmcl_mm.engine.runner import KMCLRunner
from tests.datasets.transforms.test_operations import photo

# The fifteen operations of MMPretrain's RandAugment, in the order of ours.
POLICIES = MMPRETRAIN_RAND_AUGMENT['policies']


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


@pytest.fixture
def voc(tmp_path):
    """Twelve images in VOC's layout, with one label each."""
    for folder in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (tmp_path / folder).mkdir(parents=True)
    names = [f'{index:06}' for index in range(12)]
    (tmp_path / 'ImageSets/Main/trainval.txt').write_text('\n'.join(names))
    for index, name in enumerate(names):
        Image.fromarray(photo(seed=index)).save(tmp_path / f'JPEGImages/{name}.jpg')
        (tmp_path / f'Annotations/{name}.xml').write_text(
            '<annotation><object><name>cat</name><difficult>0</difficult></object></annotation>'
        )
    return tmp_path


def loader_of(root, **settings):
    """The training loader's configuration with its images in a folder, and other settings."""
    cfg = kmcl_mm.get_config('kmcl_tresnet_m_voc07').train_dataloader
    cfg.dataset.data_root = str(root)
    cfg.update(settings)
    return cfg


def epoch(root, seed, workers, pipeline=None):
    """All images, paths and labels of an epoch of the recipe's training loader, from its beginning with a seed."""
    loader_cfg = loader_of(root, batch_size=4, num_workers=workers, persistent_workers=workers > 0)
    if pipeline:
        loader_cfg.dataset.pipeline = pipeline
    set_random_seed(seed)
    batches = list(KMCLRunner.build_dataloader(loader_cfg, seed=seed))
    samples = [sample for batch in batches for sample in batch['data_samples']]
    return (
        torch.cat([batch['inputs'] for batch in batches]),
        [(sample.img_path, sample.gt_label.tolist()) for sample in samples],
    )


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('pipeline', [recipe.train_pipeline, recipe.xray_train_pipeline])
def test_the_same_seed_gives_the_same_batches(voc, pipeline, workers):
    (images, samples), (again, samples_again), (others, _) = (
        epoch(voc, seed, workers, pipeline(224)) for seed in (5, 5, 6)
    )
    assert images.shape == (12, 3, 224, 224) and images.dtype == torch.uint8
    assert images.equal(again) and samples == samples_again
    assert not images.equal(others)


def test_two_epochs_of_one_loader_differ(voc):
    """The workers live on: started anew each epoch, they would draw the same numbers again."""
    loader_cfg = loader_of(voc, batch_size=12, num_workers=2)
    loader_cfg.sampler.shuffle = False
    loader = KMCLRunner.build_dataloader(loader_cfg, seed=0)
    first, second = (next(iter(loader))['inputs'] for _ in range(2))
    assert not first.equal(second)


def test_workers_do_not_repeat_each_other(voc):
    """The same image in two workers is augmented differently."""
    image = next((voc / 'JPEGImages').iterdir())
    for path in (voc / 'JPEGImages').iterdir():
        path.write_bytes(image.read_bytes())
    images, _ = epoch(voc, 0, workers=2)
    assert len({image.numpy().tobytes() for image in images}) > 8


@pytest.mark.parametrize('size', [224, 448])
@pytest.mark.parametrize('function', [recipe.train_pipeline, recipe.xray_train_pipeline, recipe.test_pipeline])
def test_every_pipeline_gives_an_image_of_its_size(tmp_path, function, size):
    Image.fromarray(photo(500, 700)).save(tmp_path / 'image.jpg')
    pipeline = Compose(function(size))
    for seed in range(5):
        np.random.seed(seed)
        packed = pipeline(dict(img_path=str(tmp_path / 'image.jpg'), gt_label=[0]))
        assert packed['inputs'].shape == (3, size, size) and packed['inputs'].dtype == torch.uint8
        assert packed['data_samples'].ori_shape == (500, 700)


def test_the_xray_pipeline_keeps_the_channels_and_moves_the_image():
    """Without a rotation, shift or scale its affine map returns the image as it was, in BGR."""
    *_, to_pil, affine, to_numpy, _ = recipe.xray_train_pipeline(224)
    assert (affine['degrees'], affine['translate'], affine['scale']) == (45, (0.15, 0.15), (0.85, 1.15))
    still = dict(affine, degrees=0, translate=(0, 0), scale=(1, 1))
    img = photo()
    for step, is_moved in ((still, False), (affine, True)):
        torch.manual_seed(0)
        results = dict(img=img.copy())
        for transform in (to_pil, step, to_numpy):
            results = TRANSFORMS.build(transform)(results)
        assert results['img'].shape == img.shape and np.array_equal(results['img'], img) != is_moved


def test_mmpretrains_policy_stands_in_for_ours():
    """Fifteen operations in the same order, in a pipeline that is otherwise the same."""
    settings = dict(num_policies=2, magnitude_level=9, magnitude_std='inf', total_level=9, hparams=dict(pad_val=128))
    theirs = TRANSFORMS.build(dict(type='RandAugment', policies=POLICIES, **settings))
    pipeline = recipe.train_pipeline(224)
    ours = TRANSFORMS.build(pipeline[3])
    assert len(theirs.policies) == len(ours.operations) == 15
    np.random.seed(0)
    packed = Compose([*pipeline[1:3], theirs, pipeline[4]])(dict(img=photo(300, 400), gt_label=[0]))
    assert packed['inputs'].shape == (3, 224, 224)


@pytest.mark.parametrize('pipeline', [recipe.train_pipeline, recipe.xray_train_pipeline, recipe.test_pipeline])
def test_settings_of_the_loading_are_passed_on(pipeline):
    loading, *rest = pipeline(224, window=(0, 4095))
    assert loading == dict(type='LoadCheckedImage', min_size=224, window=(0, 4095)) and rest == pipeline(224)[1:]
