"""Folders of small trainings: a configuration, a log, a best checkpoint, and test images."""

import copy
import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from mmpretrain.apis import get_model

from kmcl_mm.apps.report.predictions import evaluate
from tests.apps.inference.conftest import small_cfg  # noqa: F401

# Names that a page must not take for its own text; no test image has the last label.
LABELS = ('<script>window.hacked = 1</script>', '<img src=x onerror="window.hacked = 1">', 'rust & "leak"', 'absent')
STEPS = (10, 20, 30)


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    """A data set of 24 images, some of whose labels are unknown; all of one colour for a label."""
    root = tmp_path_factory.mktemp('images')
    (root / 'images').mkdir()
    random, rows = np.random.default_rng(0), []
    for number in range(24):
        labels = random.integers(0, 2, 4) * [1, 1, 1, 0]
        pixels = random.integers(0, 60, (8, 8, 3)) + 160 * labels[:3]
        name = f'<b>{number:02d}.png'
        cv2.imwrite(str(root / 'images' / name), cv2.resize(pixels.astype(np.uint8), (80, 70)))
        labels[number % 3] = -1 if number % 8 == 0 else labels[number % 3]
        rows.append((name, *labels))
    for split in ('train', 'val'):
        pd.DataFrame(rows, columns=['image', *LABELS]).to_csv(root / f'{split}.csv', index=False)
    return root


def save_training(folder, cfg, root, head):
    """Write what a training leaves in its folder."""
    cfg = copy.deepcopy(cfg)
    cfg.model.head = {**cfg.model.head, 'num_classes': 4, **head}
    cfg.data_preprocessor.num_classes = 4
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False, batch_size=5)
        loader.dataset.update(data_root=str(root), label_column=None, metainfo=dict(classes=LABELS))
    folder.mkdir()
    cfg.dump(folder / 'small.py')
    torch.manual_seed(1)
    model = get_model(copy.deepcopy(cfg))
    model.init_weights()
    meta = dict(dataset_meta=dict(classes=LABELS), epoch=3)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'best_mAP_epoch_3.pth')
    return cfg


def write_log(folder, timestamp, lines):
    """Write a log as the host does."""
    path = folder / timestamp / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, lines)))


def training_line(step, epoch=1, **losses):
    return dict(losses or dict(loss_asl=100.0 / step), loss=1.0, lr=0.1, epoch=epoch, iter=step, step=step)


@pytest.fixture(scope='session')
def training(small_cfg, images, tmp_path_factory):  # noqa: F811
    """Folder and configuration of a training of a head with kernels."""
    folder = tmp_path_factory.mktemp('training') / 'run'
    cfg = save_training(folder, small_cfg, images, {})
    losses = dict(loss_asl=50.0, loss_reconstruction=2.0, loss_contrastive=4.0)
    lines = [training_line(step, epoch, **losses) for epoch, step in enumerate(STEPS, start=1)]
    lines += [{'multi-label/mAP': 60.0 + epoch, 'multi-label/mAP_origin': 61.0, 'step': epoch} for epoch in (1, 2, 3)]
    write_log(folder, '20260102_030405', lines)
    return folder, cfg


@pytest.fixture(scope='session')
def linear_training(small_cfg, images, tmp_path_factory):  # noqa: F811
    """Folder and configuration of a training of a linear head, without a log."""
    folder = tmp_path_factory.mktemp('linear') / 'run'
    head = dict(_delete_=True, type='MultiLabelLinearClsHead', in_channels=96, loss=dict(type='ASLLoss'), topk=2)
    cfg = copy.deepcopy(small_cfg)
    cfg.merge_from_dict({'model.head': head})
    return folder, save_training(folder, cfg, images, {})


@pytest.fixture(scope='session')
def embedding_training(small_cfg, images, tmp_path_factory):  # noqa: F811
    """Folder of a training of a head with its kernels at the embedding."""
    folder = tmp_path_factory.mktemp('embedding') / 'run'
    cfg = copy.deepcopy(small_cfg)
    cfg.model.head.kernels = 'embedding'
    cfg.model.head.loss.reconstruction_weight = 0
    save_training(folder, cfg, images, {})
    return folder


def best(folder):
    (path,) = folder.glob('best_*.pth')
    return path


@pytest.fixture(scope='session')
def evaluation(training):
    """What the report shows of the head with kernels, with 12 images in the map."""
    folder, cfg = training
    return evaluate(copy.deepcopy(cfg), best(folder), max_images=12)
