"""Judged by the outputs of the heads, label by label."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from kmcl_mm.engine.fine_tuning import start_from

TRAINED = ['disc', 'box', 'bar']
# As many dimensions as labels: shapes alone do not tell which rows are a label's.
KMCL = dict(type='KMCLHead', embedding_channels=3)
LINEAR = dict(type='MultiLabelLinearClsHead')
HEADS = [
    dict(KMCL, covariance='anisotropic', similarity='bhattacharyya'),
    dict(KMCL, covariance='anisotropic', similarity='mahalanobis'),
    dict(KMCL, covariance='isotropic', similarity='bhattacharyya'),
    dict(KMCL, covariance='isotropic', similarity='rbf'),
    dict(KMCL, kernels='embedding', loss=dict(type='KMCLLoss', reconstruction_weight=0)),
    LINEAR,
]


class Classifier(torch.nn.Module):
    def __init__(self, head, num_classes):
        super().__init__()
        init_default_scope('mmpretrain')
        self.backbone = torch.nn.Linear(4, 6)
        self.head = MODELS.build(dict(head, num_classes=num_classes, in_channels=6))
        for parameter in self.parameters():
            torch.nn.init.normal_(parameter)

    def outputs(self, features):
        """All that the head gives for each label, labels last."""
        parts = self.head.mixture(features)[1:] if hasattr(self.head, 'mixture') else [self.head((features,))]
        return [part for part in parts if part.shape[-1] == self.head.num_classes]


@pytest.mark.parametrize('classes', [['bar', 'box', 'disc'], ['bar', 'ring', 'disc', 'dot'], ['box']])
@pytest.mark.parametrize('head', HEADS)
def test_labels_that_stay_are_predicted_as_before(head, classes):
    former, model = Classifier(head, 3), Classifier(head, len(classes))
    features = torch.randn(5, 6)
    tensors, summary = start_from(model, former.state_dict(), TRAINED, classes)
    model.load_state_dict(tensors)
    for before, now in zip(former.outputs(features), model.outputs(features), strict=False):
        for name in set(classes) & set(TRAINED):
            torch.testing.assert_close(now[..., classes.index(name)], before[..., TRAINED.index(name)])
    kept = ', '.join(name for name in classes if name in TRAINED)
    new = ', '.join(name for name in classes if name not in TRAINED) or 'none'
    assert summary == f'labels of the head taken over: {kept}; labels of the head new: {new}'


@pytest.mark.parametrize('head', HEADS)
def test_rows_of_new_labels_start_anew(head):
    former, model = Classifier(head, 3), Classifier(head, 3)
    tensors, _ = start_from(model, former.state_dict(), TRAINED, ['box', 'ring', 'dot'])
    name = 'head.fc.weight' if head is LINEAR else 'head.logits.weight'
    assert tensors[name][1:].equal(model.state_dict()[name][1:])
    assert tensors[name][0].equal(former.state_dict()[name][1])


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('names', [(TRAINED, TRAINED), (None, TRAINED), (TRAINED, None)])
def test_of_the_same_labels_all_is_taken(head, names):
    former = Classifier(head, 3)
    tensors, summary = start_from(Classifier(head, 3), former.state_dict(), *names)
    unnamed = 'the labels of its head are not named, and taken in their order'
    assert summary == (unnamed if names[0] is None else '') and all(
        tensors[name].equal(value) for name, value in former.state_dict().items()
    )


def test_without_names_a_head_of_another_size_starts_anew():
    tensors, summary = start_from(Classifier(LINEAR, 2), Classifier(LINEAR, 3).state_dict(), None, ['box', 'bar'])
    assert set(tensors) == {'backbone.weight', 'backbone.bias'}
    assert summary == 'weights of the head that start anew: head.fc.weight, head.fc.bias'


def test_layers_of_which_nothing_is_known_start_anew():
    head = dict(type='CSRAClsHead', num_heads=1, lam=0.1)
    model = Classifier(head, 3)
    tensors, summary = start_from(model, Classifier(head, 3).state_dict(), TRAINED, TRAINED[::-1])
    assert not any(name.startswith('head.') for name in tensors) and 'start anew: head.csra_heads' in summary


def test_another_kind_of_head_starts_anew():
    model = Classifier(HEADS[0], 3)
    tensors, summary = start_from(model, Classifier(LINEAR, 3).state_dict(), TRAINED, TRAINED)
    assert set(tensors) == {'backbone.weight', 'backbone.bias'} and 'head.logits.weight' in summary
