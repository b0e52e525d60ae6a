import pytest
from mmengine.config import Config
from mmengine.runner import Runner

import kmcl_mm

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
