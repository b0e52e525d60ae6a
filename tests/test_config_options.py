"""Settings on the command line: what is read is taken, what nothing would read is refused."""

import copy
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.datasets import BaseDataset
from mmpretrain.engine import EMAHook
from torch import nn

from kmcl_mm.config import load_config
from kmcl_mm.config_options import check_options
from kmcl_mm.models import KMCLHead

COCO = 'kmcl_tresnet_m_coco'


@pytest.fixture(scope='module')
def coco():
    return load_config(COCO)


@pytest.mark.parametrize(
    'setting, meant',
    [
        # Parts on the way.
        ('modle.head.thr', 'model'),
        ('model.heads.thr', 'head'),
        ('train_dataloder.batch_size', 'train_dataloader'),
        ('default_hooks.loger.interval', 'logger'),
        ('custom_hooks.1.momentums.end', 'momentum'),
        ('optim_wrapper.optimiser.lr', 'optimizer'),
        # The last part: of the configuration itself, of a dictionary without a type, of a type.
        ('lod_from', 'load_from'),
        ('channel_last', 'channels_last'),
        ('find_unused_parameter', 'find_unused_parameters'),
        ('train_dataloader.batchsize', 'batch_size'),
        ('model.head.thrr', 'thr'),
        ('model.head.loss.varaint', 'variant'),
        ('model.backbone.pretraind', 'pretrained'),
        ('train_dataloader.dataset.data_rot', 'data_root'),
        ('train_dataloader.dataset.pipeline.0.min_sizes', 'min_size'),
        ('val_evaluator.1.thrr', 'thr'),
        ('default_hooks.checkpoint.max_keep_ckpt', 'max_keep_ckpts'),
        ('optim_wrapper.optimizer.weight_decayy', 'weight_decay'),
        # What the host's type takes by way of its base class.
        ('optim_wrapper.acumulative_counts', 'accumulative_counts'),
        ('train_cfg.max_epoch', 'max_epochs'),
        ('param_scheduler.pct_strt', 'pct_start'),
    ],
)
def test_a_misspelt_setting_is_refused(coco, setting, meant):
    with pytest.raises(ValueError, match=rf'^Unknown setting {setting} in {COCO}\. Did you mean {meant}\?$'):
        check_options({setting: 1}, coco, COCO)


@pytest.mark.parametrize(
    'setting, takes',
    [
        ('model.head.dropout', 'KMCLHead takes .*covariance.*thr'),
        ('model.neck.kernel', 'GlobalAveragePooling takes dim'),
        ('train_dataloader.dataset.augmentation', 'CocoMultiLabel takes ann_file.*data_root'),
    ],
)
def test_a_setting_that_a_type_does_not_take_is_refused(coco, setting, takes):
    with pytest.raises(ValueError, match=rf'^Unknown setting {setting} in {COCO}\. {takes}'):
        check_options({setting: 1}, coco, COCO)


@pytest.mark.parametrize(
    'setting',
    [
        # What the runner reads, though no configuration here has it.
        'model_wrapper_cfg.find_unused_parameters',
        'channels_last',
        'find_unused_parameters',
        'work_dir',
        'auto_scale_lr.base_batch_size',
        'env_cfg.dist_cfg.timeout',
        # What a type takes, by itself, by its base class, or for something else that it passes arguments on to.
        'model.head.topk',
        'model.head.init_cfg',
        'model.backbone.layers',
        'model.backbone.drop_path_rate',
        'train_dataloader.dataset.indices',
        'train_dataloader.dataset.lazy_init',
        'optim_wrapper.dtype',
        'optim_wrapper.accumulative_counts',
        'optim_wrapper.clip_grad.max_norm',
        'optim_wrapper.optimizer.betas',
        'optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult',
        'custom_hooks.1.priority',
        'val_evaluator.0.collect_device',
        # A user's own code may read any.
        'mine',
    ],
)
def test_another_setting_is_accepted(coco, setting):
    """MMEngine reads some that no configuration here has, and a user's code may read any."""
    cfg: Any = load_config(coco, {setting: 1})
    for part in setting.split('.'):
        cfg = cfg[int(part) if part.isdigit() else part]
    assert cfg == 1


def test_a_new_hook_is_accepted_whatever_its_name_is_like():
    """``loggers`` would be a misspelling of ``logger``, if the options did not give its type."""
    options = {'default_hooks.loggers.interval': 5, 'default_hooks.loggers.type': 'LoggerHook'}
    assert load_config(COCO, options).default_hooks.loggers == dict(type='LoggerHook', interval=5)
    with pytest.raises(ValueError, match='Did you mean logger'):
        load_config(COCO, {'default_hooks.loggers.interval': 5})


