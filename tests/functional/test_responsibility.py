import math

import pytest
import torch
from scipy.stats import entropy

from kmcl_mm.functional.responsibility import responsibility_entropy


@pytest.mark.parametrize('is_isotropic', [True, False])
def test_by_the_definition(is_isotropic):
    torch.manual_seed(0)
    embedding, logits = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    mean = torch.randn((5, 4) if is_isotropic else (5, 3, 4), dtype=torch.float64)
    variance = 1 + torch.rand_like(mean)
    broad = [part.unsqueeze(1) if is_isotropic else part for part in (mean, variance)]
    kernels = (-((embedding.unsqueeze(2) - broad[0]) ** 2 / broad[1]).sum(dim=1) / 2).exp()
    expected = entropy((logits.sigmoid() * kernels).numpy(), axis=1)
    assert responsibility_entropy(embedding, logits, mean, variance).tolist() == pytest.approx(expected, abs=1e-12)


def test_one_label_that_accounts_for_the_embedding():
    mean = torch.tensor([[[0.0, 50.0, 50.0]]]).expand(1, 8, 3)
    assert responsibility_entropy(torch.zeros(1, 8), torch.zeros(1, 3), mean, torch.ones(1, 8, 3)).item() == 0


@pytest.mark.parametrize('value', [0.0, 1e4, -1e4])
def test_far_from_all_kernels_it_stays_finite(value):
    """Kernels that underflow, and scores that do."""
    shape = (2, 2048, 5)
    result = responsibility_entropy(
        torch.full((2, 2048), value), torch.full((2, 5), -200.0), torch.zeros(shape), torch.ones(shape)
    )
    assert result.tolist() == pytest.approx([math.log(5)] * 2)
