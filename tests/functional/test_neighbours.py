import math
import re

import pytest
import torch

from kmcl_mm.functional import neighbour_vote
from kmcl_mm.functional import neighbours as module
from tests.conftest import ROOT


def drawn(images=7, voters=40, width=6, labels=5, unknown=0.2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    query, memory = (torch.randn(n, width, generator=generator, dtype=torch.float64) for n in (images, voters))
    target = torch.randint(0, 2, (voters, labels), generator=generator)
    target[torch.rand(target.shape, generator=generator) < unknown] = -1
    return torch.nn.functional.normalize(query, dim=1), torch.nn.functional.normalize(memory, dim=1), target


def judge(query, memory, target, neighbours, temperature):
    """The definition, image by image and label by label, in Python's own numbers."""
    votes = []
    for image in query.tolist():
        cosines = [sum(map(lambda a, b: a * b, image, other)) for other in memory.tolist()]
        order = sorted(range(len(cosines)), key=lambda j: -cosines[j])
        highest, cut = max(cosines), 0
        if neighbours < len(order):
            cut = math.exp((cosines[order[neighbours]] - highest) / temperature) - 1e-6
        weights = {j: math.exp((cosines[j] - highest) / temperature) - cut for j in order[:neighbours]}
        row = []
        for label in range(target.shape[1]):
            known = {j: weight for j, weight in weights.items() if target[j, label] != -1}
            row.append(sum(w for j, w in known.items() if target[j, label] == 1) / sum(known.values()))
        votes.append(row)
    return torch.tensor(votes, dtype=torch.float64)


@pytest.mark.parametrize('neighbours', [10, 39, 40, 100])
@pytest.mark.parametrize('temperature', [0.05, 1.0])
def test_against_the_definition_in_python(neighbours, temperature):
    query, memory, target = drawn()
    expected = judge(query, memory, target, neighbours, temperature)
    found = neighbour_vote(query, memory, target, neighbours, temperature)
    assert found.dtype == torch.float64 and torch.allclose(found, expected, atol=1e-9)
    assert torch.allclose(
        neighbour_vote(query.float(), memory.float(), target, neighbours, temperature).double(), expected, atol=1e-4
    )


def test_a_memory_of_16_bits_in_blocks(monkeypatch):
    query, memory, target = drawn(images=33)
    memory = memory.half()
    expected = neighbour_vote(query, memory.double(), target, 10, 0.1)
    assert torch.allclose(neighbour_vote(query.float(), memory, target, 10, 0.1).double(), expected, atol=1e-5)
    monkeypatch.setattr(module, '_BLOCK', 200)
    assert torch.allclose(neighbour_vote(query, memory, target, 10, 0.1), expected, atol=1e-12)


def test_the_vote_does_not_jump_when_two_images_change_places():
    """The second and the third image of the memory differ in their label and, nearly, in nothing else."""
    query, target = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([[1], [1], [0]])
    votes = []
    for angle in (0.5 - 1e-7, 0.5 + 1e-7):
        angles = torch.tensor([0.1, angle, 0.5], dtype=torch.float64)
        memory = torch.stack([angles.cos(), angles.sin()], dim=1)
        votes.append(neighbour_vote(query, memory, target, neighbours=2, temperature=0.1).item())
    assert votes[0] == pytest.approx(votes[1], abs=1e-5)


def test_copies_vote_alike():
    """More copies than neighbours: no weight is left over the first that does not vote."""
    memory, target = torch.ones(4, 2) / 2**0.5, torch.tensor([[1], [1], [1], [1]])
    assert neighbour_vote(memory[:1], memory, target, neighbours=2, temperature=0.1).item() == 1


def test_labels_that_no_neighbour_knows():
    """The first is known of the image that does not vote, the second of none."""
    query, memory = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    target = torch.tensor([[-1, -1], [1, -1]])
    assert neighbour_vote(query, memory, target, neighbours=1, temperature=0.1).tolist() == [[1.0, 0.5]]


def test_the_program_with_faiss_on_the_page():
    pytest.importorskip('faiss', reason='faiss is not installed')
    (program,) = re.findall(r'```python\n(import faiss.*?)```', (ROOT / 'docs/calibration.md').read_text(), re.DOTALL)
    query, memory, target = drawn(voters=200)
    names = dict(query=query.float(), memory=memory.float(), target=target)
    exec(program, names)
    expected = neighbour_vote(query, memory, target, neighbours=50, temperature=0.1)
    assert torch.allclose(names['votes'].double(), expected, atol=1e-5)


@pytest.mark.parametrize('scale', [0.0, 1e4])
def test_extreme_vectors_give_finite_votes(scale):
    query, memory, target = drawn()
    votes = neighbour_vote(scale * query.float(), scale * memory.float(), target, 10, 1e-6)
    assert votes.isfinite().all() and ((votes >= 0) & (votes <= 1)).all()


def test_gradients_reach_the_vectors():
    query, memory, target = drawn(images=2, voters=8, width=3, labels=2)
    query.requires_grad_(), memory.requires_grad_()
    assert torch.autograd.gradcheck(lambda q, m: neighbour_vote(q, m, target, 5, 0.3), (query, memory))


@pytest.mark.parametrize(
    'change',
    [dict(neighbours=0), dict(temperature=0), dict(query=torch.ones(2, 3)), dict(target=torch.full((40, 5), 2))]
    + [dict(memory=torch.ones(0, 6), target=torch.ones(0, 5)), dict(target=torch.ones(39, 5))],
)
def test_wrong_arguments(change):
    arguments = dict(zip(('query', 'memory', 'target'), drawn()), neighbours=3, temperature=0.1)
    with pytest.raises(ValueError, match='Expected argument'):
        neighbour_vote(**{**arguments, **change})
