from types import SimpleNamespace

import pytest
import timm
import torch

from kmcl_mm.engine import ChannelsLastHook


def test_the_numbers_stay_and_the_layout_changes():
    torch.manual_seed(0)
    model, images = timm.create_model('test_efficientnet', num_classes=3).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before, feature_map = model(images), model.forward_features(images)
        ChannelsLastHook().before_run(SimpleNamespace(model=model))
        torch.testing.assert_close(model(images), before, rtol=1e-4, atol=1e-5)
        assert feature_map.is_contiguous()
        assert model.forward_features(images).is_contiguous(memory_format=torch.channels_last)


def test_a_wrapped_model_is_refused():
    with pytest.raises(ValueError, match='one process.*DataParallel.*Leave the hook out'):
        ChannelsLastHook().before_run(SimpleNamespace(model=torch.nn.DataParallel(torch.nn.Linear(2, 2))))
