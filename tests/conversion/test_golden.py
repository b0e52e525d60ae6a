"""Converted weights give what the published code gave with them."""

import json

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from kmcl_mm.conversion import convert, model_of, weights_in
from tests.conftest import ROOT, SHARED
from tests.conversion.published import fill

_FULL = SHARED / 'golden/tresnet_reference.npz'
_FEW = ROOT / 'tests/data/tresnet_reference_few.npz'
# Beside a full set the few would test nothing more.
_FILE = _FULL if _FULL.is_file() else _FEW
_CASES = json.loads(_FILE.with_suffix('.json').read_text())


@pytest.fixture(scope='module', params=['tresnet_m', 'tresnet_l', 'tresnet_l_v2'])
def converted(request):
    """Name of the case, its model with converted weights, and what became of them."""
    if request.param not in _CASES:
        pytest.skip('the full set of golden numbers in shared/golden is not here')
    case = _CASES[request.param]
    weights = weights_in({f'module.{name}': fill(name, shape) for name, shape, _ in case['keys']}, 'golden.ckpt')
    init_default_scope('mmpretrain')
    cfg = model_of(weights)
    assert cfg['backbone']['model_name'] == case['timm_name']
    assert cfg['head']['in_channels'] == case['in_channels'] and cfg['head']['num_classes'] == 20
    model = MODELS.build(cfg).eval()
    conversion = convert(weights, model)
    model.load_state_dict(conversion.state_dict, strict=True)
    return request.param, model, conversion


def test_the_outputs_are_the_published_codes(converted):
    name, model, _ = converted
    golden = np.load(_FILE)
    with torch.inference_mode():
        features = model.extract_feat(torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(7)))
        mixture = model.head.mixture(features)
    for quantity, value in dict(backbone=features[-1], **mixture._asdict()).items():
        expected = torch.from_numpy(golden[f'{name}/{quantity}'])
        difference = (value.flatten(1)[:, : expected.shape[1]] - expected).abs().max().item()
        print(f'{name:12} {quantity:10} {difference:.1e}')
        assert difference < 1e-5, quantity


def test_every_key_is_used_but_the_classifier_beside_kmcl(converted):
    name, _, conversion = converted
    keys = {key for key, _, _ in _CASES[name]['keys']}
    assert set(conversion.used) | set(conversion.left_out) == keys
    assert set(conversion.left_out) == {'encoder.head.fc.weight', 'encoder.head.fc.bias'}
    assert conversion.initial == []
