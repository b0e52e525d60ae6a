import pickle

import pytest
import torch
from mmpretrain.registry import MODELS

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
