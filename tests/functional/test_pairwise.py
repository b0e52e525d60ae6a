import pytest
import torch

from kmcl_mm.functional import pairwise
from kmcl_mm.functional.pairwise import KernelGroup, all_kernels, kernels_of_present_labels, pairwise_distance
from tests import judge
from tests.conftest import random_batch

COVARIANCES = ['isotropic', 'anisotropic']


def pairs_of(groups):
    """Label and image of each row of the distances, as plain numbers."""
    return [
        (label, image)
        for group in groups
        for label, images in zip(group.labels.tolist(), group.images.tolist())
        for image in images
    ]


def test_all_kernels_are_there_once():
    pairs = pairs_of(all_kernels(4, 3, torch.device('cpu')))
    assert pairs == [(label, image) for label in range(3) for image in range(4)]


@pytest.mark.parametrize('density', [0.0, 0.1, 0.5, 1.0])
def test_kernels_of_present_labels_are_there_once(density):
    target = (torch.rand(9, 7, generator=torch.Generator().manual_seed(0)) < density).float()
    pairs = pairs_of(kernels_of_present_labels(target))
    assert sorted(pairs) == [(k, i) for k in range(7) for i in range(9) if target[i, k]]


@pytest.mark.parametrize('covariance', COVARIANCES)
def test_distance_of_some_kernels_equals_the_judge(covariance):
    _, _, mean, variance, target = random_batch(6, 5, 3, covariance)
    groups = kernels_of_present_labels(target)
    distance = pairwise_distance(mean, variance, groups)
    expected = [[judge.distance(mean, variance, i, j, k) for j in range(6)] for k, i in pairs_of(groups)]
    torch.testing.assert_close(distance, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('block_elements', [1, 7, 40, 2**18])
def test_gradients_in_blocks_of_any_size(covariance, block_elements, monkeypatch):
    monkeypatch.setitem(pairwise._BLOCK_ELEMENTS, 'cpu', block_elements)
    _, _, mean, variance, target = random_batch(5, 4, 3, covariance)
    groups = kernels_of_present_labels(target)
    inputs = mean.requires_grad_(), variance.requires_grad_()
    torch.autograd.gradcheck(lambda *kernels: pairwise_distance(*kernels, groups), inputs)


def test_no_kernels_have_a_gradient_of_zero():
    _, _, mean, variance, target = random_batch()
    mean.requires_grad_(), variance.requires_grad_()
    distance = pairwise_distance(mean, variance, kernels_of_present_labels(0 * target))
    assert distance.shape == (0, len(mean))
    distance.sum().backward()
    assert mean.grad.eq(0).all() and variance.grad.eq(0).all()


@pytest.mark.parametrize('magnitude', [1.0, 1e3, 1e6])
def test_equal_kernels_are_at_distance_zero_and_none_is_negative(magnitude):
    mean = torch.randn(5, 16, 3) * magnitude
    variance = 1 + torch.rand(5, 16, 3) * magnitude
    mean[3], variance[3] = mean[1], variance[1]
    distance = pairwise_distance(mean, variance, all_kernels(5, 3, mean.device)).view(3, 5, 5)
    assert distance.diagonal(dim1=1, dim2=2).eq(0).all() and distance[:, 1, 3].eq(0).all()
    assert distance.min() >= 0


@pytest.mark.parametrize('step', [1e-6, 1e-4, 1e-2])
def test_small_distances_keep_their_digits(step):
    """Variances that differ in their last digits, against float64."""
    variance = torch.tensor([[[3.0]], [[3.0 * (1 + step)]]])
    distance = pairwise_distance(torch.zeros(2, 1, 1), variance, all_kernels(2, 1, variance.device))
    first, second = variance.double().flatten()
    expected = 0.25 * torch.log1p((first - second) ** 2 / (4 * first * second))
    torch.testing.assert_close(distance[0, 1].double(), expected, rtol=1e-6, atol=0)


def test_the_graph_holds_no_pairs_of_dimensions():
    """The arguments and indices only, no tensor of N * N * M * K."""
    mean, variance = torch.randn(24, 32, 16, requires_grad=True), torch.ones(24, 32, 16)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: sizes.append(tensor.numel()) or tensor, lambda x: x):
        pairwise_distance(mean, variance, all_kernels(24, 16, mean.device))
    assert max(sizes) == 2 * mean.numel()


def test_groups_in_any_order():
    _, _, mean, variance, _ = random_batch(4, 3, 2)
    group = KernelGroup(torch.tensor([2, 0]), torch.tensor([[3], [1]]))
    distance = pairwise_distance(mean, variance, [group])
    assert distance[0, 0].item() == pytest.approx(judge.distance(mean, variance, 3, 0, 2))
    assert distance[1, 2].item() == pytest.approx(judge.distance(mean, variance, 1, 2, 0))
