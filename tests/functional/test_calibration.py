import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from kmcl_mm.functional import calibration, fit_calibration


def drawn(images=400, labels=6, kinds=2, unknown=0.1, seed=0):
    """Logits (V, N, K), of which each label has the logistic regression 0.7, -0.3 and a bias of its own."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(kinds, images, labels, generator=generator)
    slopes, biases = torch.tensor([0.7, -0.3, 0.1])[:kinds], torch.linspace(-2, 1, labels)
    chance = (torch.einsum('v,vnk->nk', slopes, logits) + biases).sigmoid()
    target = (torch.rand(images, labels, generator=generator) < chance).long()
    target[torch.rand(images, labels, generator=generator) < unknown] = -1
    return logits, target


def test_against_scikit_learns_regression_without_priors(monkeypatch):
    """Its columns are the logits and, for each label, whether a row is of it."""
    monkeypatch.setattr(calibration, '_BIAS_DEVIATION', 1e4)
    monkeypatch.setattr(calibration, '_WIDE', 1e4)
    logits, target = drawn()
    found = fit_calibration(logits, target)
    known = (target != -1).numpy()
    label_of_row = np.broadcast_to(np.eye(6), (*target.shape, 6))[known]
    rows = np.concatenate([logits.permute(1, 2, 0).numpy()[known], label_of_row], axis=1)
    judge = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000).fit(rows, target.numpy()[known])
    expected = torch.from_numpy(judge.coef_[0])
    assert torch.allclose(found.slopes, expected[:2], atol=1e-4)
    assert torch.allclose(found.biases, expected[2:], atol=1e-3)


def test_the_sum_of_the_probabilities_is_that_of_the_labels():
    """The derivative by the mean of the biases is 0, up to its wide prior."""
    logits, target = drawn()
    slopes, biases = fit_calibration(logits, target)
    known = target != -1
    probabilities = (torch.einsum('v,vnk->nk', slopes, logits.double()) + biases).sigmoid()
    assert probabilities[known].mean().item() == pytest.approx(target[known].double().mean().item(), abs=1e-4)


def test_the_bias_of_a_rare_label_is_drawn_to_the_others():
    logits, target = drawn(labels=6)
    target[:, 0] = -1
    target[:3, 0] = torch.tensor([1, 0, 0])
    few = fit_calibration(logits, target).biases
    target[:, 0] = -1
    none = fit_calibration(logits, target).biases
    mean = none[1:].mean()
    assert none[0].item() == pytest.approx(mean.item(), abs=1e-3)
    # scikit-learn's, of three images, is 1.1 above it.
    assert 0 < (few[0] - mean).abs() < 0.5


@pytest.mark.parametrize('scale', [1e-6, 1.0, 1e4])
def test_separated_labels_have_finite_slopes(scale):
    logits = scale * torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]).unsqueeze(0)
    for target in ([0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]):
        slopes, biases = fit_calibration(logits, torch.tensor(target).unsqueeze(1))
        assert slopes.isfinite().all() and biases.isfinite().all()


@pytest.mark.parametrize(
    'logits, target',
    [
        (torch.zeros(1, 3, 2), torch.zeros(3, 3)),
        (torch.full((1, 3, 2), float('inf')), torch.zeros(3, 2)),
        (torch.zeros(1, 3, 2), torch.full((3, 2), -1)),
        (torch.zeros(1, 3, 2), torch.full((3, 2), 0.5)),
    ],
)
def test_wrong_arguments(logits, target):
    with pytest.raises(ValueError, match='Expected argument'):
        fit_calibration(logits, target)
