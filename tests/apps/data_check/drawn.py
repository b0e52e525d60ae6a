"""Small data sets drawn for the tests, and configurations of them."""

import json

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image

NAMES = ('person', 'car', 'dog', 'cat', 'boat', 'cow')
# Width and height of the images, in turn.
SIZES = ((96, 72), (72, 96), (96, 60))
SHARES = (0.6, 0.35, 0.2, 0.1, 0.2, 0.05)


def draw_scene(seed, width=96, height=72):
    """An image (H, W, 3), uint8, like no other."""
    random = np.random.RandomState(seed)
    coarse = random.randint(0, 256, size=(6, 8, 3)).astype(np.uint8)
    scene = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return (scene + random.randint(-8, 9, size=(height, width, 1))).clip(0, 255).astype(np.uint8)


def draw_labels(number, seed):
    """Lists of label indices, as frequent as in ``SHARES``; every label occurs."""
    chosen = np.random.RandomState(seed).rand(number, len(SHARES)) < SHARES
    chosen[: len(SHARES)] |= np.eye(len(SHARES), dtype=bool)
    return [np.flatnonzero(row).tolist() for row in chosen]


def write_split(root, name, labels, seed=0, classes=NAMES, **more):
    """Draw a folder of images and write the host's JSON for it; ``more`` are further columns of the items."""
    folder = root / name
    folder.mkdir(parents=True)
    items = []
    for index, chosen in enumerate(labels):
        Image.fromarray(draw_scene(seed + index, *SIZES[index % 3])).save(folder / f'{index:03}.jpg', quality=90)
        items.append(dict(img_path=f'{index:03}.jpg', gt_label=chosen, **{key: more[key][index] for key in more}))
    write_annotations(root, name, items, classes)


def write_annotations(root, name, items, classes=NAMES):
    metainfo = dict(classes=classes) if classes else {}
    (root / f'{name}.json').write_text(json.dumps(dict(metainfo=metainfo, data_list=items)))


def read_items(root, name):
    return json.loads((root / f'{name}.json').read_text())['data_list']


def write_healthy(root):
    """Two splits with the labels and the images that they should have."""
    write_split(root, 'train', draw_labels(80, seed=0), seed=0)
    write_split(root, 'val', draw_labels(60, seed=1), seed=1000)
    return root


def json_dataset(root, name, **settings):
    return dict(
        dict(type='MultiLabelDataset', data_root=str(root), ann_file=f'{name}.json', data_prefix=name, pipeline=[]),
        **settings,
    )


def make_config(train, val, test=None, **more):
    loaders = dict(train=train, val=val, test=val if test is None else test)
    return Config(
        dict(
            default_scope='mmpretrain',
            **{f'{name}_dataloader': dict(batch_size=2, dataset=dataset) for name, dataset in loaders.items()},
            **more,
        )
    )


def config_of(root, **more):
    return make_config(json_dataset(root, 'train'), json_dataset(root, 'val'), **more)
