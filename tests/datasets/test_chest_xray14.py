import cv2
import pandas as pd
import pytest
from mmpretrain.registry import DATASETS

from kmcl_mm.datasets.chest_xray14 import CHEST_XRAY14_CLASSES

IMAGES = ['00000001_000.png', '00000001_001.png', '00000002_000.png', '00000003_000.png', '00000004_000.png']
FINDINGS = ['Cardiomegaly|Emphysema', 'Hernia', 'No Finding', 'Mass', 'Pleural_Thickening']
HEADER = 'Image Index,Finding Labels,Follow-up #,Patient ID,OriginalImage[Width,Height],Pixel spacing[x,y],\n'


@pytest.fixture
def release(draw_images):
    """NIH's layout in small: five images of four patients."""
    root = draw_images('images', IMAGES, mode='L')
    rows = [f'{name},{findings},0,{int(name[:8])},1,1,1,1,\n' for name, findings in zip(IMAGES, FINDINGS)]
    (root / 'Data_Entry_2017_v2020.csv').write_text(HEADER + ''.join(rows))
    (root / 'train_val_list.txt').write_text('\n'.join(IMAGES[:3]))
    (root / 'test_list.txt').write_text('\n'.join(IMAGES[3:]) + '\n')
    return root


def load(root, **settings):
    return DATASETS.build(dict(type='ChestXray14', data_root=str(root), **settings))


def findings(dataset):
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [[CHEST_XRAY14_CLASSES[label] for label in item['gt_label']] for item in items]


def test_the_release(release):
    dataset = load(release)
    assert findings(dataset) == [['Cardiomegaly', 'Emphysema'], ['Hernia']]
    assert [dataset.get_data_info(index)['patient_id'] for index in range(2)] == ['1', '1']
    assert findings(load(release, split='test')) == [['Mass'], ['Pleural_Thickening']]
    assert findings(load(release, filter_empty_gt=False)) == [['Cardiomegaly', 'Emphysema'], ['Hernia'], []]


def test_the_first_part_of_the_rows_with_a_finding(release):
    assert findings(load(release, first_fraction=0.5)) == [['Cardiomegaly', 'Emphysema']]
    with pytest.raises(ValueError, match='`first_fraction` to be in'):
        load(release, first_fraction=0)


def test_grey_images_are_loaded_with_three_channels(release):
    dataset = load(release, pipeline=[dict(type='LoadCheckedImage')])
    item = dataset[0]
    assert item['img'].shape == (8, 12, 3)
    grey = cv2.imread(item['img_path'], cv2.IMREAD_UNCHANGED)
    assert grey.ndim == 2 and (item['img'] == grey[..., None]).all()


@pytest.fixture
def release_in_brackets(release):
    """The same in a folder whose name a pattern would misread."""
    folder = release / 'data[1]*'
    folder.mkdir()
    for path in [path for path in release.iterdir() if path != folder]:
        path.rename(folder / path.name)
    return folder


def test_a_folder_with_brackets(release_in_brackets):
    root = release_in_brackets
    assert findings(load(root)) == [['Cardiomegaly', 'Emphysema'], ['Hernia']]
    (root / 'labels').mkdir()
    (root / 'Data_Entry_2017_v2020.csv').rename(root / 'labels/table[2].csv')
    (root / 'labels/table2.csv').write_text('another file')
    for ann_file in ('labels/table[2].csv', 'labels/t*].csv', str(root / 'labels/t*].csv')):
        assert findings(load(root, split='test', ann_file=ann_file)) == [['Mass'], ['Pleural_Thickening']]


def test_archives_in_a_folder_with_brackets(release_in_brackets):
    root = release_in_brackets
    (root / 'images_001').mkdir()
    (root / 'images').rename(root / 'images_001/images')
    assert load(root)[0]['img_path'] == str(root / 'images_001/images' / IMAGES[0])


def test_the_folders_of_the_archives(release):
    (release / 'images').rename(release / 'rest')
    for number, names in ((1, IMAGES[:2]), (2, IMAGES[2:])):
        folder = release / f'images_00{number}/images'
        folder.mkdir(parents=True)
        for name in names:
            (release / 'rest' / name).rename(folder / name)
    assert [load(release).get_data_info(i)['img_path'].split('/')[-3] for i in range(2)] == ['images_001', 'images_001']
    assert load(release, split='test').get_data_info(0)['img_path'].split('/')[-3] == 'images_002'


def test_a_patient_on_both_sides(release):
    (release / 'test_list.txt').write_text('\n'.join([IMAGES[1], *IMAGES[3:]]))
    with pytest.raises(ValueError, match=r"no patient both in.*1 are, such as '1'"):
        load(release)


def test_a_list_of_another_release(release):
    (release / 'train_val_list.txt').write_text('00000009_000.png')
    with pytest.raises(ValueError, match='train_val_list.txt.*1 are not'):
        load(release)
    (release / 'train_val_list.txt').unlink()
    with pytest.raises(FileNotFoundError, match='train_val_list.txt'):
        load(release)


def test_two_tables(release):
    (release / 'Data_Entry_2017.csv').write_text(HEADER)
    with pytest.raises(ValueError, match=r'match one file.*2017\.csv.*2017_v2020\.csv.*`ann_file`'):
        load(release)
    with pytest.raises(ValueError, match='`split` to be one of'):
        load(release, split='val')


def test_a_table_of_zeros_and_ones_for_each_split(release):
    target = [[int(name in cell.split('|')) for name in CHEST_XRAY14_CLASSES] for cell in FINDINGS]
    frame = pd.DataFrame(target, columns=CHEST_XRAY14_CLASSES)
    frame.insert(0, 'path', IMAGES)
    frame.to_csv(release / 'train.csv', index=False)
    dataset = load(release, split=None, ann_file='train.csv')
    assert findings(dataset) == [cell.split('|') for cell in FINDINGS if cell != 'No Finding']
    frame.rename(columns=dict(Mass='mass')).to_csv(release / 'train.csv', index=False)
    with pytest.raises(ValueError, match=r"'Mass' are not among"):
        load(release, split=None, ann_file='train.csv')


def test_a_list_that_is_no_text(release):
    (release / 'train_val_list.txt').write_bytes(b'\xff\xfe0')
    with pytest.raises(ValueError, match='train_val_list.txt to be text in UTF-8, but it is not'):
        load(release)
