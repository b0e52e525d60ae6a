"""Every tool, with configurations whose types are classes and not names."""

import json
import runpy
import sys

import cv2
import numpy as np
import pytest
import torch

import kmcl_mm
from kmcl_mm.apps.inference.export import METADATA_FILE, metadata_of
from kmcl_mm.apps.inference.similar import fingerprint_of
from kmcl_mm.config import load_config
from tests.conftest import ROOT

LABELS = ('crack', 'rust', 'leak')

# What both kinds share, after their imports.
SETTINGS = """
def dataset(name):
    return dict(
        type={TableMultiLabel},
        data_root='{root}',
        ann_file=f'{{name}}.csv',
        data_prefix='images',
        label_column='labels',
        metainfo=dict(classes={labels}),
        pipeline=[
            dict(type={LoadImageFromFile}),
            dict(type={Resize}, scale=(64, 64)),
            dict(type={PackInputs}),
        ],
    )


def loader(name):
    return dict(
        batch_size=4,
        num_workers=0,
        persistent_workers=False,
        sampler=dict(type={DefaultSampler}, shuffle=False),
        dataset=dataset(name),
    )


model = dict(
    type={ImageClassifier},
    backbone=dict(type={TIMMBackbone}, model_name='test_resnet', pretrained=True),
    neck=dict(type={GlobalAveragePooling}),
    head=dict(type={KMCLHead}, num_classes=3, in_channels=96, loss=dict(type={KMCLLoss}), thr=0.5),
)
data_preprocessor = dict(num_classes=3, mean=[0, 0, 0], std=[255, 255, 255], to_rgb=True, to_onehot=True)
train_dataloader = dict(loader('train'), dataset=dict(type={RepeatDataset}, times=2, dataset=dataset('train')))
val_dataloader = loader('val')
test_dataloader = loader('val')
"""
IMPORTS = dict(
    DefaultSampler='mmengine.dataset',
    GlobalAveragePooling='mmpretrain.models',
    ImageClassifier='mmpretrain.models',
    KMCLHead='kmcl_mm.models',
    KMCLLoss='kmcl_mm.models',
    LoadImageFromFile='mmcv.transforms',
    PackInputs='mmpretrain.datasets',
    RepeatDataset='mmengine.dataset',
    Resize='mmcv.transforms',
    TIMMBackbone='mmpretrain.models',
    TableMultiLabel='kmcl_mm.datasets',
)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Twelve images and the tables of two splits."""
    root = tmp_path_factory.mktemp('data')
    (root / 'images').mkdir()
    random, rows = np.random.default_rng(1), []
    for number in range(12):
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f'images/{number:02d}.jpg'), cv2.resize(coarse, (90 + number, 80)))
        rows.append(f'{number:02d}.jpg,{"|".join(LABELS[: number % 4])}')
    for name, part in (('train', rows[:8]), ('val', rows[8:])):
        (root / f'{name}.csv').write_text('\n'.join(['image,labels', *part]))
    return root


def write_config(kind, folder, root):
    """Write the configuration with types as names, as classes, or in MMEngine's pure-Python style."""
    names = {name: repr(name) if kind == 'names' else name for name in IMPORTS}
    settings = SETTINGS.format(root=root, labels=LABELS, **names)
    imports = '\n'.join(f'from {module} import {name}' for name, module in IMPORTS.items())
    if kind == 'names':
        text = settings
    elif kind == 'classes':
        # With _base_, MMEngine takes a file for one of the old style, whatever it imports.
        (folder / 'base.py').write_text("default_scope = 'mmpretrain'\n")
        text = f"_base_ = ['base.py']\n{imports}\n{settings}"
    else:
        # Functions cannot be inherited: the base has the settings, and the file on top changes one.
        (folder / 'base.py').write_text(f'{imports}\n{settings}')
        text = 'from mmengine.config import read_base\n\nwith read_base():\n    from .base import *\n\n'
        text += 'model.update(dict(head=dict(thr=0.5)))\n'
    config = folder / 'config.py'
    config.write_text(text)
    return config


