"""The tool as a user calls it, and each fault on data drawn for it."""

import csv
import json
import os
import runpy
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import kmcl_mm  # noqa: F401  registers the data sets
from kmcl_mm.apps.data_check import check_dataset
from kmcl_mm.datasets import VOCMultiLabel
from tests.apps.data_check.drawn import (
    NAMES,
    SIZES,
    config_of,
    draw_labels,
    draw_scene,
    json_dataset,
    make_config,
    read_items,
    write_annotations,
    write_healthy,
    write_split,
)
from tests.conftest import ROOT


@pytest.fixture
def root(tmp_path):
    return write_healthy(tmp_path / 'data')


def run(config, *options):
    """Exit status and output of the tool."""
    result = subprocess.run(
        [sys.executable, 'tools/check_dataset.py', str(config), *map(str, options)],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
        text=True,
        capture_output=True,
    )
    return result.returncode, result.stdout, result.stderr


def findings(cfg):
    """(severity, split, message) of each finding."""
    report = check_dataset(cfg, workers=2)
    return [(finding.severity, finding.split, finding.message) for finding in report.findings]


def only_error(cfg):
    errors = [(split, message) for severity, split, message in findings(cfg) if severity == 'error']
    assert len(errors) == 1, errors
    return errors[0]


def change_labels(root, name, change):
    """Replace the labels of each image by ``change`` of them."""
    items = [dict(item, gt_label=change(item['gt_label'])) for item in read_items(root, name)]
    write_annotations(root, name, items)


def test_the_tool_on_healthy_data(root, tmp_path):
    config_of(root).dump(tmp_path / 'mine.py')
    out = tmp_path / 'out'
    status, stdout, stderr = run(tmp_path / 'mine.py', '--out-dir', out, '--workers', 2)
    assert status == 0, stdout + stderr
    lines = stdout.splitlines()
    assert lines[1].split()[:2] == ['train', '80'] and lines[2].split()[:2] == ['val', '60']
    assert '0 errors, 0 warnings' in stdout and str(out) in lines[-1]
    assert '140/140' in stderr and 'ETA' in stderr
    written = {'labels.csv', 'findings.csv', 'duplicates.csv', 'images.csv', 'label_counts.png', 'cooccurrence.png'}
    assert {path.name for path in out.iterdir()} == written
    with (out / 'labels.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['label'] for row in rows] == list(NAMES)
    for split in ('train', 'val'):
        labels = [item['gt_label'] for item in read_items(root, split)]
        assert [int(row[split]) for row in rows] == [sum(k in chosen for chosen in labels) for k in range(len(NAMES))]


def test_the_tool_on_broken_data(root, tmp_path):
    config_of(root).dump(tmp_path / 'mine.py')
    out = tmp_path / 'out'
    options = ['val_dataloader.dataset.ann_file=train.json', 'val_dataloader.dataset.data_prefix=train']
    status, stdout, _ = run(tmp_path / 'mine.py', '--out-dir', out, '--cfg-options', *options)
    assert status == 1
    *_, last_finding, _, result, _ = stdout.splitlines()
    assert last_finding.startswith('error    train, val: All 80 images of val are files of train')
    assert result.startswith('1 error, ') and 'do not train' in result
    with (out / 'findings.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]['severity'] == 'error' and rows[-1]['split'] == 'train, val'
    with (out / 'duplicates.csv').open() as file:
        assert sum(row['kind'] == 'same file' for row in csv.DictReader(file)) == 80


@pytest.mark.parametrize(
    'content, options, message',
    [
        (None, [], 'There is no configuration'),
        ('x = (', [], 'cannot be read'),
        ('x = 1', [], 'has no data set in `train_dataloader`'),
        # Found before the data are looked at.
        ('x = 1', ['--out-dir', __file__], 'labels.csv cannot be written'),
        ('x = 1', ['--workers', '0'], 'argument --workers: expected a whole number of at least 1, but got 0'),
    ],
)
def test_the_tool_called_wrongly(tmp_path, monkeypatch, capsys, content, options, message):
    if content:
        (tmp_path / 'mine.py').write_text(content)
    monkeypatch.setattr(sys, 'argv', ['check_dataset.py', str(tmp_path / 'mine.py'), *options])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / 'tools/check_dataset.py'), run_name='__main__')
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_healthy_data_gives_no_finding(root):
    assert findings(config_of(root)) == []


