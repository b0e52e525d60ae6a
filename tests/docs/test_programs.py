"""The Python programs and configurations on the pages run as they stand, but for the names in capitals."""

import inspect
import shutil

import pytest
from mmengine.registry import VISBACKENDS
from mmengine.visualization import LocalVisBackend
from mmengine.visualization.vis_backend import BaseVisBackend
from mmpretrain.registry import DATASETS

from kmcl_mm.config import load_config
from tests.conftest import ROOT
from tests.datasets.layouts import draw_images
from tests.docs.child import run_python
from tests.docs.pages import CONTRIBUTING, PAGES, blocks
from tests.docs.workplace import best_checkpoint

CUSTOM = 'configs/kmcl_tresnet_m_custom.py'
# Run by another test, with what they need.
ELSEWHERE = {
    'def _split': 'tests/datasets/test_table_multilabel.py builds the data sets',
    'annotations.xml': 'tests/datasets/test_table.py reads what it writes',
    'ClassBalancedMultiLabel': 'tests/datasets/test_wrappers.py builds the data set',
    'TensorboardVisBackend': 'tests/apps/report/test_tensorboard.py trains with it',
    'WandbVisBackend': 'test_the_logs_elsewhere_are_mmengines',
    'import faiss': 'tests/functional/test_neighbours.py compares the votes',
    'import onnxruntime': 'tests/apps/inference/test_export.py compares the scores',
}
# What the README's first lines leave to their reader: a network, images and their labels.
GIVEN = """
import torch

network, images, target = torch.nn.Identity(), torch.rand(4, 2048), torch.randint(2, (4, 20))
"""
# tests/test_contributing.py runs those of CONTRIBUTING.md.
BLOCKS = [
    (str(page.relative_to(ROOT)), block) for page in PAGES if page != CONTRIBUTING for block in blocks(page, 'python')
]
# Tables of labels.
TABLES = [block for page in PAGES for block in blocks(page, 'text') if block.startswith('image,')]


def is_configuration(block: str) -> bool:
    return block.startswith('_base_')


PROGRAMS = [
    (page, block)
    for page, block in BLOCKS
    if not is_configuration(block) and not any(mark in block for mark in ELSEWHERE) and 'import' in block
]
CONFIGURATIONS = [(page, block) for page, block in BLOCKS if is_configuration(block)]


@pytest.mark.parametrize('page, program', PROGRAMS)
def test_the_program_runs(page, program, workplace):
    checkpoint = best_checkpoint(workplace, CUSTOM) if 'CHECKPOINT' in program else ''
    for name, value in dict(CONFIG=repr(CUSTOM), CHECKPOINT=repr(checkpoint), OUT='published.pth').items():
        program = program.replace(name, value)
    given = GIVEN if 'network(images)' in program else ''
    (workplace / 'program.py').write_text(given + program)
    ended = run_python(['program.py'], workplace)
    assert ended.status == 0, ended.output


@pytest.mark.parametrize('page, configuration', CONFIGURATIONS)
def test_the_configuration_is_read(page, configuration, tmp_path):
    """In configs/ where it is based on the parts there, and else beside that folder."""
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    path = tmp_path / ('configs/some.py' if "'_base_/" in configuration else 'some.py')
    path.write_text(configuration)
    before, cfg = load_config('kmcl_tresnet_m_voc07'), load_config(path)
    # All are variations of one configuration, if of nothing else than its number of labels.
    network = dict(before.model.backbone) if 'Pooled' not in configuration else dict(cfg.model.backbone)
    assert cfg.model.backbone == network and cfg.model.head.num_classes == 20
    assert cfg.model.head.type == 'KMCLHead' and 'kmcl_mm' in cfg.custom_imports.imports


def test_the_logs_elsewhere_are_mmengines():
    """Each is one of its backends, and takes these arguments."""
    (program,) = (block for _, block in BLOCKS if 'WandbVisBackend' in block)
    names: dict = {}
    exec(program, names)
    local, *others = names['visualizer']['vis_backends']
    assert VISBACKENDS.get(local['type']) is LocalVisBackend and len(others) == 3
    for settings in others:
        kind = VISBACKENDS.get(settings.pop('type'))
        assert issubclass(kind, BaseVisBackend)
        inspect.signature(kind).bind('work_dirs', **settings)


def test_the_lines_to_change_are_in_the_configuration():
    lines = [block for page, block in BLOCKS if block.startswith('data_root')]
    assert lines and all(block in (ROOT / CUSTOM).read_text() for block in lines)


@pytest.mark.parametrize('table', TABLES)
def test_the_table_is_read(table, tmp_path):
    """The first image has the first and the third of the labels that the configuration names, the second one none."""
    (tmp_path / 'train.csv').write_text(table)
    draw_images(tmp_path / 'images', ['001.jpg', '002.jpg'])
    cfg = load_config(CUSTOM)
    dataset = cfg.train_dataloader.dataset
    dataset.update(data_root=str(tmp_path), label_column='labels' if 'labels' in table else None)
    first, second = DATASETS.build(dict(dataset, pipeline=[]))
    assert first['gt_label'] == [0, 2] and second['gt_label'] == []


def test_there_is_a_table_of_each_form():
    assert {'labels' in table for table in TABLES} == {True, False}


def test_each_block_has_a_test():
    rest = [block for page, block in BLOCKS if (page, block) not in PROGRAMS + CONFIGURATIONS]
    assert all(block.startswith('data_root') or any(mark in block for mark in ELSEWHERE) for block in rest)
