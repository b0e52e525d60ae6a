import copy

import pytest
import torch
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import DataLoader

from kmcl_mm.apps.calibration.loaders import (
    ReadableImages,
    Unreadable,
    check_apart,
    collate_readable,
    evaluation_loader,
    training_loader,
)
from kmcl_mm.apps.inference.preprocessing import Preprocessing
from tests.apps.inference.conftest import LABELS

READABLE = [f'{number:02d}.jpg' for number in range(12) if number != 5]


def items_of(loader):
    """Inputs and targets by the images' names, and the skipped ones; each batch as the model gets it."""
    inputs, samples, skipped = [], [], []
    for batch in loader:
        skipped += batch['skipped']
        inputs += batch.get('inputs', [])
        samples += batch.get('data_samples', [])
    assert len(inputs) == len(samples)
    return inputs, samples, skipped


def name_of(sample):
    return sample.img_path.rpartition('/')[2]


@pytest.fixture
def wrapped(cfg):
    """The configuration with the training images in wrappers, which show them more than once."""
    plain = cfg.train_dataloader.dataset

    def wrap(*wrappers):
        dataset = plain
        for wrapper in wrappers:
            dataset = dict(wrapper, dataset=dataset)
        cfg.train_dataloader.dataset = dataset
        return cfg

    return wrap


@pytest.mark.parametrize(
    'wrappers',
    [
        [],
        [dict(type='RepeatDataset', times=3)],
        [dict(type='ClassBalancedMultiLabel', oversample_thr=0.9)],
        [dict(type='ClassBalancedMultiLabel', oversample_thr=0.9), dict(type='RepeatDataset', times=2)],
    ],
)
def test_each_training_image_once(wrapped, checkpoint, wrappers):
    cfg = wrapped(*wrappers)
    loader = training_loader(cfg, checkpoint, 'some.pth')
    inputs, samples, skipped = items_of(loader)
    assert [name_of(sample) for sample in samples] == READABLE
    assert [image.number for image in skipped] == [5]
    assert loader.dataset.names == [f'{number:02d}.jpg' for number in range(12)]
    assert loader.dataset.metainfo['classes'] == LABELS


def test_each_image_of_joined_data_sets_once(cfg, checkpoint):
    plain = cfg.train_dataloader.dataset.to_dict()
    one = dict(type='RepeatDataset', times=2, dataset=dict(plain, indices=4))
    other = copy.deepcopy(cfg.val_dataloader.dataset.to_dict())
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[one, other])
    loader = training_loader(cfg, checkpoint, 'some.pth')
    _, samples, _ = items_of(loader)
    assert [name_of(sample) for sample in samples] == READABLE[:4] + [f'v{number}.jpg' for number in range(6)]
    assert [name.rpartition('/')[2] for name in loader.dataset.names] == [name_of(sample) for sample in samples]


