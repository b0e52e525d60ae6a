import pytest
import torch

from kmcl_mm.conversion import model_of, weights_in
from kmcl_mm.conversion.tresnet import TRESNETS, layout_of


def tensors(width, stages, bottlenecks=False):
    """The names that tell one TResNet from another; the tensors are on the meta device."""
    names = {'encoder.body.conv1.0.weight': (width, 48, 3, 3)}
    for stage, blocks in enumerate(stages, start=1):
        for block in range(blocks):
            last = 'conv3' if bottlenecks or stage > 2 else 'conv2'
            names[f'encoder.body.layer{stage}.{block}.{last}.0.weight'] = (1, 1, 1, 1)
    return {name: torch.empty(shape, device='meta') for name, shape in names.items()}


TRESNET_M = tensors(64, (3, 4, 11, 3))


def head(pi, var=None, downsampler=None):
    shapes = {'kmm.pi.weight': pi, 'kmm.var.weight': var, 'downsampler.weight': downsampler}
    return {name: torch.empty(shape, device='meta') for name, shape in shapes.items() if shape is not None}


@pytest.mark.parametrize(
    'expected, backbone',
    [
        ('tresnet_m', TRESNET_M),
        ('tresnet_l', tensors(76, (4, 5, 18, 3))),
        ('tresnet_xl', tensors(83, (4, 5, 24, 3))),
        ('tresnet_v2_l', tensors(64, (3, 4, 23, 3), bottlenecks=True)),
    ],
)
def test_the_backbone_is_told_by_its_tensors(expected, backbone):
    cfg = model_of(weights_in({name.removeprefix('encoder.'): value for name, value in backbone.items()}, 'a.ckpt'))
    assert cfg['backbone']['model_name'] == expected and 'head' not in cfg


@pytest.mark.parametrize('name', TRESNETS)
def test_timms_networks_have_these_layouts(name):
    import timm

    with torch.device('meta'):
        shapes = {key: value.shape for key, value in timm.create_model(name, num_classes=0).state_dict().items()}
    assert layout_of(shapes) == TRESNETS[name]


@pytest.mark.parametrize(
    'parts, expected',
    [
        (head((80, 128), (10240, 128), (128, 2048, 1)), dict(covariance='anisotropic', similarity='bhattacharyya')),
        (head((80, 128), (128, 128), (128, 2048, 1)), dict(covariance='anisotropic', similarity='mahalanobis')),
        (head((80, 2048), (80, 2048)), dict(covariance='isotropic', similarity='bhattacharyya')),
        (head((80, 2048), (1, 2048)), dict(covariance='isotropic', similarity='rbf')),
        (head((80, 64), None, (64, 2048, 1)), dict(covariance='anisotropic', embedding_channels=64)),
    ],
)
def test_the_head_is_told_by_its_tensors(parts, expected):
    found = model_of(weights_in({**TRESNET_M, **parts}, 'a.ckpt'))['head']
    assert found.items() >= dict(expected, num_classes=80, in_channels=2048).items()


def test_what_belongs_to_no_model_is_refused():
    with pytest.raises(ValueError, match=r'has a TResNet unknown.*\(32 channels.*none of tresnet_m .*tresnet_v2_l'):
        model_of(weights_in({**tensors(32, (1, 1, 2, 1)), **head((80, 2048))}, 'a.ckpt'))
    with pytest.raises(ValueError, match='a.ckpt has no TResNet'):
        model_of(weights_in(head((80, 2048)), 'a.ckpt'))
    with pytest.raises(ValueError, match=r'kmm.var in a.ckpt gives 5 variances, but isotropic.*\[1, 80\]'):
        model_of(weights_in({**TRESNET_M, **head((80, 2048), (5, 2048))}, 'a.ckpt'))
