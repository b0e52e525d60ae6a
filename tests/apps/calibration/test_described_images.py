import copy

import numpy as np
import pytest
import torch
from mmpretrain.apis import get_model

from kmcl_mm.apps.calibration.described_images import describe
from kmcl_mm.apps.calibration.loaders import evaluation_loader, training_loader
from kmcl_mm.apps.inference.preprocessing import Preprocessing
from tests.apps.calibration.drawn import drawn_images

READABLE = [f'{number:02d}.jpg' for number in range(12) if number != 5]


@pytest.fixture
def described(cfg, classifier, checkpoint):
    return describe(classifier, training_loader(cfg, checkpoint, 'some.pth'))


@torch.inference_mode()
def by_itself(model, cfg, path):
    """Features, embedding and logits (1, D) of an image, layer by layer."""
    pixels = Preprocessing(cfg)(path)['inputs']
    mean, std = (torch.tensor(cfg.data_preprocessor[name]).view(3, 1, 1) for name in ('mean', 'std'))
    # The file is in BGR.
    features = model.neck(model.backbone(((pixels[[2, 1, 0]] - mean) / std).unsqueeze(0)))
    return features[-1], model.head.pre_logits(features), model.head.mixture(features).logits


def test_descriptions_and_logits_are_the_models_own(cfg, classifier, described):
    images, _ = described
    root = cfg.train_dataloader.dataset.data_root
    assert len(images) == 11 and [tuple(part.shape) for part in images.descriptions] == [(11, 96), (11, 128)]
    for place, name in enumerate(images.names):
        expected = by_itself(classifier, cfg, f'{root}/images/{name}')
        for found, of_image in zip((*images.descriptions, images.logits), expected):
            assert torch.allclose(found[place], of_image[0], rtol=1e-4, atol=1e-4)
    assert images.descriptions[0].std(dim=0).max() > 0.1


def test_names_of_the_others_stay_right_where_an_image_cannot_be_read(described):
    images, skipped = described
    assert images.names == READABLE
    assert images.target.tolist() == [[int(label < int(name[:2]) % 4) for label in range(3)] for name in READABLE]
    (broken,) = skipped
    assert (broken.number, broken.source[-6:]) == (5, '05.jpg')


@pytest.mark.parametrize('batch_size', [1, 12])
def test_batches_change_nothing(cfg, classifier, checkpoint, described, batch_size):
    """The broken image is a batch by itself, or in one with all others."""
    cfg.test_dataloader.batch_size = batch_size
    images, skipped = describe(classifier, training_loader(cfg, checkpoint, 'some.pth'))
    assert images.names == described[0].names and len(skipped) == 1
    assert torch.allclose(images.logits, described[0].logits, atol=1e-4)


def test_few_images_are_drawn(cfg, classifier, checkpoint, described):
    """The broken image is among them."""
    loader = training_loader(cfg, checkpoint, 'some.pth', 7)
    images, (broken,) = describe(classifier, loader)
    assert loader.dataset.names[broken.number] == '05.jpg'
    assert images.names == [name for name in loader.dataset.names if name != '05.jpg'] and len(images) == 6
    places = [described[0].names.index(name) for name in images.names]
    assert torch.allclose(images.logits, described[0].logits[places], atol=1e-4)
    assert images.target.equal(described[0].target[places])


def test_patients_and_unknown_labels(cfg, classifier, checkpoint):
    images, skipped = describe(classifier, evaluation_loader(cfg, 'val_dataloader', checkpoint, 'some.pth'))
    assert skipped == [] and images.names == [f'v{number}.jpg' for number in range(6)]
    expected = [[1, 0, 0], [1, 1, -1], [0, 0, 0], [0, -1, 1], [1, 1, 1], [0, 1, 0]]
    assert images.target.tolist() == images.target_at_thresholds.tolist() == expected
    one, same, other, same_other, *alone = images.patients
    # The last one has no patient, and is not of the one before.
    assert one == same != other == same_other and len({one, other, *alone}) == 4


def test_difficult_labels_are_unknown_but_absent_at_thresholds(cfg, classifier, checkpoint):
    loader = evaluation_loader(cfg, 'val_dataloader', checkpoint, 'some.pth')
    dataset = loader.dataset
    load = type(dataset).prepare_data

    def with_difficult(place):
        item = load(dataset, place)
        item['data_samples'].set_field([1, 2], 'gt_label_difficult')
        return item

    dataset.prepare_data = with_difficult
    images, _ = describe(classifier, loader)
    # A label that is present as well stays so.
    assert images.target[:2].tolist() == [[1, -1, -1], [1, 1, -1]]
    assert images.target_at_thresholds[:2].tolist() == [[1, 0, 0], [1, 1, 0]]


def test_a_head_without_an_embedding(cfg, checkpoint):
    """Its logits are the second description."""
    cfg.model.head = dict(type='MultiLabelLinearClsHead', num_classes=3, in_channels=96)
    model = get_model(cfg).eval()
    images, _ = describe(model, evaluation_loader(cfg, 'val_dataloader', checkpoint, 'some.pth'))
    first, second = images.descriptions
    assert first.shape == (6, 96) and second.equal(images.logits)
    with torch.inference_mode():
        assert torch.allclose(model.head.fc(first), images.logits, atol=1e-5)


def test_features_that_are_not_pooled_are_refused(cfg, checkpoint):
    cfg.model.neck = None
    cfg.model.head = dict(type='MultiLabelLinearClsHead', num_classes=3, in_channels=2)
    model = get_model(cfg).eval()
    with pytest.raises(ValueError, match='pooled features'):
        describe(model, evaluation_loader(cfg, 'val_dataloader', checkpoint, 'some.pth'))


def test_the_model_stays_as_it_was(cfg, classifier, checkpoint):
    weights = copy.deepcopy(classifier.state_dict())
    hooks = len(classifier.head._forward_hooks)
    describe(classifier, evaluation_loader(cfg, 'val_dataloader', checkpoint, 'some.pth'))
    assert len(classifier.head._forward_hooks) == hooks
    assert all(tensor.equal(weights[name]) for name, tensor in classifier.state_dict().items())


def test_nothing_can_be_read(cfg, classifier, checkpoint):
    cfg.train_dataloader.dataset.indices = [5]
    with pytest.raises(ValueError, match=r'None of the images can be read. The first, .*05.jpg: .*end of the file'):
        describe(classifier, training_loader(cfg, checkpoint, 'some.pth'))


def test_some_of_the_images(described):
    images, _ = described
    chosen = images.chosen(np.array([7, 2]))
    assert chosen.names == [READABLE[7], READABLE[2]] and chosen.logits.equal(images.logits[[7, 2]])
    assert [part.shape[0] for part in (*chosen.descriptions, chosen.target, chosen.target_at_thresholds)] == [2] * 4
    assert chosen.patients == [images.patients[7], images.patients[2]]


def test_drawn_images_keep_their_order():
    images = drawn_images(50, seed=0)
    few, again = images.drawn(20), images.drawn(20)
    places = [images.names.index(name) for name in few.names]
    assert places == sorted(set(places)) and len(places) == 20 and few.names == again.names
    assert few.logits.equal(images.logits[places]) and few.descriptions[1].equal(images.descriptions[1][places])
    assert images.drawn(50).names == images.drawn(99).names == images.names
