import cv2
import numpy as np
import pandas as pd
import pytest
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, MODELS
from torch import nn

import kmcl_mm
from kmcl_mm.datasets import TableMultiLabel

NAMES = kmcl_mm.datasets.DigitScenes.METAINFO['classes']


def prepare(tmp_path, **changes):
    """The demo on a few scenes for one epoch, ready to train."""
    cfg = kmcl_mm.get_config('kmcl_tresnet_m_digits')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, batch_size=2)
        loader.dataset.num_scenes = 4
    cfg.model.backbone = dict(type='TIMMBackbone', model_name='test_resnet')
    cfg.model.head.in_channels = 96
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    cfg.merge_from_dict(changes)
    return Runner.from_cfg(Config(cfg.to_dict()))


def test_what_agrees_passes(tmp_path):
    prepare(tmp_path).train()
    assert (tmp_path / 'epoch_1.pth').is_file()


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'model.head.num_classes': 8}, r'`num_classes` of `model.head` to be 10.*training.*but got 8'),
        ({'data_preprocessor.num_classes': 9}, r'`num_classes` of `data_preprocessor` to be 10.*but got 9'),
        (
            {'val_dataloader.dataset.metainfo': dict(classes=NAMES[::-1])},
            r'validation data set.*training data set in the same order.*metainfo',
        ),
        ({'val_dataloader.dataset.metainfo': dict(classes=NAMES[:9])}, r'validation data set.*in the same order'),
        (
            {
                'train_dataloader.dataset.metainfo': dict(classes=(*NAMES[:9], 'zero')),
                'val_dataloader.dataset.metainfo': dict(classes=(*NAMES[:9], 'zero')),
            },
            r"each class of the training data set once, but \['zero'\]",
        ),
    ],
)
def test_what_does_not_agree_is_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path, **changes).train()
    assert not list(tmp_path.glob('*.pth'))


LINEAR = {'model.head': dict(_delete_=True, type='MultiLabelLinearClsHead', num_classes=10, in_channels=96)}


def table(folder, unknown):
    """Four images, of which one has an unknown label."""
    (folder / 'images').mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f'images/{number}.png'), np.full((64, 64, 3), 60 * number, np.uint8))
    rows = [[f'{number}.png', *[int(label <= number) for label in range(10)]] for number in range(4)]
    rows[3][5] = -1 if unknown else 1
    pd.DataFrame(rows, columns=['image', *NAMES]).to_csv(folder / 'train.csv', index=False)
    pipeline = [dict(type='LoadCheckedImage'), dict(type='PackInputs')]
    return TableMultiLabel(data_root=str(folder), ann_file='train.csv', data_prefix='images', pipeline=pipeline)


BCE = dict(type='mmpretrain.CrossEntropyLoss', use_sigmoid=True)
ASYMMETRIC = dict(type='mmpretrain.AsymmetricLoss')


@pytest.mark.parametrize('loss', [BCE, ASYMMETRIC])
@pytest.mark.parametrize(
    'wrap', [lambda data: data, lambda data: RepeatDataset(data, 2), lambda data: ConcatDataset([data])]
)
def test_a_loss_that_takes_unknown_labels_for_numbers_is_refused(tmp_path, loss, wrap):
    runner = prepare(tmp_path, **LINEAR, **{'model.head.loss': loss})
    runner._train_dataloader['dataset'] = wrap(table(tmp_path, unknown=True))
    with pytest.raises(ValueError, match=rf"unknown \(-1\), which {loss['type'].split('.')[1]}.*type='ASLLoss'"):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


@DATASETS.register_module()
class ScoredScenes(kmcl_mm.datasets.DigitScenes):
    """A user's data set, whose last image has an unknown label."""

    def get_data_info(self, idx):
        score = np.zeros(10, np.float32)
        score[5] = -1 if idx == len(self) - 1 else 1
        return dict(super().get_data_info(idx), gt_score=score)


def test_unknown_labels_of_another_data_set_are_found(tmp_path):
    own = {'model.head.loss': ASYMMETRIC, 'train_dataloader.dataset.type': 'ScoredScenes'}
    with pytest.raises(ValueError, match=r'unknown \(-1\), which AsymmetricLoss'):
        prepare(tmp_path, **LINEAR, **own).train()


@MODELS.register_module()
class MaskedLoss(nn.Module):
    """A user's loss, which leaves unknown labels out."""

    def forward(self, cls_score, target, avg_factor=None):
        return nn.functional.softplus(cls_score[target == 0]).sum()


@pytest.mark.parametrize('loss, unknown', [(BCE, False), (dict(type='ASLLoss'), True), (dict(type='MaskedLoss'), True)])
def test_a_loss_trains_on_the_labels_that_it_knows(tmp_path, loss, unknown):
    runner = prepare(tmp_path, **LINEAR, **{'model.head.loss': loss})
    runner._train_dataloader['dataset'] = table(tmp_path, unknown)
    runner.train()
    assert (tmp_path / 'epoch_1.pth').is_file()
