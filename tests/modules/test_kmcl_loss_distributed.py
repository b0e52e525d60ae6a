"""Several processes train to what one process with the whole batch trains to."""

import pytest
import torch

from tests.distributed_training import BALANCE, UNEVEN, Case, data, differences, train, train_together

LOCAL = Case('anisotropic', 'exact', torch.float64, gather_distributed=False)


@pytest.fixture(scope='module')
def two_processes():
    cases = [*UNEVEN, *BALANCE, LOCAL]
    return {case: results for case, *results in zip(cases, *train_together(cases, 2))}


@pytest.fixture(scope='module')
def three_processes():
    return {case: results for case, *results in zip(UNEVEN, *train_together(UNEVEN, 3))}


@pytest.fixture(scope='module')
def four_processes():
    return {case: results for case, *results in zip(BALANCE, *train_together(BALANCE, 4))}


@pytest.mark.parametrize('processes', ['two_processes', 'three_processes'])
@pytest.mark.parametrize('case', UNEVEN, ids=str)
def test_uneven_batches(processes, case, request):
    """Losses, gradients, trained and averaged parameters, on every process."""
    tolerance = 1e-6 if case.dtype == torch.float64 else 1e-4
    for results in request.getfixturevalue(processes)[case]:
        found = differences(case, results)
        assert found.keys() == {'losses', 'gradient', 'trained', 'average'}
        assert max(found.values()) < tolerance, found


@pytest.mark.parametrize('processes', ['two_processes', 'four_processes'])
@pytest.mark.parametrize('case', BALANCE, ids=str)
def test_64_images_on_any_number_of_processes(processes, case, request):
    for results in request.getfixturevalue(processes)[case]:
        assert max(differences(case, results).values()) < 1e-6


def test_what_is_compared_is_a_training():
    """Some images have no label, and the parameters move."""
    case = UNEVEN[0]
    assert any((target.sum(dim=1) == 0).any() for _, target in data(case))
    results = train(case, 0, 1)
    for name in ('head.mean.weight', 'head.variance.weight', 'head.logits.weight'):
        assert (results[f'trained {name}'] - results[f'average of {name}']).abs().max() > 1e-3


def test_contrast_among_own_images_alone_is_another_loss(two_processes):
    """The published code's way has fewer images to compare with, and so a smaller value."""
    local, gathered = (
        two_processes[LOCAL._replace(gather_distributed=together)][0]['losses'] for together in (False, True)
    )
    assert local[2] < 0.9 * gathered[2]
    torch.testing.assert_close(local[0], gathered[0])
