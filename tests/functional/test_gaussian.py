import pytest
import torch
from torch.distributions import Normal

from kmcl_mm.functional import bhattacharyya_distance, log_kernel
from tests import judge
from tests.conftest import random_batch


@pytest.mark.parametrize('covariance', ['isotropic', 'anisotropic'])
def test_log_kernel_equals_the_judge(covariance):
    embedding, _, mean, variance, _ = random_batch(covariance=covariance)
    expected = torch.tensor(judge.log_kernel(embedding, mean, variance), dtype=torch.float64)
    torch.testing.assert_close(log_kernel(embedding, mean, variance), expected)


def test_log_kernel_is_a_normal_density_without_its_constant():
    embedding, _, mean, variance, _ = random_batch()
    density = Normal(mean, variance.sqrt())
    expected = (density.log_prob(embedding.unsqueeze(-1)) - density.log_prob(mean)).sum(dim=1)
    torch.testing.assert_close(log_kernel(embedding, mean, variance), expected)


def test_isotropic_kernel_is_an_anisotropic_one_with_equal_dimensions():
    embedding, _, mean, variance, _ = random_batch(covariance='isotropic')
    repeated = [part.unsqueeze(1).expand(-1, embedding.shape[1], -1) for part in (mean, variance)]
    torch.testing.assert_close(log_kernel(embedding, mean, variance), log_kernel(embedding, *repeated))


def test_isotropic_kernel_does_not_cancel_far_from_the_origin():
    embedding, _, mean, variance, _ = random_batch(dimensions=2048, covariance='isotropic')
    inputs = [part.float() for part in (embedding + 1e4, mean + 1e4, variance)]
    expected = log_kernel(*(part.double() for part in inputs))
    torch.testing.assert_close(log_kernel(*inputs).double(), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize('covariance', ['isotropic', 'anisotropic'])
def test_log_kernel_gradients(covariance):
    inputs = [part.requires_grad_() for part in random_batch(4, 3, 3, covariance)[:4]]
    torch.autograd.gradcheck(log_kernel, (inputs[0], inputs[2], inputs[3]))


@pytest.mark.parametrize('covariance', ['isotropic', 'anisotropic'])
def test_distance_equals_the_judge(covariance):
    _, _, mean, variance, _ = random_batch(4, 3, 5, covariance)
    expected = [[[judge.distance(mean, variance, i, j, k) for k in range(3)] for j in range(4)] for i in range(4)]
    torch.testing.assert_close(bhattacharyya_distance(mean, variance), torch.tensor(expected, dtype=torch.float64))


def test_distance_is_the_integral_of_the_root_of_two_densities():
    mean, variance = torch.tensor([[0.3], [1.7]]).double(), torch.tensor([[1.2], [4.0]]).double()
    x = torch.linspace(-40, 40, 400001, dtype=torch.float64)
    first, second = (Normal(mean[i, 0], variance[i, 0].sqrt()).log_prob(x) for i in (0, 1))
    coefficient = torch.trapezoid(((first + second) / 2).exp(), x)
    result = bhattacharyya_distance(mean, variance)[0, 1, 0]
    torch.testing.assert_close((-result).exp(), coefficient)


@pytest.mark.parametrize('covariance', ['isotropic', 'anisotropic'])
def test_distance_gradcheck(covariance):
    _, _, mean, variance, _ = random_batch(4, 3, 3, covariance)
    torch.autograd.gradcheck(bhattacharyya_distance, (mean.requires_grad_(), variance.requires_grad_()))


@pytest.mark.parametrize(
    'function, shapes, name',
    [
        (log_kernel, ((4, 3), (4, 2, 5), (4, 2, 5)), 'mean'),
        (log_kernel, ((4, 3), (4, 5), (4, 6)), 'variance'),
        (log_kernel, ((4, 3), (5, 5), (5, 5)), 'embedding'),
        (log_kernel, ((4, 3), (4,), (4,)), 'mean'),
        (bhattacharyya_distance, ((4, 3), (4, 2, 3)), 'variance'),
        (bhattacharyya_distance, ((4,), (4,)), 'mean'),
    ],
)
def test_wrong_shapes_name_the_argument(function, shapes, name):
    with pytest.raises(ValueError, match=f'`{name}`.*but got'):
        function(*map(torch.ones, shapes))
