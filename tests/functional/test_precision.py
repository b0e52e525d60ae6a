"""Losses in full precision, called under autocast and with tensors of half precision."""

import pytest
import torch

from kmcl_mm import functional
from kmcl_mm.functional.precision import full_precision
from tests.conftest import random_batch

MANY = 300


@pytest.mark.parametrize('name', ['asymmetric_loss', 'reconstruction_loss', 'clamped_reconstruction_loss'])
@pytest.mark.parametrize('covariance', ['isotropic', 'anisotropic'])
def test_autocast_changes_nothing(name, covariance):
    embedding, logits, mean, variance, target = random_batch(covariance=covariance, dtype=torch.float32)
    inputs = (logits, target) if name == 'asymmetric_loss' else (embedding, logits, mean, variance, target)
    expected = getattr(functional, name)(*inputs)
    with torch.autocast('cpu', torch.bfloat16):
        assert getattr(functional, name)(*inputs) == expected


@pytest.mark.parametrize('jaccard', ['inside', 'outside', 'none'])
def test_label_counts_are_exact_under_autocast(jaccard):
    """Half precision has no 257 or 299, which images with so many labels in common have."""
    generator = torch.Generator().manual_seed(0)
    target = (torch.rand(6, MANY, generator=generator) < 0.95).float()
    mean, variance = torch.randn(6, MANY, generator=generator), torch.ones(6, MANY)
    expected = functional.kernel_contrastive_loss(mean, variance, target, jaccard=jaccard)
    with torch.autocast('cpu', torch.bfloat16):
        assert functional.kernel_contrastive_loss(mean, variance, target, jaccard=jaccard) == expected


def test_half_precision_comes_out_as_single():
    embedding, logits, mean, variance, target = random_batch(dtype=torch.float32)
    inputs = (embedding, logits, mean, variance)
    halves = [part.bfloat16() for part in inputs]
    loss = functional.reconstruction_loss(*halves, target)
    assert loss.dtype == torch.float32
    assert loss == functional.reconstruction_loss(*(part.float() for part in halves), target)


def test_tensors_by_name():
    assert full_precision(lambda first, second: second)(1, second=torch.ones(1).half()).dtype == torch.float32