def test_the_same_folder_in_other_words(root):
    """A link to the folder, and another list of the same images."""
    (root / 'linked').symlink_to(root / 'train')
    shutil.copy(root / 'train.json', root / 'linked.json')
    cfg = make_config(json_dataset(root, 'train'), json_dataset(root, 'linked'))
    split, message = only_error(cfg)
    assert split == 'train, val' and 'All 80 images of val are files of train' in message


def test_a_test_set_that_is_the_validation_set_is_no_fault(root):
    other_words = json_dataset(root, 'val', test_mode=True)
    cfg = make_config(json_dataset(root, 'train'), json_dataset(root, 'val'), test=other_words)
    report = check_dataset(cfg, workers=1)
    assert [split.name for split in report.splits] == ['train', 'val'] and report.findings == []


def test_a_test_set_with_images_of_the_validation_set_is_a_warning(root):
    write_split(root, 'test', draw_labels(60, seed=2), seed=1030)
    cfg = make_config(*(json_dataset(root, name) for name in ('train', 'val', 'test')))
    ((severity, split, message),) = findings(cfg)
    assert (severity, split) == ('warning', 'val, test') and '30 of 60 images of test (50.0%)' in message


@pytest.mark.parametrize('split, shift, reported', [('val', 1, '+1'), ('val', -1, '-1'), ('train', 1, '-1')])
def test_labels_shifted_around(root, split, shift, reported):
    change_labels(root, split, lambda labels: [(label + shift) % len(NAMES) for label in labels])
    where, message = only_error(config_of(root))
    assert where == 'train, val' and f'labels of val look shifted by {reported}' in message


def test_labels_shifted_that_fall_off_at_the_end(root):
    change_labels(root, 'val', lambda labels: [label + 1 for label in labels if label + 1 < len(NAMES)])
    found = findings(config_of(root))
    assert [severity for severity, _, _ in found] == ['warning', 'error']
    assert '1 of 6 labels never occur: person' in found[0][2] and 'shifted by +1' in found[1][2]


def test_a_category_id_that_the_file_does_not_list(tmp_path):
    root = write_coco(tmp_path)
    content = json.loads((root / 'val.json').read_text())
    for box in content['annotations']:
        box['category_id'] += 1
    (root / 'val.json').write_text(json.dumps(content))
    split, message = only_error(coco_config(root))
    assert split == 'val' and '`category_id`' in message and 'shifted' in message


def test_one_based_labels(root):
    change_labels(root, 'val', lambda labels: [label + 1 for label in labels])
    errors = [message for severity, _, message in findings(config_of(root)) if severity == 'error']
    assert 'outside 0 .. 5, such as 6' in errors[0] and 'one-based' in errors[0] and 'Subtract 1' in errors[0]
    assert 'shifted by +1' in errors[1]


def test_one_based_labels_with_room_made_for_them(root):
    for name in ('train', 'val'):
        change_labels(root, name, lambda labels: [label + 1 for label in labels])
        write_annotations(root, name, read_items(root, name), classes=None)
    found = findings(config_of(root, model=dict(head=dict(num_classes=7))))
    assert all(severity == 'warning' for severity, _, _ in found)
    assert any('one-based' in message and 'label 0' in message for _, _, message in found)


def test_a_label_out_of_range_that_is_not_one_based(root):
    items = read_items(root, 'train')
    items[0]['gt_label'] = [0, 17]
    write_annotations(root, 'train', items)
    split, message = only_error(config_of(root))
    assert split == 'train' and '1 of 80 images' in message and 'such as 17' in message and 'one-based' not in message


