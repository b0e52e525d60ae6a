"""A small classifier with 12 training images, one of which is cut short, and 6 validation images of 3 patients."""

import copy

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope

from tests.apps.inference.conftest import LABELS, classifier, save_checkpoint, small_cfg, training_cfg  # noqa: F401


@pytest.fixture(scope='session')
def split_cfg(training_cfg, tmp_path_factory):  # noqa: F811
    """The configuration with images for training, validation and test; the last two are the same."""
    cfg = copy.deepcopy(training_cfg)
    root = tmp_path_factory.mktemp('validation')
    (root / 'images').mkdir()
    random, rows = np.random.default_rng(2), ['image,patient,crack,rust,leak']
    for number, values in enumerate(['1,0,0', '1,1,-1', '0,0,0', '0,-1,1', '1,1,1', '0,1,0']):
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f'images/v{number}.jpg'), cv2.resize(coarse, (90, 150 + number)))
        rows.append(f'v{number}.jpg,{"" if number == 5 else f"p{number // 2}"},{values}')
    (root / 'val.csv').write_text('\n'.join(rows))
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False, batch_size=4)
        loader.dataset.update(data_root=str(root), label_column=None, patient_column='patient')
        loader.dataset.pipeline = cfg.test_dataloader.dataset.pipeline
    return cfg


@pytest.fixture
def cfg(split_cfg):
    """A copy to change, as it is when the model has been loaded."""
    init_default_scope('mmpretrain')
    return copy.deepcopy(split_cfg)


@pytest.fixture
def checkpoint():
    """What counts of a checkpoint for its data: the labels."""
    return dict(meta=dict(dataset_meta=dict(classes=LABELS)))
