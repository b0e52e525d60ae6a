import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

import kmcl_mm
from kmcl_mm.conversion import convert, format_conversion, weights_in
from tests.conversion.published import backbone_checkpoint

BODY = 'backbone.timm_model.body'
# Written down from the published network and timm's.
NAMES = {
    'encoder.body.conv1.0.weight': f'{BODY}.conv1.conv.weight',
    'encoder.body.conv1.1.running_var': f'{BODY}.conv1.bn.running_var',
    'encoder.body.layer1.0.conv1.0.weight': f'{BODY}.layer1.0.conv1.conv.weight',
    'encoder.body.layer2.0.conv1.0.0.weight': f'{BODY}.layer2.0.conv1.conv.weight',
    'encoder.body.layer2.0.conv1.0.1.bias': f'{BODY}.layer2.0.conv1.bn.bias',
    'encoder.body.layer2.0.downsample.1.0.weight': f'{BODY}.layer2.0.downsample.1.conv.weight',
    'encoder.body.layer2.0.se.fc1.weight': f'{BODY}.layer2.0.se.fc1.weight',
    'encoder.body.layer4.0.conv2.0.1.weight': f'{BODY}.layer4.0.conv2.bn.weight',
    'encoder.body.layer4.0.conv3.1.weight': f'{BODY}.layer4.0.conv3.bn.weight',
    'downsampler.weight': 'head.embedding.weight',
    'kmm.pi.weight': 'head.logits.weight',
    'kmm.mean.bias': 'head.mean.bias',
    'kmm.var.weight': 'head.variance.weight',
}


def run(tensors, model):
    return convert(weights_in(tensors, 'a.ckpt'), model)


def test_names(published, small_model):
    conversion = run(published, small_model)
    assert {old: conversion.used[old] for old in NAMES} == NAMES
    assert {*conversion.used, *conversion.left_out} == set(published)
    assert set(conversion.state_dict) == set(small_model.state_dict()) and conversion.initial == []
    for name, value in small_model.state_dict().items():
        assert conversion.state_dict[name].shape == value.shape and conversion.state_dict[name].dtype == value.dtype


def test_values(published, small_model):
    """In-place norms use |weight| + 1e-5; nothing else changes."""
    conversion = run(published, small_model)
    signed = [name for name in conversion.used if name.endswith('.1.weight') and 'downsample.1.weight' not in name]
    assert any((published[name] < 0).any() for name in signed)
    for old, new in conversion.used.items():
        expected = published[old].abs() + 1e-5 if new.endswith('bn.weight') else published[old]
        assert conversion.state_dict[new].equal(expected.reshape(conversion.state_dict[new].shape)), old


def test_an_ordinary_norm_keeps_the_sign_of_its_weights(published, small_model):
    counted = dict(published, **{'encoder.body.conv1.1.num_batches_tracked': torch.tensor(7)})
    state_dict = run(counted, small_model).state_dict
    assert state_dict[f'{BODY}.conv1.bn.weight'].equal(published['encoder.body.conv1.1.weight'])
    assert state_dict[f'{BODY}.conv1.bn.num_batches_tracked'] == 7
    assert (state_dict[f'{BODY}.layer1.0.conv1.bn.weight'] > 0).all()


def test_half_precision_and_blur_filters(published, small_model):
    stored = {name: value.half() for name, value in published.items()}
    stored['encoder.body.layer2.0.conv1.1.filt'] = torch.ones(32, 1, 3, 3)
    conversion = run(stored, small_model)
    weight = conversion.state_dict[f'{BODY}.conv1.bn.weight']
    assert weight.equal(stored['encoder.body.conv1.1.weight'].float().abs() + 1e-5)
    assert 'constant filter' in conversion.left_out['encoder.body.layer2.0.conv1.1.filt']


def test_a_tresnet_alone(published, small_model):
    """As ASL and MIIL have them, and in timm's own names."""
    conversion = run(dict(model=backbone_checkpoint(published), num_classes=20), small_model)
    assert set(conversion.left_out) == {'head.fc.weight', 'head.fc.bias'}
    assert set(conversion.initial) == {name for name in small_model.state_dict() if name.startswith('head.')}
    expected = run(published, small_model).state_dict
    assert all(expected[name].equal(value) for name, value in conversion.state_dict.items())
    again = run(
        {name.removeprefix('backbone.timm_model.'): value for name, value in conversion.state_dict.items()}, small_model
    )
    assert all(again.state_dict[name].equal(value) for name, value in conversion.state_dict.items())