def test_annotations_of_another_year_with_other_names(root):
    items = [dict(item, img_path=f'2012_{item["img_path"]}') for item in read_items(root, 'val')]
    write_annotations(root, 'val', items)
    cfg = make_config(json_dataset(root, 'train'), json_dataset(root, 'val', type='JSONMultiLabel'))
    split, message = only_error(cfg)
    assert split == 'val' and '60 of them are missing' in message and 'another year' in message


def test_annotations_of_another_year_with_the_same_names_coco(tmp_path):
    root = write_coco(tmp_path)
    assert findings(coco_config(root)) == []
    content = json.loads((root / 'val.json').read_text())
    sizes = [(image['width'], image['height']) for image in content['images']]
    for image, (width, height) in zip(content['images'], sizes[1:] + sizes[:1]):
        image.update(width=width, height=height)
    (root / 'val.json').write_text(json.dumps(content))
    split, message = only_error(coco_config(root))
    assert split == 'val' and '55 of 55 images have another shape' in message and 'another year' in message


def test_annotations_of_another_year_with_the_same_names_voc(tmp_path):
    root = write_voc(tmp_path, annotated=lambda number: SIZES[number % 3])
    assert findings(voc_config(root)) == []
    shutil.rmtree(root)
    root = write_voc(tmp_path, annotated=lambda number: SIZES[(number + 1) % 3])
    errors = [message for severity, _, message in findings(voc_config(root)) if severity == 'error']
    assert len(errors) == 2 and all('another year' in message for message in errors)


def test_images_squashed_to_one_size_are_a_warning(tmp_path):
    root = write_coco(tmp_path)
    for path in (root / 'val').iterdir():
        Image.open(path).resize((64, 64)).save(path)
    ((severity, split, message),) = findings(coco_config(root))
    assert (severity, split) == ('warning', 'val') and '64 x 64' in message and 'squashed' in message


