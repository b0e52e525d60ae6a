import tempfile
import warnings
from pathlib import Path

import pytest
import torch
from torch import distributed

import kmcl_mm
from kmcl_mm.engine.runner import leave_process_group
from kmcl_mm.functional.distributed import KernelBatch, gather_batch
from tests.conftest import random_batch

SIZES = [3, 1, 2]


def _gather(rank, folder, reduce_scatter):
    """Gather uneven batches, and weigh what came so that each process's gradients differ."""
    # torch tells so which of its functions end.
    warnings.simplefilter('error', FutureWarning)
    distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=len(SIZES))
    # Recent releases of gloo can.
    kmcl_mm.functional.distributed._can_reduce_scatter = lambda tensor: reduce_scatter
    parts = [part.split(SIZES)[rank].clone() for part in random_batch(sum(SIZES))[2:]]
    mean, variance = (part.requires_grad_() for part in parts[:2])
    batch = gather_batch(mean, variance, parts[2])
    ((rank + 1) * (batch.mean.square().sum() + batch.variance.pow(3).sum())).backward()
    shares = batch.own_share, batch.own_labelled_share
    torch.save((batch.mean.detach(), batch.target, batch.own, shares, mean.grad, variance.grad), folder / f'{rank}.pt')
    leave_process_group()


@pytest.mark.parametrize('reduce_scatter', [False, True])
def test_uneven_batches_of_three_processes(reduce_scatter):
    """All have all images in order of rank; the gradients are summed over the processes (1 + 2 + 3 = 6 times one's)."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_gather, args=(Path(folder), reduce_scatter), nprocs=len(SIZES))
        ranks = [torch.load(Path(folder, f'{rank}.pt'), weights_only=False) for rank in range(len(SIZES))]
    _, _, mean, variance, target = random_batch(sum(SIZES))
    labelled = [part.any(dim=1).sum().item() for part in target.split(SIZES)]
    first = 0
    for rank, (gathered, gathered_target, own, shares, grad_mean, grad_variance) in enumerate(ranks):
        torch.testing.assert_close(gathered, mean, rtol=0, atol=0)
        torch.testing.assert_close(gathered_target, target, rtol=0, atol=0)
        assert own == slice(first, first + SIZES[rank])
        torch.testing.assert_close(grad_mean, 6 * 2 * mean[own])
        torch.testing.assert_close(grad_variance, 6 * 3 * variance[own] ** 2)
        assert shares[0] == pytest.approx(3 * SIZES[rank] / sum(SIZES))
        assert shares[1].item() == pytest.approx(3 * labelled[rank] / sum(labelled))
        first += SIZES[rank]


def test_one_process_keeps_its_batch():
    _, _, mean, variance, target = random_batch()
    batch = gather_batch(mean, variance, target)
    assert batch.mean is mean and batch.variance is variance and batch.target is target
    assert batch.own_share == 1 and batch.own_labelled_share == 1


def test_nobody_has_a_label():
    _, _, mean, variance, target = random_batch()
    assert KernelBatch(mean, variance, 0 * target, slice(0, len(mean))).own_labelled_share == 0
