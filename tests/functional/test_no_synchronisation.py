"""On an accelerator no loss makes the host wait for a value.

Tensors on the meta device have no values: whatever asked for one (`.item()`, a boolean mask as index, `nonzero`, an
`if` on a tensor) would fail here.
"""

import pytest
import torch

from kmcl_mm.functional import (
    asymmetric_loss,
    clamped_reconstruction_loss,
    kernel_contrastive_loss,
    reconstruction_loss,
)
from kmcl_mm.models import KMCLLoss
from tests.conftest import random_batch

LOSSES = [
    lambda embedding, logits, mean, variance, target: asymmetric_loss(logits, target),
    reconstruction_loss,
    clamped_reconstruction_loss,
    lambda embedding, logits, mean, variance, target: kernel_contrastive_loss(mean, variance, target),
    lambda embedding, logits, mean, variance, target: kernel_contrastive_loss(
        mean, variance, target, jaccard='inside', log_offset=1e-7
    ),
]


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('covariance', ['isotropic', 'anisotropic'])
def test_nothing_waits_for_the_device(loss, covariance):
    *inputs, target = (part.to('meta') for part in random_batch(covariance=covariance))
    inputs = [part.requires_grad_() for part in inputs]
    loss(*inputs, target).backward()
    assert any(part.grad is not None for part in inputs)


@pytest.mark.parametrize('variant', ['reference', 'exact'])
@pytest.mark.parametrize('covariance', ['isotropic', 'anisotropic'])
def test_the_whole_loss_does_not_wait_either(variant, covariance):
    *inputs, target = (part.to('meta') for part in random_batch(covariance=covariance))
    inputs = [part.requires_grad_() for part in inputs]
    losses = KMCLLoss(variant, covariance, gather_distributed=True, asl_batch_size=64)(*inputs, target)
    sum(losses.values()).backward()
    assert all(part.grad is not None for part in inputs)


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('covariance', ['isotropic', 'anisotropic'])
def test_compiles_without_graph_breaks(loss, covariance):
    torch.compiler.reset()
    *inputs, target = (part.to('meta') for part in random_batch(covariance=covariance))
    inputs = [part.requires_grad_() for part in inputs]
    torch.compile(loss, fullgraph=True, backend='aot_eager')(*inputs, target).backward()
    assert any(part.grad is not None for part in inputs)
