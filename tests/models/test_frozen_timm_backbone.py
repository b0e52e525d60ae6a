import torch
from mmpretrain.registry import MODELS


def test_training_leaves_it_as_it_was():
    settings = dict(model_name='test_resnet')
    frozen, trained = (MODELS.build(dict(settings, type=kind)) for kind in ('FrozenTIMMBackbone', 'TIMMBackbone'))
    frozen.load_state_dict(trained.state_dict())
    before = {name: tensor.clone() for name, tensor in frozen.state_dict().items()}
    images = torch.randn(2, 3, 32, 32)
    (feature,) = frozen.train()(images)
    assert not feature.requires_grad
    assert all(tensor.equal(before[name]) for name, tensor in frozen.state_dict().items())
    trained.eval()
    torch.testing.assert_close(feature, trained(images)[0])
