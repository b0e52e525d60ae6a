"""A folder in which the commands of the pages run as they stand, in seconds.

It has small data sets in the places where the configurations expect theirs, and configurations of the same names that
inherit from the package's: with timm's smallest network, and a few steps instead of a recipe's.
"""

import json
from pathlib import Path

import timm
import torch
from mmengine.config import Config

import kmcl_mm
from kmcl_mm.datasets import CocoMultiLabel, VOCMultiLabel
from tests.conftest import ROOT
from tests.conversion.published import published_checkpoint
from tests.datasets import layouts
from tests.docs.child import run_python

IMAGES = 10
HEIR = """
_base_ = {base!r}

model = dict(
    backbone=dict(_delete_=True, type={backbone!r}, model_name='test_resnet'),
    head=dict(in_channels=96),
)
val_dataloader = test_dataloader = dict(batch_size=5, num_workers=0, persistent_workers=False)
train_dataloader = dict(val_dataloader, drop_last=False)
train_cfg = dict(max_epochs=4, val_interval=4)
param_scheduler = dict(end=4, pct_start=0.5)
"""


def furnish(folder: Path) -> None:
    """Put all that the pages' commands read into an empty folder."""
    for name in ('tools', 'benchmarks', 'tests'):
        (folder / name).symlink_to(ROOT / name)
    (folder / 'configs').mkdir()
    for path in (ROOT / 'configs').glob('*.py'):
        backbone = Config.fromfile(path).model.backbone.type
        (folder / 'configs' / path.name).write_text(HEIR.format(base=str(path), backbone=backbone))
    _draw_coco(folder / 'data/coco')
    _draw_voc(folder / 'data/VOCdevkit/VOC2007')
    for name in ('data/custom', 'other_data'):
        (folder / name).mkdir()
        layouts.draw_custom(folder / name)
    for name in ('photos', 'more'):
        layouts.draw_images(folder / name, ['1.jpg', '2.jpg'])
    torch.save(timm.create_model('test_resnet').state_dict(), folder / 'weights.pth')
    torch.save(published_checkpoint(kmcl_mm.get_model('kmcl_tresnet_m_coco')), folder / 'published.pth')


def best_checkpoint(folder: Path, config: str) -> str:
    """The newest best checkpoint of a configuration, which is trained where there is none."""
    work_dir = folder / 'work_dirs' / Path(config).stem
    found = list(work_dir.glob('best_*[0-9].pth'))
    if not found:
        ended = run_python(['tools/train.py', config], folder)
        assert ended.status == 0, ended.output
        found = list(work_dir.glob('best_*[0-9].pth'))
    return str(max(found, key=lambda path: path.stat().st_mtime).relative_to(folder))


def _labels_of(index: int, number: int) -> range:
    """An image's share of the labels, so that all images together have each once."""
    share = number // IMAGES
    return range(index * share, (index + 1) * share)


def _draw_coco(root: Path) -> None:
    categories = [dict(id=number, name=name) for number, name in enumerate(CocoMultiLabel.METAINFO['classes'], start=1)]
    (root / 'annotations').mkdir(parents=True)
    for seed, split in enumerate(('train2014', 'val2014')):
        names = [f'{index:012}.jpg' for index in range(IMAGES)]
        layouts.draw_images(root / split, names, seed=seed)
        annotations = [
            dict(id=1000 * index + label, image_id=index, category_id=label + 1, iscrowd=0, bbox=[0, 0, 1, 1])
            for index in range(IMAGES)
            for label in _labels_of(index, len(categories))
        ]
        images = [dict(id=index, file_name=name) for index, name in enumerate(names)]
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / f'annotations/instances_{split}.json').write_text(json.dumps(content))


def _draw_voc(root: Path) -> None:
    classes = VOCMultiLabel.METAINFO['classes']
    (root / 'Annotations').mkdir(parents=True)
    (root / 'ImageSets/Main').mkdir(parents=True)
    for seed, split in enumerate(('trainval', 'test')):
        names = [f'{split}_{index}' for index in range(IMAGES)]
        layouts.draw_images(root / 'JPEGImages', [f'{name}.jpg' for name in names], seed=10 + seed)
        (root / f'ImageSets/Main/{split}.txt').write_text('\n'.join(names))
        for index, name in enumerate(names):
            objects = ''.join(
                f'<object><name>{classes[label]}</name><difficult>0</difficult></object>'
                for label in _labels_of(index, len(classes))
            )
            (root / f'Annotations/{name}.xml').write_text(f'<annotation>{objects}</annotation>')
