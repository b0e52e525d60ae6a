"""A small classifier, its checkpoint, and images that it reads."""

import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.apis import get_model

import kmcl_mm
from kmcl_mm.engine.fitted import save_fitted
from kmcl_mm.functional.calibration import Regression
from kmcl_mm.modules.calibration import Calibration, descriptions_of
from kmcl_mm.modules.kernel_memory import KernelMemory

LABELS = ('crack', 'rust', 'leak')


@pytest.fixture(scope='session')
def small_cfg() -> Config:
    """The configuration for own data at 64 px, with timm's smallest network."""
    cfg = kmcl_mm.get_config('kmcl_tresnet_m_custom')
    cfg.merge_from_dict(
        {
            'model.backbone': dict(
                _delete_=True, type='TIMMBackbone', model_name='test_resnet', features_only=False, pretrained=False
            ),
            'model.head.in_channels': 96,
            'test_dataloader.dataset.pipeline': [
                dict(type='LoadCheckedImage', min_size=64),
                dict(type='Resize', scale=(64, 64), interpolation='bilinear'),
                dict(type='PackInputs'),
            ],
        }
    )
    return cfg


@pytest.fixture(scope='session')
def classifier(small_cfg):
    """The model with weights and statistics of its norms as a training might leave them."""
    torch.manual_seed(0)
    model = get_model(small_cfg)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.eval()


@pytest.fixture
def save_checkpoint(classifier, tmp_path):
    """Write a checkpoint with this meta data beside the labels' names."""

    def save(**meta):
        path = tmp_path / 'model.pth'
        meta = dict(dict(dataset_meta=dict(classes=LABELS)), **meta)
        torch.save(dict(state_dict=classifier.state_dict(), meta=meta), path)
        return path

    return save


@pytest.fixture
def save_calibrated(classifier, tmp_path):
    """Write a checkpoint with a calibration and 40 drawn images that vote, near those that the classifier sees."""

    def save(*slopes, features=None):
        generator = torch.Generator().manual_seed(1)
        drawn = torch.rand(40, 96, generator=generator) if features is None else features
        with torch.inference_mode():
            descriptions = descriptions_of(classifier.head, (drawn,), classifier.head((drawn,)))
        target = torch.randint(-1, 2, (len(drawn), len(LABELS)), generator=generator)
        regression = Regression(torch.tensor(slopes), torch.tensor([-0.5, 0.0, 0.5]))
        memories = [KernelMemory.of(part, neighbours=9) for part in descriptions][: len(slopes) - 1]
        names = [f'train/{number}.jpg' for number in range(len(drawn))]
        calibration = Calibration(regression, memories, *([target, names] if memories else []))
        path = tmp_path / 'calibrated.pth'
        content = dict(state_dict=classifier.state_dict(), meta=dict(dataset_meta=dict(classes=LABELS)))
        save_fitted(content, LABELS, path, torch.tensor([0.25, 0.5, 0.75]), calibration)
        return path

    return save


@pytest.fixture
def folder(tmp_path):
    """Four images of several sizes and kinds, one of them in a folder within, and one that is cut short."""
    folder = tmp_path / 'photos'
    (folder / 'more').mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, shape in {'a.jpg': (80, 120), 'b.png': (64, 64), 'c.jpg': (300, 200), 'more/d.JPG': (70, 65)}.items():
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(coarse, shape[::-1]))
    (folder / 'broken.jpg').write_bytes((folder / 'a.jpg').read_bytes()[:500])
    (folder / 'notes.txt').write_text('no image')
    return folder


@pytest.fixture(scope='session')
def training_cfg(small_cfg, tmp_path_factory) -> Config:
    """The small configuration with 12 training images of its own, one of which is cut short."""
    root = tmp_path_factory.mktemp('training')
    (root / 'images').mkdir()
    random, rows = np.random.default_rng(1), ['image,labels']
    for number in range(12):
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f'images/{number:02d}.jpg'), cv2.resize(coarse, (200 + number, 90)))
        rows.append(f'{number:02d}.jpg,{"|".join(LABELS[: number % 4])}')
    broken = root / 'images/05.jpg'
    broken.write_bytes(broken.read_bytes()[:500])
    (root / 'train.csv').write_text('\n'.join(rows))
    cfg = copy.deepcopy(small_cfg)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.data_root = str(root)
    return cfg
