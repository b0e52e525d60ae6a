import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmpretrain.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from PIL import Image
from torch import nn

import kmcl_mm
from kmcl_mm.apps.inference.preprocessing import Preprocessing
from kmcl_mm.config import leave_out_pretrained_weights, load_config
from kmcl_mm.engine import OneCycleByGroupLR
from tests.conftest import ROOT

NAMES = sorted(path.stem for path in (ROOT / 'configs').glob('*.py'))
RECIPES = dict(
    m=dict(rate=2e-4, epochs=40, batch=64, size=224, model='tresnet_m'),
    l=dict(rate=4e-4, epochs=80, batch=128, size=448, model='tresnet_v2_l'),
)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MEAN_AND_STD = dict(
    coco=IMAGENET,
    voc07=IMAGENET,
    nuswide=IMAGENET,
    adp=((0.8123, 0.6403, 0.8190), (0.1813, 0.2573, 0.1680)),
    chestxray14=((0.5058,) * 3, (1,) * 3),
)
PUBLISHED = [(data, size) for data in MEAN_AND_STD for size in 'ml']


def build_model(cfg, **backbone):
    """The model without its pretrained weights, which are not here."""
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.update(backbone)
    leave_out_pretrained_weights(cfg)
    return MODELS.build(dict(cfg.model, data_preprocessor=dict(cfg.data_preprocessor, type='ClsDataPreprocessor')))


def build_optimizer(model, cfg):
    """The optimiser without mixed precision, which MMEngine refuses to build without a GPU."""
    settings = {name: value for name, value in cfg.optim_wrapper.items() if name not in ('loss_scale', 'dtype')}
    return build_optim_wrapper(model, dict(settings, type='OptimWrapper'))


@pytest.fixture(autouse=True)
def _in_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize('name', NAMES)
def test_every_configuration_builds(name):
    """Model, transforms, metrics and optimiser; the data sets as far as that goes without data."""
    cfg = kmcl_mm.get_config(name)
    assert cfg.custom_imports == dict(imports=['kmcl_mm'], allow_failed_imports=False)
    assert cfg.runner_type == 'KMCLRunner'
    model = build_model(cfg).train()
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        for transform in loader.dataset.pipeline:
            TRANSFORMS.build(transform)
        dataset = DATASETS.build(dict(loader.dataset, lazy_init=True))
        assert len(dataset.metainfo['classes']) == cfg.model.head.num_classes == cfg.data_preprocessor.num_classes
    for metric in (*cfg.val_evaluator, *cfg.test_evaluator):
        METRICS.build(metric)
    build_optimizer(model, cfg)
    images = dict(
        inputs=[torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)], data_samples=_samples()
    )
    losses = model(**model.data_preprocessor(images, training=True), mode='loss')
    total = sum(losses.values())
    total.backward()
    assert total.isfinite()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def _samples():
    from mmpretrain.structures import DataSample

    return [DataSample().set_gt_label([0, 2]), DataSample().set_gt_label([2])]


@pytest.mark.parametrize('data, size', PUBLISHED)
def test_the_published_recipe(data, size):
    """METHOD: optimiser, schedule, EMA, precision, images and loss of the published runs."""
    cfg, recipe = kmcl_mm.get_config(f'kmcl_tresnet_{size}_{data}'), RECIPES[size]
    assert cfg.model.backbone.model_name.split('.')[0] == recipe['model'] and cfg.model.backbone.pretrained
    assert cfg.model.head.covariance == 'anisotropic' and cfg.model.head.similarity == 'bhattacharyya'
    # Else the loss is as published: each GPU contrasts its own images, and the asymmetric loss is a sum.
    assert cfg.model.head.loss == dict(type='KMCLLoss', variant='reference')
    assert cfg.train_dataloader.drop_last
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=recipe['rate'], weight_decay=1e-4)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler.end == recipe['epochs']
    assert cfg.train_dataloader.batch_size * dict(m=1, l=4)[size] == recipe['batch']
    (ema,) = (hook for hook in cfg.custom_hooks if hook.type == 'EMAHook')
    assert 1 - ema.momentum == pytest.approx(0.9997) and ema.evaluate_on_ema and ema.evaluate_on_origin
    assert 'ema_type' not in ema
    random = ['UDARandAugment']
    if data == 'chestxray14':
        random = ['NumpyToPIL', 'torchvision/RandomAffine', 'PILToNumpy']
        affine = cfg.train_dataloader.dataset.pipeline[4]
        assert (affine.degrees, affine.translate, affine.scale) == (45, (0.15, 0.15), (0.85, 1.15))
    for loader, expected in (
        (cfg.train_dataloader, ['Resize', 'RandomColorCutout', *random]),
        (cfg.val_dataloader, ['Resize']),
        (cfg.test_dataloader, ['Resize']),
    ):
        assert [transform.type for transform in loader.dataset.pipeline][1:-1] == expected
        assert loader.dataset.pipeline[1].scale == (recipe['size'], recipe['size'])
    mean, std = MEAN_AND_STD[data]
    assert cfg.data_preprocessor.mean == pytest.approx([255 * value for value in mean])
    assert cfg.data_preprocessor.std == pytest.approx([255 * value for value in std])


