"""The hook in a real training on image files, of which one is cut short, one empty and one a text."""

import cv2
import numpy as np
import pytest

from kmcl_mm.engine import KMCLRunner, UnreadableImagesHook
from kmcl_mm.errors import UnreadableImageError
from tests.kill_training import short_config


@pytest.fixture
def pictures(tmp_path):
    """A table of 16 pictures, 3 of which cannot be read."""
    folder = tmp_path / 'data/images'
    folder.mkdir(parents=True)
    random = np.random.RandomState(0)
    for number in range(16):
        cv2.imwrite(str(folder / f'{number}.jpg'), random.randint(0, 256, (32, 32, 3)).astype(np.uint8))
    (folder / '3.jpg').write_bytes((folder / '3.jpg').read_bytes()[:200])
    (folder / '8.jpg').write_bytes(b'')
    (folder / '9.jpg').write_text('no picture')
    rows = [f'{number}.jpg,{"even" if number % 2 == 0 else "odd"}' for number in range(16)]
    (tmp_path / 'data/train.csv').write_text('\n'.join(['image,labels', *rows]))
    (tmp_path / 'data/val.csv').write_text('\n'.join(['image,labels', *rows[:2], rows[4], rows[5]]))
    return tmp_path / 'data'


def config(pictures, work_dir, workers=0, **settings):
    cfg = short_config(work_dir, workers, epochs=2)
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset = dict(
            type='TableMultiLabel',
            data_root=str(pictures),
            ann_file=f'{split}.csv',
            data_prefix='images',
            label_column='labels',
            metainfo=dict(classes=('even', 'odd')),
            test_mode=split == 'val',
            pipeline=[dict(type='LoadCheckedImage'), dict(type='RandomColorCutout'), dict(type='PackInputs')],
        )
    cfg.merge_from_dict({'model.head.num_classes': 2, 'data_preprocessor.num_classes': 2, **settings})
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    return cfg


def log_of(work_dir):
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


@pytest.mark.parametrize('workers', [0, 2])
def test_by_default_the_training_stops_with_the_path(pictures, tmp_path, workers):
    with pytest.raises(UnreadableImageError, match=r'Expected .*images.[389]\.jpg to be an image'):
        KMCLRunner.from_cfg(config(pictures, tmp_path / f'stops_{workers}', workers)).train()


@pytest.mark.parametrize('workers', [0, 2])
def test_skipped_images_are_counted_and_listed_at_the_end(pictures, tmp_path, workers):
    work_dir = tmp_path / f'skips_{workers}'
    settings = {'default_hooks.unreadable_images.action': 'skip'}
    runner = KMCLRunner.from_cfg(config(pictures, work_dir, workers, **settings))
    runner.train()
    # Each of the three in both epochs, and the draws of another image that met one of them again.
    rows = [line.split('\t') for line in (work_dir / 'unreadable_images.tsv').read_text().splitlines()]
    assert {(epoch, index) for epoch, index, _ in rows} == {(epoch, index) for epoch in '01' for index in '389'}
    log = log_of(work_dir)
    assert '3 images could not be read and were skipped 6 times' in log
    listed = log[log.index('3 images could not be read') :].splitlines()[1:4]
    assert all(name in line for name, line in zip(('3.jpg', '8.jpg', '9.jpg'), listed))
    assert not hasattr(runner.train_dataloader.dataset, '__getitems__')


def test_validation_never_skips(pictures, tmp_path):
    (pictures / 'images/1.jpg').write_bytes(b'')
    settings = {'default_hooks.unreadable_images.action': 'skip'}
    with pytest.raises(UnreadableImageError, match=r'1\.jpg'):
        KMCLRunner.from_cfg(config(pictures, tmp_path / 'validates', **settings)).train()


def test_a_training_without_broken_images_says_nothing(pictures, tmp_path):
    cfg = config(pictures, tmp_path / 'sound', **{'default_hooks.unreadable_images.action': 'skip'})
    cfg.train_dataloader.dataset.ann_file = 'val.csv'
    cfg.train_dataloader.batch_size, cfg.param_scheduler.pct_start = 2, 0.5
    KMCLRunner.from_cfg(cfg).train()
    assert 'could not be read' not in log_of(tmp_path / 'sound')


@pytest.mark.parametrize(
    'arguments, message',
    [(dict(action='ignore'), r"`action`.*\('stop', 'skip'\).*'ignore'"), (dict(max_skips=0), '`max_skips`.*1.*got 0')],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        UnreadableImagesHook(**arguments)