def test_one_loader_is_not_the_misspelling_of_another():
    cfg = Config(dict(train_dataloader=dict(batch_size=4), test_dataloader=dict(batch_size=4)))
    loaded = load_config(cfg, {'val_dataloader.batch_size': 2})
    assert loaded.val_dataloader == dict(batch_size=2) and loaded.train_dataloader == dict(batch_size=4)


@MODELS.register_module()
class PassesOn(KMCLHead):
    """A head of a user's own that passes on what it does not know."""

    def __init__(self, *args, mine=0, **kwargs):
        super().__init__(*args, **kwargs)


class ReadsAnything(BaseDataset):
    def __init__(self, **kwargs):
        super().__init__(kwargs.pop('table'))


def build_network(layers=3):
    return nn.Sequential()


@pytest.mark.parametrize('kind', [KMCLHead, 'KMCLHead', 'mmpretrain.KMCLHead', PassesOn, 'PassesOn'])
def test_a_type_by_class_or_name(kind):
    """And a subclass of a user's own, which may take anything but is not asked for what is nearly known."""
    cfg = Config(dict(model=dict(head=dict(type=kind, num_classes=3))))
    check_options({'model.head.thr': 0.5, 'model.head.covariance': 'isotropic'}, cfg, 'my.py')
    with pytest.raises(ValueError, match='setting model.head.thrr in my.py. Did you mean thr'):
        check_options({'model.head.thrr': 0.5}, cfg, 'my.py')
    with pytest.raises(ValueError, match='Did you mean num_classes'):
        check_options({'model.head.num_class': 3}, cfg, 'my.py')


@pytest.mark.parametrize('kind', [ReadsAnything, PassesOn, build_network, 'NeverRegistered'])
def test_where_nobody_can_tell_it_is_accepted(kind):
    check_options({'part.anything': 1}, Config(dict(part=dict(type=kind))), 'my.py')


def test_a_hook_of_the_host_by_class():
    cfg = Config(dict(custom_hooks=[dict(type=EMAHook)]))
    check_options({'custom_hooks.0.update_buffers': True, 'custom_hooks.0.begin_epoch': 2}, cfg, 'my.py')
    with pytest.raises(ValueError, match='Did you mean evaluate_on_ema'):
        check_options({'custom_hooks.0.evaluate_on_emma': True}, cfg, 'my.py')


@pytest.fixture
def pure_python(tmp_path):
    """A configuration whose types are classes, on a base file that it reads."""
    (tmp_path / 'base.py').write_text(
        'from mmpretrain.models import GlobalAveragePooling, ImageClassifier, TIMMBackbone\n'
        'from kmcl_mm.models import KMCLHead, KMCLLoss\n'
        "backbone = dict(type=TIMMBackbone, model_name='test_resnet', pretrained=True)\n"
        'head = dict(type=KMCLHead, num_classes=3, in_channels=96, loss=dict(type=KMCLLoss))\n'
        'model = dict(type=ImageClassifier, backbone=backbone, neck=dict(type=GlobalAveragePooling), head=head)\n'
    )
    path = tmp_path / 'mine.py'
    path.write_text(
        'from mmengine.config import read_base\nwith read_base():\n    from .base import *\n'
        'model.update(head=dict(thr=0.6))\n'
    )
    return path


def test_a_pure_python_configuration_takes_settings(pure_python):
    cfg = load_config(pure_python, {'model.head.thr': 0.25, 'model.backbone.pretrained': False})
    assert (cfg.model.head.thr, cfg.model.head.num_classes, cfg.model.head.type) == (0.25, 3, KMCLHead)
    init_default_scope('mmpretrain')
    assert MODELS.build(cfg.model).head.thr == 0.25
    with pytest.raises(ValueError, match=r'model\.head\.thrr in .*mine\.py\. Did you mean thr'):
        load_config(pure_python, {'model.head.thrr': 0.5})
    with pytest.raises(ValueError, match='GlobalAveragePooling takes dim, type'):
        load_config(pure_python, {'model.neck.kernel': 3})


def test_settings_on_a_pure_python_configuration_leave_it_as_it_is(pure_python):
    cfg = load_config(pure_python)
    for given in (cfg, copy.deepcopy(cfg)):
        loaded = load_config(given, {'model.head.thr': 0.25})
        assert (loaded.model.head.thr, given.model.head.thr) == (0.25, 0.6)
        assert loaded.filename == given.filename
        loaded.model.head.num_classes = 5
        assert given.model.head.num_classes == 3
        assert load_config(loaded).model.head.to_dict() == loaded.model.head.to_dict()
        init_default_scope('mmpretrain')
        model = dict(loaded.model, backbone=dict(loaded.model.backbone, pretrained=False))
        assert MODELS.build(model).head.num_classes == 5


def test_settings_that_do_not_fit_what_is_there():
    with pytest.raises(ValueError, match=f'{COCO} does not take the settings.*Index 9'):
        load_config(COCO, {'train_dataloader.dataset.pipeline.9.min_size': 64})