def test_weight_decay_on_weights_only():
    cfg = kmcl_mm.get_config('kmcl_tresnet_m_voc07')
    model = build_model(cfg, layers=(1, 1, 1, 1), width_factor=0.25)
    optimizer = build_optimizer(model, cfg).optimizer
    decay = {id(parameter): group['weight_decay'] for group in optimizer.param_groups for parameter in group['params']}
    for name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (1e-4 if parameter.dim() > 1 else 0), name


@pytest.mark.parametrize('size', 'ml')
def test_learning_rate_is_torchs_one_cycle(size):
    cfg = kmcl_mm.get_config(f'kmcl_tresnet_{size}_coco')
    steps_per_epoch, settings = 5, dict(cfg.param_scheduler)
    assert settings.pop('type') == 'OneCycleByGroupLR' and settings.pop('convert_to_iter_based')
    ours, theirs = (torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=cfg.optim_wrapper.optimizer.lr) for _ in range(2))
    schedule = OneCycleByGroupLR.build_iter_from_epoch(ours, epoch_length=steps_per_epoch, **settings)
    judge = torch.optim.lr_scheduler.OneCycleLR(
        theirs, RECIPES[size]['rate'], epochs=RECIPES[size]['epochs'], steps_per_epoch=steps_per_epoch, pct_start=0.2
    )
    for _ in range(RECIPES[size]['epochs'] * steps_per_epoch - 1):
        assert ours.param_groups[0]['lr'] == pytest.approx(theirs.param_groups[0]['lr'], rel=1e-6)
        ours.step(), theirs.step(), schedule.step(), judge.step()


def test_the_baseline_differs_in_the_head_alone():
    kmcl, asl = (kmcl_mm.get_config(f'{method}_tresnet_m_coco').to_dict() for method in ('kmcl', 'asl'))
    assert asl['model'].pop('head')['loss']['type'] == 'ASLLoss' != kmcl['model'].pop('head')['loss']['type']
    for cfg in (kmcl, asl):
        for key in list(cfg):
            if key.endswith(('filename', '_cfg_file')):
                cfg.pop(key)
    assert kmcl == asl


@pytest.mark.parametrize('name', NAMES)
def test_a_configuration_holds_what_a_run_uses(name):
    """No pipelines of other data sets, no functions: what is dumped into the work dir can be read."""
    cfg = kmcl_mm.get_config(name)
    read = {*inspect.signature(Runner).parameters, 'custom_imports', 'runner_type', 'channels_last', 'vis_backends'}
    read |= {'resume_schedule', 'tta_model', 'tta_pipeline'}
    # Said once for several loaders.
    assert set(cfg) - read <= {'classes', 'data_root', 'label_column'}
    assert len(cfg.pretty_text.splitlines()) < 225


def test_every_head_comment_says_how_to_run_it():
    for name in NAMES:
        comment = Path(ROOT / f'configs/{name}.py').read_text().split('\n\n_base_')[0]
        assert comment.startswith('# ') and f'configs/{name}.py' in comment


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(ValueError, match="`name`.*kmcl_tresnet_l_coco.*but got 'kmcl_resnet'"):
        kmcl_mm.get_config('kmcl_resnet')