def test_unreadable_images(root, tmp_path):
    folder = root / 'val'
    content = (folder / '003.jpg').read_bytes()
    (folder / '003.jpg').write_bytes(content[: len(content) // 2])
    (folder / '004.jpg').write_bytes(b'')
    (folder / '005.jpg').unlink()
    split, message = only_error(config_of(root))
    assert split == 'val' and '3 of 60 images cannot be read' in message and '003.jpg' in message


def test_odd_images_are_a_warning(root):
    Image.fromarray(draw_scene(5007, 20, 20)).save(root / 'val/007.jpg')
    Image.fromarray(draw_scene(5008)).convert('CMYK').save(root / 'val/008.jpg')
    ((severity, _, message),) = findings(config_of(root))
    assert severity == 'warning' and '2 of 60 images are odd' in message
    assert '1 smaller than 32 pixels' in message and '1 colour mode CMYK' in message


def test_few_copies_are_a_warning_and_more_an_error(tmp_path):
    root = tmp_path
    write_split(root, 'train', draw_labels(30, seed=0), seed=0)
    write_split(root, 'val', draw_labels(200, seed=1), seed=1000)
    for number in range(2):
        Image.open(root / f'train/{number:03}.jpg').resize((64, 48)).save(root / f'val/{number:03}.jpg', quality=40)
    ((severity, split, message),) = findings(config_of(root))
    assert (severity, split) == ('warning', 'train, val') and '2 of 200 images of val (1.0%)' in message
    shutil.copy(root / 'train/002.jpg', root / 'val/002.jpg')
    _, message = only_error(config_of(root))
    assert '3 of 200' in message and '2 the same picture, 1 the same bytes' in message


def test_an_image_twice_in_a_split_with_other_labels(root):
    change_labels(root, 'train', lambda labels: labels)
    items = read_items(root, 'train')
    shutil.copy(root / 'train/000.jpg', root / 'train/001.jpg')
    items[0]['gt_label'], items[1]['gt_label'] = [0], [1]
    write_annotations(root, 'train', items)
    ((severity, split, message),) = findings(config_of(root))
    assert (severity, split) == ('warning', 'train') and '1 of them with other labels' in message


def test_another_number_of_outputs(root):
    cfg = config_of(root)
    cfg.model = dict(head=dict(num_classes=80))
    split, message = only_error(cfg)
    assert '`num_classes` of `model.head` is 80' in message and 'Set it to 6' in message


def test_patients_on_two_sides(tmp_path):
    labels = [draw_labels(20, seed=0), draw_labels(20, seed=1)]
    write_split(tmp_path, 'train', labels[0], seed=0, patient_id=[f'P{number // 2}' for number in range(20)])
    write_split(tmp_path, 'val', labels[1], seed=1000, patient_id=[f'P{9 + number // 2}' for number in range(20)])
    split, message = only_error(config_of(tmp_path))
    assert split == 'train, val' and message.startswith('1 patients are in both') and '2 of 20 images of val' in message
    write_annotations(tmp_path, 'val', [dict(item, patient_id='') for item in read_items(tmp_path, 'val')])
    write_annotations(tmp_path, 'train', [dict(item, patient_id='') for item in read_items(tmp_path, 'train')])
    assert not findings(config_of(tmp_path))
    write_annotations(tmp_path, 'val', [dict(item, patient_id=None) for item in read_items(tmp_path, 'val')])
    ((severity, split, message),) = findings(config_of(tmp_path))
    assert (severity, split) == ('warning', 'val') and 'was not checked' in message


def test_labels_that_never_occur(root):
    change_labels(root, 'train', lambda labels: [label for label in labels if label != 5])
    split, message = only_error(config_of(root))
    assert split == 'train' and '1 of 6 labels never occur' in message and 'cow' in message
    change_labels(root, 'val', lambda labels: [label for label in labels if label != 5])
    assert [(severity, split) for severity, split, _ in findings(config_of(root))] == [
        ('warning', 'train'),
        ('warning', 'val'),
    ]


@pytest.mark.parametrize(
    'classes, message',
    [
        (('person', 'car', 'dog', 'cat', 'boat', 'ox'), 'only in train cow; only in val ox'),
        (('car', 'person', 'dog', 'cat', 'boat', 'cow'), 'another order; label 0 is person in train and car in val'),
    ],
)
def test_class_names_that_differ(root, classes, message):
    write_annotations(root, 'val', read_items(root, 'val'), classes=classes)
    split, text = only_error(config_of(root))
    assert split == 'train, val' and message in text


def test_a_class_name_twice(root):
    for name in ('train', 'val'):
        write_annotations(root, name, read_items(root, name), classes=(*NAMES[:5], 'person'))
    errors = [(split, message) for severity, split, message in findings(config_of(root)) if severity == 'error']
    assert [split for split, _ in errors] == ['train', 'val'] and 'person' in errors[0][1]


def test_mostly_images_without_a_label(root):
    for name in ('train', 'val'):
        items = read_items(root, name)
        for item in items[len(items) * 2 // 5 :]:
            item['gt_label'] = []
        write_annotations(root, name, items)
    empty = sum(not item['gt_label'] for item in read_items(root, 'train'))
    found = findings(config_of(root))
    assert [(severity, split) for severity, split, _ in found] == [('warning', 'train'), ('warning', 'val')]
    assert f'{empty} of 80 images have no label' in found[0][2] and empty > 40


def test_a_split_that_cannot_be_built_leaves_the_others(root):
    (root / 'val/000.jpg').write_bytes(b'')
    cfg = make_config(json_dataset(root, 'train', type='NoSuchDataset'), json_dataset(root, 'val'))
    errors = {split: message for severity, split, message in findings(cfg) if severity == 'error'}
    assert errors.keys() == {'train', 'val'}
    assert 'cannot be built' in errors['train'] and '1 of 60 images cannot be read' in errors['val']


def test_images_that_are_drawn_have_no_files():
    pytest.importorskip('sklearn')
    scenes = [dict(type='DigitScenes', split=split, num_scenes=200) for split in ('train', 'test')]
    report = check_dataset(make_config(*scenes), workers=1)
    assert report.findings == [] and report.facts == {} and report.splits[0].paths == []


def test_real_voc(shared_data):
    """A part of PASCAL VOC 2007: nothing wrong with it, and no image of it on two sides."""
    root = str(shared_data / 'voc2007')
    cfg = make_config(
        dict(type='VOCMultiLabel', data_root=root, split='trainval', fraction=0.1),
        dict(type='VOCMultiLabel', data_root=root, split='test', test_mode=True, fraction=0.1),
    )
    report = check_dataset(cfg, workers=2)
    assert report.num_errors == 0 and not any(report.copies.values())


def write_coco(root):
    """Two splits in COCO's format, annotated at twice the size."""
    for name, number, seed in (('train', 80, 0), ('val', 60, 1)):
        labels = draw_labels(number, seed)
        write_split(root, name, labels, seed=1000 * seed)
        content = dict(
            images=[image_entry(index) for index in range(number)],
            categories=[dict(id=index + 1, name=label) for index, label in enumerate(NAMES)],
            annotations=[
                dict(id=1, image_id=index, category_id=label + 1, iscrowd=0, bbox=[0, 0, 1, 1])
                for index, chosen in enumerate(labels)
                for label in chosen
            ],
        )
        (root / f'{name}.json').write_text(json.dumps(content))
    return root


def image_entry(index):
    width, height = SIZES[index % 3]
    return dict(id=index, file_name=f'{index:03}.jpg', width=2 * width, height=2 * height)


def coco_config(root):
    return make_config(
        *(json_dataset(root, name, type='CocoMultiLabel', metainfo=dict(classes=NAMES)) for name in ('train', 'val'))
    )


def write_voc(folder, annotated):
    """Two splits in the layout of PASCAL VOC, of its labels 14 (person) and others."""
    root = folder / 'VOC'
    for name in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (root / name).mkdir(parents=True)
    labels = draw_labels(60, seed=0)
    names = [f'{index:06}' for index in range(60)]
    for index, (name, chosen) in enumerate(zip(names, labels)):
        Image.fromarray(draw_scene(index, *SIZES[index % 3])).save(root / f'JPEGImages/{name}.jpg')
        width, height = annotated(index)
        objects = ''.join(f'<object><name>{VOC_NAMES[label]}</name></object>' for label in chosen)
        size = f'<size><width>{width}</width><height>{height}</height><depth>3</depth></size>'
        (root / f'Annotations/{name}.xml').write_text(f'<annotation>{size}{objects}</annotation>')
    (root / 'ImageSets/Main/trainval.txt').write_text('\n'.join(names[:30]))
    (root / 'ImageSets/Main/test.txt').write_text('\n'.join(names[30:]))
    return root


VOC_NAMES = VOCMultiLabel.METAINFO['classes'][: len(NAMES)]


def voc_config(root):
    splits = [dict(split='trainval'), dict(split='test', test_mode=True)]
    metainfo = dict(classes=VOC_NAMES)
    return make_config(
        *(dict(type='VOCMultiLabel', data_root=str(root), metainfo=metainfo, **split) for split in splits)
    )


def test_images_that_reach_the_network_without_contrast(root):
    """As radiographs are exported; with the window that the message names nothing is wrong."""
    for number, path in enumerate(sorted((root / 'train').iterdir())):
        Image.fromarray(draw_scene(number)[..., 0].astype(np.uint16) * 16).save(path, 'PNG')
    split, message = only_error(config_of(root))
    assert split == 'train' and '80 of 80 images have more than 8 bits' in message and 'window=(0, 4095)' in message
    windowed = json_dataset(root, 'train', pipeline=[dict(type='LoadCheckedImage', window=(0, 4095))])
    assert not [found for found in findings(make_config(windowed, json_dataset(root, 'val'))) if found[0] == 'error']