@pytest.fixture(scope='module', params=['pure Python', 'classes'])
def config(request, root, tmp_path_factory):
    return write_config(request.param, tmp_path_factory.mktemp('config'), root)


@pytest.fixture(scope='module')
def checkpoint(config, tmp_path_factory):
    """A checkpoint of the configuration, from the path that a user takes."""
    torch.manual_seed(0)
    model = kmcl_mm.get_model(config)
    path = tmp_path_factory.mktemp('checkpoint') / 'best_mAP_epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=LABELS))), path)
    return path


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a tool, and return what it prints."""

    def run(tool, *arguments):
        monkeypatch.setattr(sys, 'argv', [f'{tool}.py', *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / f'tools/{tool}.py'), run_name='__main__')
        except SystemExit as stopped:
            assert not stopped.code, capsys.readouterr()
        return capsys.readouterr().out

    return run


def test_a_model_by_its_configuration(config):
    model = kmcl_mm.get_model(config, num_classes=2, head=dict(thr=0.25))
    assert (model.head.num_classes, model.head.thr, model.data_preprocessor.num_classes) == (2, 0.25, 2)


def test_predict(run, config, checkpoint, root, tmp_path):
    out = tmp_path / 'table.csv'
    run('predict', config, checkpoint, root / 'images', '--out', out, '--device', 'cpu')
    assert len(out.read_text().splitlines()) == 13


def test_build_index(run, config, checkpoint, tmp_path):
    assert 'Index of 8 images' in run('build_index', config, checkpoint, tmp_path / 'index.npz')


def test_export(run, config, checkpoint, tmp_path):
    out = tmp_path / 'model.pt2'
    assert '3 labels at 64 x 64 px' in run('deploy/export', config, checkpoint, out)
    files = {METADATA_FILE: ''}
    torch.export.load(out, extra_files=files)
    types = [transform['type'] for transform in json.loads(files[METADATA_FILE])['pipeline']]
    assert types == ['LoadImageFromFile', 'Resize', 'PackInputs']


def test_check_dataset(run, config, tmp_path):
    output = run('check_dataset', config, '--out-dir', tmp_path / 'out', '--workers', 1)
    # The test set is the validation set, and the training set is not counted twice.
    assert [line.split()[:2] for line in output.splitlines()[1:3]] == [['train', '8'], ['val', '4']]


def test_browse_dataset(run, config, tmp_path):
    run('browse_dataset', config, '--out', tmp_path / 'samples.png', '--num-images', 2)
    assert (tmp_path / 'samples.png').stat().st_size > 1000


def test_show_predictions(run, config, checkpoint, tmp_path):
    run('show_predictions', config, checkpoint, '--out', tmp_path / 'predictions.png')
    assert (tmp_path / 'predictions.png').stat().st_size > 1000


def test_calibrate(run, config, checkpoint, tmp_path):
    output = run('calibrate', config, checkpoint, '--out', tmp_path / 'fitted.pth')
    assert 'which are the test images too' in output and 'Memory of 8 training images' in output
    assert (tmp_path / 'fitted.pth').is_file()


def test_report(run, config, checkpoint, tmp_path):
    out = tmp_path / 'report.html'
    run('report', config.parent, '--checkpoint', checkpoint, '--out', out, '--cfg-options', 'model.head.thr=0.25')
    page = out.read_text(encoding='utf-8')
    assert '<th>training images</th>' in page and 'could not be read' not in page


def test_fingerprint_and_metadata_are_those_of_the_same_configuration_with_names(config, root, tmp_path):
    cfg, named = load_config(config), load_config(write_config('names', tmp_path, root))
    model = kmcl_mm.get_model(config)
    assert fingerprint_of(model.head, cfg) == fingerprint_of(model.head, named)
    assert metadata_of(model, cfg, LABELS) == metadata_of(model, named, LABELS)
