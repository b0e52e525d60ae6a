import math

import pytest
import torch

from kmcl_mm.functional import contrastive, kernel_contrastive_loss, pairwise
from tests import judge
from tests.conftest import random_batch

COVARIANCES = ['isotropic', 'anisotropic']
FORMS = [
    dict(jaccard='outside'),
    dict(jaccard='none'),
    dict(jaccard='inside'),
    dict(jaccard='inside', log_offset=1e-7),
    dict(jaccard='none', log_offset=1e-3),
    dict(jaccard='outside', temperature=1.0),
]


@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('scale', [1.0, 7.0])
@pytest.mark.parametrize('form', FORMS)
def test_equals_the_judge(covariance, scale, form):
    _, _, mean, variance, target = random_batch(covariance=covariance)
    target[4] = 0
    judged = {dict(log_offset='offset').get(name, name): value for name, value in form.items()}
    expected = torch.tensor(judge.contrastive(mean, variance, target, scale, **judged), dtype=torch.float64)
    torch.testing.assert_close(kernel_contrastive_loss(mean, variance, target, distance_scale=scale, **form), expected)


@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('form', FORMS)
def test_gradcheck(covariance, form):
    _, _, mean, variance, target = random_batch(5, 3, 3, covariance)
    inputs = mean.requires_grad_(), variance.requires_grad_()
    torch.autograd.gradcheck(lambda *kernels: kernel_contrastive_loss(*kernels, target, **form), inputs)


@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('labels', [5, 300])
@pytest.mark.parametrize('form', FORMS)
def test_all_choices_of_kernels_give_the_same(covariance, labels, form, monkeypatch):
    """Those of a CPU and of an accelerator, with few labels and with many; loss and gradients."""
    _, _, mean, variance, target = random_batch(labels=labels, covariance=covariance)
    target[:, 1] = 0
    found = []
    for choose in (
        pairwise.kernels_of_present_labels,
        pairwise.kernels_of_labels_in_batch,
        lambda target: pairwise.all_kernels(*target.shape, target.device),
    ):
        monkeypatch.setattr(contrastive, '_anchor_kernels', choose)
        kernels = mean.clone().requires_grad_(), variance.clone().requires_grad_()
        loss = kernel_contrastive_loss(*kernels, target, **form)
        found.append((loss.detach(), *torch.autograd.grad(loss, kernels)))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-6, atol=1e-9)


def test_jaccard_inside_the_logarithm_has_no_gradient_of_its_own():
    _, _, mean, variance, target = random_batch()
    mean.requires_grad_()
    inside, none = (
        torch.autograd.grad(kernel_contrastive_loss(mean, variance, target, jaccard=place), mean)[0]
        for place in ('inside', 'none')
    )
    torch.testing.assert_close(inside, none)


def test_images_alike_share_the_contrast_evenly():
    """With all kernels alike each of the other images has the share 1 / (N - 1)."""
    target = torch.ones(5, 3)
    loss = kernel_contrastive_loss(torch.zeros(5, 3), torch.ones(5, 3), target)
    assert loss.item() == pytest.approx(3 * math.log(4), rel=1e-6)


def test_anchors_split_the_batch():
    _, _, mean, variance, target = random_batch()
    whole = kernel_contrastive_loss(mean, variance, target)
    parts = [kernel_contrastive_loss(mean, variance, target, anchors=part) for part in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close((2 * parts[0] + 4 * parts[1]) / 6, whole)


@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('case', ['unlabelled', 'disjoint', 'alike', 'one image', 'one label', 'far apart', 'wide'])
def test_extreme_inputs_are_finite(covariance, form, case):
    _, _, mean, variance, target = random_batch(5, 5, covariance=covariance, dtype=torch.float32)
    if case == 'unlabelled':
        target = 0 * target
    elif case == 'disjoint':
        target = torch.eye(5)
    elif case == 'alike':
        mean, variance, target = torch.ones_like(mean), torch.ones_like(mean), torch.ones_like(target)
    elif case == 'one image':
        mean, variance, target = mean[:1], variance[:1], target[:1]
    elif case == 'one label':
        mean, variance, target = mean[..., :1], variance[..., :1], torch.ones(5, 1)
    elif case == 'far apart':
        mean = mean * 1e4
    elif case == 'wide':
        variance = variance * 1e6
    mean, variance = mean.clone().requires_grad_(), variance.clone().requires_grad_()
    loss = kernel_contrastive_loss(mean, variance, target, distance_scale=128.0, **form)
    gradients = torch.autograd.grad(loss, (mean, variance))
    assert loss.isfinite() and all(gradient.isfinite().all() for gradient in gradients)
    if case in ('unlabelled', 'disjoint', 'one image'):
        assert loss == 0 and all(gradient.eq(0).all() for gradient in gradients)


def test_number_of_operations_does_not_grow_with_the_batch():
    """No Python loop over images: within one block of pairs a larger batch takes the same operations."""

    def count(images):
        _, _, mean, variance, _ = random_batch(images)
        target = torch.ones(images, 5)
        with torch.profiler.profile() as profile:
            kernel_contrastive_loss(mean.requires_grad_(), variance, target).backward()
        return sum(event.count for event in profile.key_averages())

    assert count(4) == count(24)


@pytest.mark.parametrize('settings, name', [(dict(jaccard='within'), 'jaccard'), (dict(temperature=0), 'temperature')])
def test_wrong_settings(settings, name):
    with pytest.raises(ValueError, match=f'`{name}`.*but got'):
        kernel_contrastive_loss(torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(2, 3), **settings)


def test_wrong_target_shape():
    with pytest.raises(ValueError, match='`target`'):
        kernel_contrastive_loss(torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(2, 4))
