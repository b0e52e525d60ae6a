import copy

import pytest
import timm
import torch
from torch import nn

from kmcl_mm.apps.inference.fusing import fuse, fused_copy


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def trained(network):
    """With statistics as a training might leave them; new norms change next to nothing."""
    torch.manual_seed(0)
    for norm in norms(network):
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.3)
    return network.eval()


@pytest.mark.parametrize(
    'name, options, left',
    [
        ('test_resnet', {}, 0),
        ('tresnet_m', dict(layers=(1, 1, 1, 1), width_factor=0.25), 0),
        ('test_efficientnet', {}, 0),
        ('test_convnext', {}, 0),
        ('resnetv2_18', dict(), None),
    ],
)
@torch.no_grad()
def test_outputs_stay_as_they_are(name, options, left):
    network = trained(timm.create_model(name, **options))
    images = torch.randn(2, 3, 64, 64)
    expected, number = network(images), len(norms(network))
    fast = fused_copy(network, images)
    torch.testing.assert_close(fast(images), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fast(images.to(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-4)
    assert len(norms(network)) == number and torch.equal(network(images), expected)
    assert len(norms(fast)) == left if left is not None else len(norms(fast)) < number


class Branches(nn.Module):
    """A norm takes a convolution's output, and so does something else."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images):
        output = self.convolution(images)
        return (self.norm(output) + output,)


class Twice(nn.Module):
    """A convolution with a norm that are called twice."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, images):
        return self.norm(self.convolution(self.norm(self.convolution(images))))


def test_a_convolution_that_is_called_twice_is_left_alone():
    assert len(norms(fused_copy(trained(Twice()), torch.randn(1, 3, 8, 8)))) == 1


def test_a_network_in_training_is_refused():
    with pytest.raises(ValueError, match='evaluation mode'):
        fused_copy(Twice(), torch.randn(1, 3, 8, 8))


class Shared(Branches):
    """A network whose copies are itself, as a module may be written, and which fails."""

    def __deepcopy__(self, memo):
        return self

    def forward(self, images):
        raise ZeroDivisionError


def test_a_network_that_fails_keeps_no_hooks():
    network = Shared().eval()
    with pytest.raises(ZeroDivisionError):
        fused_copy(network, torch.randn(1, 3, 8, 8))
    assert not network.convolution._forward_hooks and not network.norm._forward_pre_hooks


@torch.no_grad()
def test_a_classifier_is_sped_up_where_its_scores_stay(classifier):
    model = copy.deepcopy(classifier)
    images = torch.randn(3, 3, 64, 64)
    expected = classifier.head(classifier.extract_feat(images)).sigmoid()
    assert fuse(model, images) and not norms(model.backbone)
    torch.testing.assert_close(model.head(model.extract_feat(images)).sigmoid(), expected, rtol=0, atol=1e-4)

    model = copy.deepcopy(classifier)
    model.backbone = kept = trained(Branches())
    model.head = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    model.head.forward = lambda features: nn.functional.linear(features[-1], torch.ones(2, 4))
    assert not fuse(model, images) and model.backbone is kept


class NoCopy(nn.Module):
    """What cannot be copied."""

    def forward(self, images):
        return (images.mean(dim=(2, 3)),)

    def __deepcopy__(self, memo):
        raise TypeError('not to be copied')


def test_a_network_without_a_faster_form_stays(classifier):
    model = copy.deepcopy(classifier)
    model.backbone = kept = NoCopy().eval()
    model.neck = None
    model.head = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    model.head.forward = lambda features: features[-1]
    assert not fuse(model, torch.randn(2, 3, 8, 8)) and model.backbone is kept