def test_they_are_prepared_as_the_test_pipeline_does(cfg, checkpoint):
    """And not with the augmentation of the training, nor in its order."""
    inputs, samples, _ = items_of(training_loader(cfg, checkpoint, 'some.pth'))
    prepare = Preprocessing(cfg)
    for pixels, sample in zip(inputs, samples):
        assert torch.equal(pixels, prepare(sample.img_path)['inputs'])
    labels = {name_of(sample): sample.gt_label.tolist() for sample in samples}
    assert labels == {name: [*range(int(name[:2]) % 4)] for name in READABLE}
    again, _, _ = items_of(training_loader(cfg, checkpoint, 'some.pth'))
    assert all(map(torch.equal, inputs, again))


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('batch_size', [1, 5, 100])
def test_the_batches_of_the_test_loader(cfg, checkpoint, batch_size, workers):
    """Also with its collate function, which stacks images; a batch of one image may be of none."""
    cfg.test_dataloader.update(
        batch_size=batch_size, num_workers=workers, drop_last=True, collate_fn=dict(type='default_collate')
    )
    cfg.test_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    loader = training_loader(cfg, checkpoint, 'some.pth')
    _, samples, skipped = items_of(loader)
    assert len(loader) == -(-12 // batch_size)
    assert [name_of(sample) for sample in samples] == READABLE and len(skipped) == 1
    images = evaluation_loader(cfg, 'test_dataloader', checkpoint, 'some.pth')
    found = [name_of(sample) for batch in images for sample in batch['data_samples']]
    assert found == [f'v{number}.jpg' for number in range(6)]
    # The configuration is still the user's.
    assert cfg.test_dataloader.drop_last and cfg.test_dataloader.sampler.shuffle


def test_few_images_are_drawn_with_a_fixed_seed(cfg, checkpoint):
    drawn = [training_loader(cfg, checkpoint, 'some.pth', 7).dataset for _ in range(2)]
    assert drawn[0].names == drawn[1].names == sorted(drawn[0].names)
    assert len(drawn[0]) == 7 and len(set(drawn[0].names)) == 7
    assert drawn[0].names != READABLE[:7]
    for number, name in enumerate(drawn[0].names):
        assert drawn[0].get_data_info(number)['img_path'].endswith(f'/{name}')
    for most in (12, 13, None):
        assert len(training_loader(cfg, checkpoint, 'some.pth', most).dataset) == 12


def test_an_image_that_cannot_be_read_is_named(cfg, checkpoint):
    loader = training_loader(cfg, checkpoint, 'some.pth')
    _, _, (broken,) = items_of(loader)
    assert broken.source.endswith('images/05.jpg') and 'the end of the file is missing' in broken.reason
    # Its number is that among the images that are taken.
    dataset = ReadableImages(loader.dataset._dataset, [9, 5, 2])
    assert dataset.names == ['09.jpg', '05.jpg', '02.jpg']
    assert dataset[1].number == 1 and dataset[1].source == broken.source
    assert name_of(dataset[2]['data_samples']) == '02.jpg'


def test_no_other_image_takes_the_place_of_one_that_cannot_be_read(cfg, checkpoint):
    """MMEngine draws another one where a transform gives none."""
    cfg.test_dataloader.dataset.pipeline[0].ignore_empty = True
    _, samples, skipped = items_of(training_loader(cfg, checkpoint, 'some.pth'))
    assert [name_of(sample) for sample in samples] == READABLE
    (dropped,) = skipped
    assert dropped.source.endswith('05.jpg') and dropped.reason == 'the pipeline drops it'


def test_a_storage_that_does_not_answer_ends_it(cfg, checkpoint, monkeypatch):
    def fail(*_):
        raise ConnectionResetError(104, 'Connection reset by peer')

    loader = training_loader(cfg, checkpoint, 'some.pth')
    monkeypatch.setattr(TRANSFORMS.get('LoadCheckedImage'), '_read', fail)
    with pytest.raises(ConnectionResetError):
        items_of(loader)


def test_images_that_are_in_no_file(cfg, checkpoint):
    class Drawn:
        metainfo = dict(classes=LABELS)

        def __len__(self):
            return 3

        def get_data_info(self, place):
            return {}

        def __getitem__(self, place):
            raise ValueError(f'no number {place}')

    dataset = ReadableImages(Drawn())
    assert dataset.names == ['image 0', 'image 1', 'image 2']
    assert dataset[2] == Unreadable(2, 'image 2', 'no number 2')
    (batch,) = DataLoader(dataset, batch_size=3, collate_fn=collate_readable)
    assert batch == dict(skipped=[dataset[0], dataset[1], dataset[2]])


def test_labels_in_another_order_are_refused(cfg, checkpoint):
    training = copy.deepcopy(cfg)
    training.train_dataloader.dataset.metainfo.classes = LABELS[::-1]
    with pytest.raises(ValueError, match='some.pth was trained for the labels.*in another order'):
        training_loader(training, checkpoint, 'some.pth')
    cfg.val_dataloader.dataset.metainfo.classes = LABELS[::-1]
    with pytest.raises(ValueError, match='some.pth was trained for the labels.*in another order'):
        evaluation_loader(cfg, 'val_dataloader', checkpoint, 'some.pth')


def test_without_training_images(cfg, checkpoint):
    for settings in (dict(), dict(train_dataloader=None), dict(train_dataloader=dict(batch_size=4))):
        cfg.pop('train_dataloader', None)
        cfg.update(settings)
        with pytest.raises(ValueError, match='no train_dataloader.dataset'):
            training_loader(cfg, checkpoint, 'some.pth')


def test_wrappers_that_do_not_fit(wrapped, checkpoint):
    cfg = wrapped(dict(type='RepeatDataset', times=2), dict(type='ClassBalancedDataset', oversample_thr=0.5))
    with pytest.raises(ValueError, match='ClassBalancedMultiLabel'):
        training_loader(cfg, checkpoint, 'some.pth')


def test_images_that_would_vote_on_themselves_are_refused(cfg, checkpoint):
    training, validation = (
        training_loader(cfg, checkpoint, 'some.pth'),
        evaluation_loader(cfg, 'val_dataloader', checkpoint, 'some.pth'),
    )
    check_apart(training, validation, 'val_dataloader', 'training images')
    # The last three rows of the training table are for validation too.
    shared = dict(cfg.train_dataloader.dataset.to_dict(), indices=[9, 10, 11])
    joined = [shared, cfg.val_dataloader.dataset.to_dict()]
    cfg.val_dataloader.dataset = dict(type='ConcatDataset', datasets=joined)
    validation = evaluation_loader(cfg, 'val_dataloader', checkpoint, 'some.pth')
    with pytest.raises(ValueError, match='3 of 9 images of val_dataloader are training images'):
        check_apart(training, validation, 'val_dataloader', 'training images')


@pytest.mark.parametrize('settings', [dict(), dict(val_dataloader=None), dict(val_dataloader=dict(batch_size=4))])
def test_without_validation_images(cfg, checkpoint, settings):
    cfg.pop('val_dataloader')
    cfg.update(settings)
    with pytest.raises(ValueError, match='no val_dataloader.dataset'):
        evaluation_loader(cfg, 'val_dataloader', checkpoint, 'some.pth')
