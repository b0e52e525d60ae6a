import numpy as np
import pandas as pd
import pytest
from mmpretrain.registry import DATASETS

from kmcl_mm.datasets.adp import ADP_CLASSES

# As the release lists them; N.G.A has no patch and is of no level.
HEADER = ['Patch Names', *ADP_CLASSES['L3'], 'N.G.A']
PATCHES = ['001.png_crop_1.png', '001.png_crop_2.png', '002.png_crop_1.png', '002.png_crop_2.png']
CODES = [['E', 'E.M', 'E.M.S'], ['H', 'H.E', 'M'], ['N.G.A'], ['T']]


@pytest.fixture
def release(draw_images):
    """The release in small: four patches, of which one has no label of a level."""
    root = draw_images('img_res_1um_bicubic', PATCHES)
    rows = [[patch, *(int(code in codes) for code in HEADER[1:])] for patch, codes in zip(PATCHES, CODES)]
    pd.DataFrame(rows, columns=HEADER).to_csv(root / 'ADP_EncodedLabels_Release1_Flat.csv', index=False)
    (root / 'splits').mkdir()
    np.save(root / 'splits/train.npy', np.array([3, 0, 2], dtype=np.int32))
    np.save(root / 'splits/valid.npy', np.array([1], dtype=np.int32))
    np.save(root / 'splits/test.npy', np.array(['a']))
    return root


def load(root, **settings):
    return DATASETS.build(dict(type='ADP', data_root=str(root), **settings))


def names(dataset):
    classes = dataset.metainfo['classes']
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [(item['img_path'].split('/')[-1], [classes[label] for label in item['gt_label']]) for item in items]


@pytest.mark.parametrize(
    'level, number, first',
    [('L1', 9, ['E']), ('L2', 26, ['E', 'E.M']), ('L3', 33, ['E', 'E.M', 'E.M.S']), ('leaves', 22, ['E.M.S'])],
)
def test_levels(release, level, number, first):
    dataset = load(release, level=level)
    assert len(dataset.metainfo['classes']) == number
    assert names(dataset) == [(PATCHES[3], ['T']), (PATCHES[0], first)]


def test_splits_and_patches_without_a_label(release):
    assert names(load(release, split='valid')) == [(PATCHES[1], ['H', 'M'])]
    assert names(load(release, filter_empty_gt=False))[2] == (PATCHES[2], [])


def test_mistakes(release):
    with pytest.raises(ValueError, match=r'test\.npy.*row numbers'):
        load(release, split='test')
    np.save(release / 'splits/train.npy', np.array([4]))
    with pytest.raises(ValueError, match=r'in \[0, 4\).*from 4 to 4'):
        load(release)
    (release / 'splits/train.npy').write_bytes(b'\x93NUMPY')
    with pytest.raises(ValueError, match=r'train\.npy.*Use the file'):
        load(release)
    # A header that ends too early for numpy's reader of Python.
    (release / 'splits/train.npy').write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', (" + b' ' * 100 + bytes(16))
    with pytest.raises(ValueError, match=r'train\.npy.*Use the file'):
        load(release)
    with pytest.raises(ValueError, match='`level` to be one of'):
        load(release, level='L4')
    with pytest.raises(ValueError, match='`split` to be one of'):
        load(release, split='val')
    (release / 'splits/valid.npy').unlink()
    with pytest.raises(FileNotFoundError, match='valid.npy'):
        load(release, split='valid')
