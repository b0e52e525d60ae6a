import pytest
import torch
from mmpretrain.models.losses import AsymmetricLoss
from torch.nn.functional import binary_cross_entropy_with_logits

from kmcl_mm.functional import asymmetric_loss
from tests import judge
from tests.conftest import random_batch

SETTINGS = [dict(), dict(gamma_neg=2, gamma_pos=1), dict(clip=0), dict(gamma_neg=0, clip=0.2)]


@pytest.mark.parametrize('settings', SETTINGS)
def test_equals_the_judge(settings):
    _, logits, _, _, target = random_batch()
    expected = torch.tensor(judge.asymmetric(logits, target, **settings), dtype=torch.float64)
    torch.testing.assert_close(asymmetric_loss(logits, target, **settings), expected)


def test_equals_the_host_in_value():
    """The host's gradient differs: it passes through the focusing weight."""
    _, logits, _, _, target = random_batch()
    host = AsymmetricLoss(gamma_neg=4, gamma_pos=0, clip=0.05, eps=1e-7)
    torch.testing.assert_close(asymmetric_loss(logits, target), host(logits, target) * logits.numel())


def test_is_cross_entropy_without_focusing_and_margin():
    _, logits, _, _, target = random_batch()
    logits.requires_grad_()
    ours = asymmetric_loss(logits, target, gamma_neg=0, gamma_pos=0, clip=0)
    theirs = binary_cross_entropy_with_logits(logits, target, reduction='sum')
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)))


def test_gradient_with_the_focusing_weight_held_still():
    _, logits, _, _, target = random_batch()
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(asymmetric_loss(logits, target), logits)
    probability = logits.detach().sigmoid()
    absent = (1 - probability + 0.05).clamp(max=1)
    slope = probability * (1 - probability)
    expected = torch.where(target == 1, -(1 - probability), (1 - absent) ** 4 * slope / absent * (absent < 1))
    torch.testing.assert_close(gradient, expected)


def test_gradcheck_without_focusing():
    _, logits, _, _, target = random_batch()
    torch.autograd.gradcheck(lambda z: asymmetric_loss(z, target, gamma_neg=0, gamma_pos=0), logits.requires_grad_())


@pytest.mark.parametrize('clip', [0.0, 0.05])
@pytest.mark.parametrize('value', [-15.0, -5.0, 5.0, 12.0, 15.0])
def test_float32_keeps_its_digits(value, clip):
    """Also where 1 - p is small."""
    logits, target = torch.tensor([[value, value]], requires_grad=True), torch.tensor([[0.0, 1.0]])
    exact = logits.detach().double().requires_grad_()
    losses = [asymmetric_loss(part, target, clip=clip) for part in (logits, exact)]
    gradients = [torch.autograd.grad(loss, part)[0] for loss, part in zip(losses, (logits, exact))]
    torch.testing.assert_close(losses[0].double(), losses[1], rtol=1e-5, atol=0)
    torch.testing.assert_close(gradients[0].double(), gradients[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('value', [-1e4, -100.0, 100.0, 1e4])
@pytest.mark.parametrize('settings', SETTINGS)
def test_extreme_logits_are_finite(value, settings):
    logits = torch.full((2, 3), value, requires_grad=True)
    loss = asymmetric_loss(logits, torch.tensor([[0.0, 1, 0], [1, 1, 1]]), **settings)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize('wrong', [0.5, -2.0, 2.0, float('nan')])
def test_targets_that_are_no_labels(wrong):
    with pytest.raises(ValueError, match=f'`target`.*1, 0 and -1.*but got {wrong:g}'):
        asymmetric_loss(torch.zeros(1, 2), torch.tensor([[1.0, wrong]]))


def test_targets_of_another_shape():
    with pytest.raises(ValueError, match=r'`target`.*\(2, 3\).*but got \(2, 4\)'):
        asymmetric_loss(torch.zeros(2, 3), torch.zeros(2, 4))
