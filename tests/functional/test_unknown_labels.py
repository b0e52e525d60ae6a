"""Unknown labels (-1): each loss against the same loss of what is known, image by image."""

import math

import pytest
import torch

from kmcl_mm.functional import (
    asymmetric_loss,
    bhattacharyya_distance,
    clamped_reconstruction_loss,
    contrastive,
    kernel_contrastive_loss,
    reconstruction_loss,
)
from kmcl_mm.functional.distributed import KernelBatch
from kmcl_mm.functional.pairwise import all_kernels
from tests.conftest import random_batch


def batch_with_unknown(covariance='anisotropic'):
    embedding, logits, mean, variance, target = random_batch(images=8, labels=5, covariance=covariance)
    unknown = torch.rand(target.shape, generator=torch.Generator().manual_seed(1)) < 0.3
    target = target.masked_fill(unknown, -1)
    return embedding, logits, mean, variance, target


def test_asymmetric_loss_is_the_sum_over_known_labels():
    _, logits, _, _, target = batch_with_unknown()
    known = target != -1
    expected = asymmetric_loss(logits[known].unsqueeze(0), target[known].unsqueeze(0))
    torch.testing.assert_close(asymmetric_loss(logits, target), expected)


@pytest.mark.parametrize('covariance', ['isotropic', 'anisotropic'])
@pytest.mark.parametrize('loss', [reconstruction_loss, clamped_reconstruction_loss])
def test_reconstruction_of_each_image_is_that_of_its_known_labels(loss, covariance):
    embedding, logits, mean, variance, target = batch_with_unknown(covariance)
    alone = []
    for i, row in enumerate(target):
        known = row != -1
        if loss is clamped_reconstruction_loss or (row == 1).any():
            alone.append(
                loss(
                    embedding[i : i + 1],
                    logits[i : i + 1, known],
                    mean[i : i + 1, ..., known],
                    variance[i : i + 1, ..., known],
                    row[known].unsqueeze(0),
                )
            )
    torch.testing.assert_close(loss(embedding, logits, mean, variance, target), torch.stack(alone).mean())


def contrast_by_definition(mean, variance, target, place, temperature=0.17):
    """The loss in loops over images and labels."""
    similarity = (-bhattacharyya_distance(mean, variance)).exp()
    images, labels = target.shape
    total = 0.0
    for i in range(images):
        partners = {
            j for j in range(images) if j != i and any(target[i, k] == 1 == target[j, k] for k in range(labels))
        }
        for j in partners:
            both_known = [k for k in range(labels) if -1 not in (target[i, k], target[j, k])]
            shared = [k for k in both_known if target[i, k] == 1 == target[j, k]]
            jaccard = len(shared) / len([k for k in both_known if 1 in (target[i, k], target[j, k])])
            for k in shared:
                others = [n for n in range(images) if n != i and target[n, k] != -1]
                share = torch.stack([similarity[i, n, k] / temperature for n in others]).log_softmax(dim=0)
                value = share[others.index(j)]
                weight = jaccard if place == 'outside' else 1
                offset = math.log(jaccard) if place == 'inside' else 0
                total = total - weight * (value + offset) / len(partners)
    return total / images


@pytest.mark.parametrize('place', ['outside', 'inside', 'none'])
@pytest.mark.parametrize('on_accelerator', [False, True])
def test_contrast_compares_known_labels_only(place, on_accelerator, monkeypatch):
    _, _, mean, variance, target = batch_with_unknown()
    if on_accelerator:
        monkeypatch.setattr(contrastive, '_anchor_kernels', lambda own: all_kernels(*own.shape, own.device))
    expected = contrast_by_definition(mean, variance, target, place)
    torch.testing.assert_close(kernel_contrastive_loss(mean, variance, target, jaccard=place), expected)


def test_an_unknown_label_gets_no_gradient_from_any_loss():
    embedding, logits, mean, variance, target = batch_with_unknown()
    leaves = [part.requires_grad_() for part in (embedding, logits, mean, variance)]
    total = (
        asymmetric_loss(logits, target)
        + reconstruction_loss(embedding, logits, mean, variance, target)
        + kernel_contrastive_loss(mean, variance, target)
    )
    total.backward()
    unknown = target == -1
    assert all(leaf.grad.isfinite().all() for leaf in leaves)
    assert not logits.grad[unknown].any()
    assert not mean.grad.transpose(1, 2)[unknown].any() and not variance.grad.transpose(1, 2)[unknown].any()


def test_images_of_which_nothing_is_known_have_no_part_in_the_means_over_labelled_images():
    target = torch.tensor([[1.0, 0.0], [-1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]])
    zeros = torch.zeros(4, 2)
    assert KernelBatch(zeros, zeros, target, slice(0, 2), num_processes=2).own_labelled_share == 1
    alone = reconstruction_loss(zeros[:1], zeros[:1], zeros[:1], zeros[:1] + 1, target[:1])
    with_unknown = reconstruction_loss(zeros[:2], zeros[:2], zeros[:2], zeros[:2] + 1, target[:2])
    torch.testing.assert_close(with_unknown, alone)