def test_get_config_returns_a_configuration_to_change():
    cfg = kmcl_mm.get_config('kmcl_tresnet_m_digits')
    assert isinstance(cfg, Config)
    cfg.train_cfg.max_epochs = 1
    assert kmcl_mm.get_config('kmcl_tresnet_m_digits').train_cfg.max_epochs != 1


@pytest.mark.parametrize('name, size', [('kmcl_tresnet_m_coco', 224), ('kmcl_tresnet_l_coco', 448)])
def test_the_training_images(tmp_path, name, size):
    """Every random operation takes an image of any shape to S x S, and the same seed gives the same image."""
    pixels = np.random.RandomState(0).randint(0, 256, (100, 37, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'image.png')
    cfg = kmcl_mm.get_config(name)
    init_default_scope('mmpretrain')
    pipeline = Compose(cfg.train_dataloader.dataset.pipeline)

    def draw(seed):
        set_random_seed(seed)
        return pipeline(dict(img_path=str(tmp_path / 'image.png'), gt_label=[0]))['inputs']

    images = [draw(seed) for seed in range(40)]
    assert all(image.shape == (3, size, size) and image.dtype == torch.uint8 for image in images)
    assert draw(3).equal(images[3]) and not draw(4).equal(images[3])


@pytest.mark.parametrize('end', ['raise SystemExit(3)', 'raise RuntimeError', 'def f():\n    f()\nf()', 'a = ('])
def test_a_configuration_that_cannot_be_read(tmp_path, end):
    (tmp_path / 'some.py').write_text(end)
    with pytest.raises(ValueError, match='The configuration .*some.py cannot be read'):
        load_config(tmp_path / 'some.py')


def test_a_configuration_that_is_not_there():
    with pytest.raises(ValueError, match='There is no configuration nowhere.py. Check the path; it starts from /'):
        load_config('nowhere.py')


def test_settings_leave_the_configuration_that_was_given_as_it_is():
    cfg = load_config('kmcl_tresnet_m_coco')
    assert load_config(cfg, {'model.head.thr': 0.25}).model.head.thr == 0.25
    assert cfg.model.head.thr == 0.8


def test_pretrained_weights_are_left_out():
    backbone = dict(type='TIMMBackbone', model_name='tresnet_m', pretrained=True)
    cfg = Config(dict(model=dict(backbone=dict(backbone, checkpoint_path='somewhere.pth'))))
    leave_out_pretrained_weights(cfg)
    assert cfg.model.backbone == dict(backbone, pretrained=False, checkpoint_path='')
    for model in (dict(backbone=dict(type='ResNet', depth=50)), dict(type='SomeModel')):
        cfg = Config(dict(model=model))
        leave_out_pretrained_weights(cfg)
        assert cfg.model == model


def test_a_configuration_that_is_based_on_itself(tmp_path):
    (tmp_path / 'some.py').write_text("_base_ = ['other.py']")
    (tmp_path / 'other.py').write_text("_base_ = './some.py'")
    with pytest.raises(ValueError, match='based on itself, .*some.py > .*other.py > .*some.py'):
        load_config(tmp_path / 'some.py')


def test_bases_that_refer_to_each_other_in_yaml(tmp_path):
    """The host puts the value in before it reads the file, which is no YAML by itself."""
    (tmp_path / 'base.yaml').write_text('size: 224\n')
    (tmp_path / 'mine.yaml').write_text('_base_: base.yaml\nscale: {{_base_.size}}\n')
    assert load_config(tmp_path / 'mine.yaml').scale == 224


def test_the_demo_predicts_pictures_of_any_size():
    cfg = load_config('kmcl_tresnet_m_digits')
    prepare = Preprocessing(cfg)
    assert prepare(np.zeros((45, 130, 3), np.uint8))['inputs'].shape == (3, 64, 64)
    scene = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    assert (prepare(scene)['inputs'].numpy() == scene.transpose(2, 0, 1)).all()
