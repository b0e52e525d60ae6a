import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from kmcl_mm.engine import load_weights

CLASSES = ['cat', 'dog']


@pytest.fixture(scope='module')
def model():
    init_default_scope('mmpretrain')
    head = dict(type='KMCLHead', num_classes=2, in_channels=96, embedding_channels=4)
    backbone = dict(type='TIMMBackbone', model_name='test_resnet')
    return MODELS.build(
        dict(type='ImageClassifier', backbone=backbone, neck=dict(type='GlobalAveragePooling'), head=head)
    )


@pytest.fixture
def load(model, tmp_path):
    """Save a checkpoint with one weight and the meta data changed, and load it."""

    def run(change=None, **meta):
        tensors = copy.deepcopy(model.state_dict())
        if change is not None:
            tensors['head.embedding.weight'] = change(tensors['head.embedding.weight'])
        torch.save(dict(state_dict=tensors, meta=meta), tmp_path / 'some.pth')
        return load_weights(copy.deepcopy(model), tmp_path / 'some.pth')

    return run


@pytest.mark.parametrize('change', [torch.Tensor.half, torch.Tensor.double, torch.nn.Parameter])
def test_other_precisions_are_converted(load, change):
    assert load(change, dataset_meta=dict(classes=CLASSES)).initial == []


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda weight: weight * float('nan'), 'is not finite'),
        (lambda weight: weight + float('inf'), 'is not finite'),
        (lambda weight: weight > 0, 'a tensor of torch.float32, but got one of torch.bool'),
        (lambda weight: weight.to(torch.complex64), 'torch.complex64'),
        (torch.Tensor.to_sparse, 'torch.sparse_coo'),
        (lambda weight: weight.to('meta'), 'on meta'),
        (torch.Tensor.numpy, 'to be a tensor, but got ndarray'),
        (lambda weight: weight[:1], 'such as head.embedding.weight'),
    ],
)
def test_weights_that_are_none(load, change, message):
    with pytest.raises(ValueError, match=f'some.pth.*{message}'):
        load(change)


@pytest.mark.parametrize(
    'meta',
    [
        dict(dataset_meta=5),
        dict(dataset_meta=torch.ones(2)),
        dict(dataset_meta=dict(classes=3)),
        dict(dataset_meta=dict(classes='cat')),
        dict(dataset_meta=dict(classes=[1, 2])),
        dict(dataset_meta=dict(classes=['cat', 'cat'])),
    ],
)
def test_names_of_another_form(load, meta):
    with pytest.raises(ValueError, match='label names in .*some.pth.*are not a list of different names'):
        load(**meta)


@pytest.mark.parametrize('meta', [{}, dict(dataset_meta=None), dict(dataset_meta=dict(classes=None))])
def test_names_are_not_asked_for(load, meta):
    assert load(**meta).initial == []


@pytest.mark.parametrize('thresholds', [5, torch.ones(2), dict(cat=0.5), dict(cat=0.5, dog=float('nan'))])
def test_thresholds_of_another_form(load, thresholds):
    with pytest.raises(ValueError, match='some.pth: Expected the thresholds.*Fit .*again'):
        load(thresholds=thresholds, dataset_meta=dict(classes=CLASSES))
