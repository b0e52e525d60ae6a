import numpy as np
import pytest
import torch

from kmcl_mm.apps.report.kernels import KernelDistances, label_distance


def coefficient(mean, variance, other_mean, other_variance):
    """The integral of the square root of the product of two normal densities."""
    x = np.linspace(-60, 60, 400_001)

    def density(mean, variance):
        return np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)

    return np.trapezoid(np.sqrt(density(mean, variance) * density(other_mean, other_variance)), x)


def kernels(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).double(), 1 + torch.rand(shape, generator=generator).double()


def test_distance_is_that_of_the_labels_in_each_image():
    """Dimensions are independent: the coefficients of all of them are multiplied."""
    mean, variance = kernels((2, 3, 4))
    distance = label_distance(torch.zeros(2, 3), mean, variance)
    assert distance.shape == (2, 4, 4)
    for i, k, other in [(0, 0, 1), (1, 3, 2), (0, 2, 2)]:
        factors = [
            coefficient(*(float(part[i, m, label]) for label in (k, other) for part in (mean, variance)))
            for m in range(3)
        ]
        assert float(distance[i, k, other]) == pytest.approx(-np.log(np.prod(factors)), abs=1e-6)


def test_an_isotropic_kernel_counts_in_each_dimension():
    mean, variance = kernels((2, 4))
    wide = [part.unsqueeze(1).expand(2, 5, 4) for part in (mean, variance)]
    torch.testing.assert_close(
        label_distance(torch.zeros(2, 5), mean, variance), label_distance(torch.zeros(2, 5), *wide)
    )


def test_the_mean_is_over_images_with_either_label():
    mean, variance = kernels((3, 5, 3))
    target = torch.tensor([[1, 0, 0], [0, 1, 0], [1, -1, 0]])
    distances = KernelDistances([0, 1, 2])
    for part in (slice(0, 2), slice(2, 3)):
        distances.add(torch.zeros(3, 5)[part], mean[part], variance[part], target[part])
    similarity = distances.similarity()
    each = label_distance(torch.zeros(3, 5), mean, variance)
    assert float(similarity.distance[0, 1]) == pytest.approx(float(each[:, 0, 1].mean()))
    assert float(similarity.distance[1, 2]) == pytest.approx(float(each[1, 1, 2]))
    assert float(similarity.coefficient[0, 1]) == pytest.approx(np.exp(-float(each[:, 0, 1].mean()) / 5))
    some = KernelDistances([2, 0])
    some.add(torch.zeros(3, 5), mean, variance, target)
    torch.testing.assert_close(some.similarity().distance, similarity.distance[[2, 0]][:, [2, 0]], equal_nan=True)
    nobody = KernelDistances([0, 1, 2])
    nobody.add(torch.zeros(3, 5), mean, variance, torch.zeros(3, 3))
    assert nobody.similarity().distance.isnan().all()
