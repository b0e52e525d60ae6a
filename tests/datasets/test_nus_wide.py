import pytest
from mmpretrain.registry import DATASETS

TABLE = """filepath,label,split_name
images/1_a.jpg,"['clouds', 'sky']",train
images/2_b.jpg,['zebra'],val
images/3_c.jpg,['airport'],train
"""


@pytest.fixture
def release(draw_images):
    root = draw_images('images', ['1_a.jpg', '2_b.jpg', '3_c.jpg'])
    (root / 'nus_wid_data.csv').write_text(TABLE)
    return root


def load(root, **settings):
    return DATASETS.build(dict(type='NUSWide', data_root=str(root), **settings))


def test_the_table(release):
    dataset = load(release)
    classes = dataset.metainfo['classes']
    assert len(classes) == 81 and list(classes) == sorted(set(classes))
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [[classes[label] for label in item['gt_label']] for item in items] == [['clouds', 'sky'], ['airport']]
    assert items[0]['img_path'] == str(release / 'images/1_a.jpg')
    assert load(release, split='val').get_data_info(0)['gt_label'] == [80]


def test_mistakes(release):
    with pytest.raises(ValueError, match=r"`split`.*'train', 'val'.*'test'"):
        load(release, split='test')
    (release / 'nus_wid_data.csv').write_text(TABLE.replace('zebra', 'horse'))
    with pytest.raises(ValueError, match="'horse'"):
        load(release, split='val')
