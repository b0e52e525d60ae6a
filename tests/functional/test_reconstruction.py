import math

import pytest
import torch

from kmcl_mm.functional import clamped_reconstruction_loss, reconstruction_loss
from tests import judge
from tests.conftest import random_batch

FORMS = [reconstruction_loss, clamped_reconstruction_loss]
COVARIANCES = ['isotropic', 'anisotropic']


@pytest.mark.parametrize('covariance', COVARIANCES)
def test_exact_equals_the_judge(covariance):
    batch = random_batch(covariance=covariance)
    batch[-1][2] = 0
    expected = torch.tensor(judge.reconstruction(*batch), dtype=torch.float64)
    torch.testing.assert_close(reconstruction_loss(*batch), expected)


@pytest.mark.parametrize('covariance', COVARIANCES)
def test_both_forms_agree_where_nothing_underflows(covariance):
    batch = random_batch(covariance=covariance)
    batch[-1][:, 0] = 1
    torch.testing.assert_close(reconstruction_loss(*batch), clamped_reconstruction_loss(*batch))


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('covariance', COVARIANCES)
def test_gradcheck(form, covariance):
    *inputs, target = random_batch(4, 3, 3, covariance)
    torch.autograd.gradcheck(lambda *parts: form(*parts, target), [part.requires_grad_() for part in inputs])


def test_images_without_labels():
    *inputs, target = random_batch()
    inputs = [part.requires_grad_() for part in inputs]
    target[2:] = 0
    target[:2, 0] = 1
    exact = reconstruction_loss(*inputs, target)
    torch.testing.assert_close(exact, reconstruction_loss(*(part[:2] for part in inputs), target[:2]))
    clamped = clamped_reconstruction_loss(*inputs, target)
    of_two = clamped_reconstruction_loss(*(part[:2] for part in inputs), target[:2])
    torch.testing.assert_close(clamped, (2 * of_two - 4 * math.log(1e-7)) / 6)
    for loss in (exact, clamped):
        for gradient in torch.autograd.grad(loss, inputs):
            assert gradient[2:].eq(0).all() and gradient[:2].ne(0).any()


def test_no_image_has_a_label():
    *inputs, target = random_batch()
    inputs = [part.requires_grad_() for part in inputs]
    exact = reconstruction_loss(*inputs, 0 * target)
    assert exact == 0
    assert all(gradient.eq(0).all() for gradient in torch.autograd.grad(exact, inputs))
    assert clamped_reconstruction_loss(*inputs, 0 * target).item() == pytest.approx(-math.log(1e-7))


def test_exact_keeps_its_gradient_in_many_dimensions_where_the_clamped_form_loses_it():
    *inputs, target = random_batch(dimensions=2048, covariance='isotropic', dtype=torch.float32)
    target[:, 0], target[:, 1] = 1, 0
    inputs = [part.requires_grad_() for part in inputs]
    exact, clamped = (torch.autograd.grad(form(*inputs, target), inputs[2])[0] for form in FORMS)
    assert exact.isfinite().all() and exact.ne(0).any()
    assert clamped.eq(0).all()


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('logit, mean_scale', [(-100.0, 1.0), (100.0, 1.0), (-1e4, 1.0), (0.0, 1e4), (-100.0, 1e4)])
def test_extreme_inputs_are_finite(form, covariance, logit, mean_scale):
    embedding, logits, mean, variance, target = random_batch(covariance=covariance, dtype=torch.float32)
    inputs = [
        part.requires_grad_() for part in (embedding, torch.full_like(logits, logit), mean * mean_scale, variance)
    ]
    loss = form(*inputs, target)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, inputs))


@pytest.mark.parametrize('form', FORMS)
def test_wrong_shapes(form):
    embedding, logits, mean, variance, target = random_batch()
    with pytest.raises(ValueError, match='`logits`'):
        form(embedding, logits[:, :2], mean, variance, target[:, :2])
    with pytest.raises(ValueError, match='`target`'):
        form(embedding, logits, mean, variance, target[:, :2])
