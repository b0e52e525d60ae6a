import pickle

import pytest
import timm
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from kmcl_mm.engine.channels import check_channels
from kmcl_mm.models import KMCLHead
from tests.attacks import ATTACKS


@pytest.mark.parametrize(
    'name, channels', [('tresnet_m', 2048), ('tresnet_l', 2432), ('tresnet_v2_l', 2048), ('tresnet_xl', 2656)]
)
def test_every_tresnet_carries_the_head(name, channels):
    """timm's networks in the host's wrapper, with the host's pooling; on the meta device, where they take no time."""
    with torch.device('meta'):
        backbone = MODELS.build(dict(type='TIMMBackbone', model_name=name))
        neck = MODELS.build(dict(type='GlobalAveragePooling'))
        head = KMCLHead(num_classes=80, in_channels=channels)
        logits = head(neck(backbone(torch.empty(2, 3, 64, 64))))
    assert logits.shape == (2, 80)


@pytest.mark.parametrize('attack', ATTACKS)
def test_pretrained_weights_that_run_code_are_refused(tmp_path, monkeypatch, attack):
    """timm loads them; what it lets through differs from one of its releases to the next."""
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={}, extra=attack), 'bad.pth')
    with pytest.raises((RuntimeError, pickle.UnpicklingError)):
        MODELS.build(dict(type='TIMMBackbone', model_name='test_resnet', checkpoint_path='bad.pth'))
    assert [path.name for path in tmp_path.iterdir()] == ['bad.pth']


SMALL = dict(img_size=64, embed_dim=48, depth=1, num_heads=2)
WINDOWS = dict(img_size=64, embed_dim=24, depths=(1, 1), num_heads=(1, 2), window_size=4)
# A small network of each family of timm's, and what its output is without a pooling.
FAMILIES = {
    'test_resnet': (dict(), 'maps'),
    'test_efficientnet': (dict(), 'maps'),
    'test_convnext': (dict(), 'maps'),
    'test_maxvit': (dict(), 'maps'),
    'test_coatnet': (dict(), 'maps'),
    'test_nfnet': (dict(), 'maps'),
    'test_byobnet': (dict(), 'maps'),
    'mobilenetv3_small_050': (dict(), 'maps'),
    'mobilenetv4_conv_small_035': (dict(), 'maps'),
    'regnetx_002': (dict(), 'maps'),
    'ghostnet_050': (dict(), 'maps'),
    'tresnet_m': (dict(layers=(1, 1, 1, 1), width_factor=0.25), 'maps'),
    'davit_tiny': (dict(depths=(1, 1), embed_dims=(24, 48), num_heads=(1, 2)), 'maps'),
    'pvt_v2_b0': (dict(), 'maps'),
    'test_mambaout': (dict(), 'positions first'),
    'swin_tiny_patch4_window7_224': (WINDOWS, 'positions first'),
    'swinv2_tiny_window8_256': (WINDOWS, 'positions first'),
    'test_vit': (dict(), 'tokens'),
    'test_vit3': (dict(), 'tokens'),
    'test_vit_relpos': (dict(), 'tokens'),
    'deit_tiny_patch16_224': (dict(img_size=64, depth=1), 'tokens'),
    'vit_base_patch16_siglip_224': (SMALL, 'tokens'),
    'beit_base_patch16_224': (SMALL, 'tokens'),
    'cait_xxs24_224': (SMALL, 'tokens'),
    'eva02_tiny_patch14_224': (dict(img_size=56, depth=1), 'tokens'),
    'levit_128s': (dict(), 'tokens'),
    'mixer_s32_224': (dict(img_size=64), 'tokens'),
    'xcit_nano_12_p16_224': (dict(img_size=64, depth=1), 'tokens'),
}


def classifier(name, kind='TIMMBackbone', in_channels=None, **settings):
    init_default_scope('mmpretrain')
    network = timm.create_model(name, **settings)
    head = dict(type='KMCLHead', num_classes=3, in_channels=in_channels or network.head_hidden_size)
    backbone = dict(type=kind, model_name=name, **settings)
    neck = dict(type='GlobalAveragePooling')
    model = MODELS.build(dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head))
    model.eval()
    size = settings.get('img_size') or timm.get_pretrained_cfg(name).input_size[-1]
    return model, network.eval(), torch.rand(2, 3, size, size)


@pytest.mark.parametrize('name', FAMILIES)
@torch.no_grad()
def test_timms_pooling_for_any_of_its_networks(name):
    """The head gets what timm's own classifier gets."""
    model, network, images = classifier(name, 'PooledTIMMBackbone', **FAMILIES[name][0])
    check_channels(model)
    network.load_state_dict({**network.state_dict(), **model.backbone.timm_model.state_dict()})
    expected = network.forward_head(network.forward_features(images), pre_logits=True)
    torch.testing.assert_close(model.extract_feat(images)[0], expected)


@pytest.mark.parametrize('name', FAMILIES)
@torch.no_grad()
def test_the_hosts_pooling_is_right_or_refused(name):
    settings, output = FAMILIES[name]
    model, _, images = classifier(name, **settings)
    check_channels(model)
    if output == 'maps':
        assert model.head(model.extract_feat(images)).shape == (2, 3)
        return
    with pytest.raises(ValueError, match="but got .*take backbone.type='PooledTIMMBackbone'"):
        model.head(model.extract_feat(images))
    found = model.extract_feat(images)[0].shape[1]
    with pytest.raises(ValueError, match=f'`in_channels` of `model.head` to be .*but got {found}'):
        check_channels(classifier(name, in_channels=found, **settings)[0])


def test_weights_of_one_backbone_are_those_of_the_other():
    names = [classifier('test_vit', kind)[0].state_dict().keys() for kind in ('TIMMBackbone', 'PooledTIMMBackbone')]
    assert names[0] == names[1]


def test_pooled_networks_start_from_timms_weights(tmp_path):
    weights = timm.create_model('test_vit').state_dict()
    torch.save(weights, tmp_path / 'weights.pth')
    backbone = MODELS.build(
        dict(type='PooledTIMMBackbone', model_name='test_vit', checkpoint_path=str(tmp_path / 'weights.pth'))
    )
    backbone.init_weights()
    assert all(value.equal(weights[name]) for name, value in backbone.timm_model.state_dict().items())