def test_a_linear_classifier_is_used_where_the_model_has_one(published):
    cfg = kmcl_mm.get_config('kmcl_tresnet_m_digits').model
    cfg.head = dict(type='MultiLabelLinearClsHead', num_classes=20, in_channels=cfg.head.in_channels)
    init_default_scope('mmpretrain')
    conversion = run(backbone_checkpoint(published), MODELS.build(cfg))
    assert conversion.left_out == {} and conversion.initial == []
    assert conversion.state_dict['head.fc.weight'].equal(published['encoder.head.fc.weight'])


def test_a_network_without_kernels(published, small_model):
    """The published code trains one with the asymmetric loss alone."""
    kept = {name: value for name, value in published.items() if not name.startswith(('kmm.mean', 'kmm.var'))}
    assert run(kept, small_model).initial == [
        'head.mean.weight',
        'head.mean.bias',
        'head.variance.weight',
        'head.variance.bias',
    ]


def changed(published, **changes):
    """With some tensors replaced, or left out where they are None; the keys' underlines stand for points."""
    changes = {name.replace('__', '.'): value for name, value in changes.items()}
    return {name: value for name, value in {**published, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            dict(encoder__blocks__0=torch.ones(1)),
            r'a.ckpt is of another architecture.*it has encoder.blocks.0',
        ),
        (
            dict(encoder__body__layer1__0__extra=torch.ones(1)),
            'a.ckpt does not fit.*lacks encoder.body.layer1.0.extra',
        ),
        (dict(encoder__body__layer1__0__conv2__1__bias=None), 'a.ckpt lacks weights.*layer1.0.conv2.bn.bias'),
        (dict(kmm__mean__bias=None), 'a.ckpt lacks weights.* head.mean.bias'),
        (
            dict(kmm__pi__weight=torch.ones(20, 128)),
            r'kmm.pi.weight.*\(20, 128\), but head.logits.*\(10, 128\)',
        ),
        (
            dict(kmm__var__weight=torch.ones(128, 128)),
            r'kmm.var.weight.*\(1280, 128\).*number of labels, covariance',
        ),
        (dict(kmm__pi__bias=torch.full((10,), torch.nan)), 'kmm.pi.bias in a.ckpt is not finite'),
    ],
)
def test_what_does_not_fit_is_refused(published, small_model, changes, message):
    with pytest.raises(ValueError, match=message):
        run(changed(published, **changes), small_model)


def test_another_architecture_is_refused_with_what_was_expected(published, small_model):
    with torch.device('meta'):
        large = MODELS.build(dict(type='ImageClassifier', backbone=dict(type='TIMMBackbone', model_name='tresnet_m')))
        other = MODELS.build(dict(type='ImageClassifier', backbone=dict(type='TIMMBackbone', model_name='test_resnet')))
    with pytest.raises(
        ValueError,
        match=r'a TResNet unknown.*32.*of the model is tresnet_m \(64 channels; 3, 4, 11, 3',
    ):
        run(published, large)
    with pytest.raises(ValueError, match='a.ckpt is a TResNet, but the backbone of the model is not'):
        run(published, other)


def test_a_converted_file_is_not_converted_again(published, small_model):
    with pytest.raises(ValueError, match='a.ckpt needs no conversion.*another code base'):
        run(run(published, small_model).state_dict, small_model)


def test_the_report_names_every_key(published, small_model):
    weights = weights_in(dict(state_dict=published, optimizer={}), 'a.ckpt')
    lines = format_conversion(weights, convert(weights, small_model)).splitlines()
    assert {line.split()[0] for line in lines[1:-2]} == set(published)
    assert lines[0] == 'a.ckpt: a KMCL network, in state_dict'
    assert lines[-2] == 'Unused entries of the file: optimizer'
    assert lines[-1].startswith(f'{len(published)} tensors: {len(published) - 2} used, 2 left out; 0 of the model')
