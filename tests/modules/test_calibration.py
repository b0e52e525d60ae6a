import copy
import io

import pytest
import torch

from kmcl_mm import KernelMixtureHead
from kmcl_mm.functional import neighbour_vote
from kmcl_mm.functional.calibration import Regression
from kmcl_mm.modules.calibration import Calibration, calibrate, descriptions_of, logits_of
from kmcl_mm.modules.kernel_memory import KernelMemory


def features(images=5, width=8, seed=0):
    return torch.randn(images, width, generator=torch.Generator().manual_seed(seed))


def head_of(**options):
    torch.manual_seed(0)
    return KernelMixtureHead(num_classes=3, in_channels=8, **{'embedding_channels': 4, **options}).eval()


def calibration_for(head, slopes=(0.5, 0.3, 0.2), voters=20):
    feats = features(voters, seed=1)
    with torch.inference_mode():
        descriptions = descriptions_of(head, feats, head(feats))
    target = torch.randint(-1, 2, (voters, 3), generator=torch.Generator().manual_seed(2))
    memories = [KernelMemory.of(part, neighbours=6, temperature=0.2) for part in descriptions]
    regression = Regression(torch.tensor(slopes), torch.tensor([-1.0, 0.0, 1.0]))
    return Calibration(regression, memories, target, [f'{number}.jpg' for number in range(voters)])


@pytest.mark.parametrize('covariance, width', [('anisotropic', 4), ('anisotropic', 8), ('isotropic', 4)])
def test_a_calibrated_head_against_its_definition(covariance, width):
    """The embedding may be as wide as the features are."""
    head, feats = head_of(covariance=covariance, embedding_channels=width), features()
    plain = head(feats)
    calibration = calibration_for(head)
    calibrate(head, calibration)
    expected = 0.5 * plain.double() + torch.tensor([-1.0, 0.0, 1.0])
    second = head.pre_logits(feats) if covariance == 'anisotropic' else plain
    for slope, memory, description in zip((0.3, 0.2), calibration.memories, (feats, second)):
        centred = description.double() - memory.mean.double()
        query = centred / centred.norm(dim=1, keepdim=True)
        votes = neighbour_vote(query, memory.vectors, calibration.target, 6, 0.2)
        expected += slope * votes.clamp(1e-3, 1 - 1e-3).logit()
    assert torch.allclose(head(feats).double(), expected, atol=1e-4)
    assert torch.allclose(head(feats=feats).double(), expected, atol=1e-4)
    calibrate(head, None)
    assert torch.equal(head(feats), plain)


def test_a_training_takes_no_notice_and_the_weights_keep_their_names():
    head, feats = head_of(), features()
    names, plain = list(head.state_dict()), head(feats)
    calibrate(head, calibration_for(head))
    assert list(head.state_dict()) == names and not torch.equal(head(feats), plain)
    assert torch.equal(head.train()(feats), plain) and torch.equal(head.mixture(feats).logits, plain)
    assert [name for name, _ in head.named_parameters()] == [name for name, _ in head_of().named_parameters()]


def test_a_copy_is_calibrated_by_itself():
    head, feats = head_of(), features()
    calibrate(head, calibration_for(head))
    copied = copy.deepcopy(head)
    assert torch.equal(copied(feats), head(feats))
    calibrate(copied, None)
    assert not torch.equal(copied(feats), head(feats))


def test_the_state_makes_the_same_again():
    head, feats = head_of(), features()
    calibration = calibration_for(head)
    file = io.BytesIO()
    torch.save(calibration.state(), file)
    file.seek(0)
    again = Calibration.from_state(torch.load(file, weights_only=True))
    descriptions = descriptions_of(head, feats, head(feats))
    assert again.names == calibration.names
    assert torch.equal(again(head(feats), *descriptions), calibration(head(feats), *descriptions))


def test_in_half_precision():
    head, feats = head_of(), features()
    calibrate(head, calibration_for(head))
    expected = head(feats)
    with torch.autocast('cpu', torch.bfloat16):
        found = head(feats)
    assert found.dtype == torch.float32 and torch.allclose(found, expected, atol=0.2)


def test_the_voters_are_those_with_the_most_weight():
    head, feats = head_of(), features()
    calibration = calibration_for(head, slopes=(1.0, 0.6, -0.2))
    descriptions = descriptions_of(head, feats, head(feats))
    shares, places = calibration.voters(4, calibration.neighbours(*descriptions))
    weights, expected = calibration.memories[0](descriptions[0])  # the other does not count: its slope is negative
    assert torch.equal(places, expected[:, :4]) and torch.allclose(shares, weights[:, :4])
    calibration = calibration_for(head)
    shares, places = calibration.voters(100, calibration.neighbours(*descriptions))
    assert shares.shape == (5, 20) and torch.allclose(shares.sum(dim=1), torch.ones(5))


def test_votes_without_a_doubt_have_finite_logits():
    assert logits_of(torch.tensor([0.0, 1.0])).isfinite().all()


@pytest.mark.parametrize('width', [None, 8, 3])
def test_projection_keeps_similarities(width):
    """Vectors in a space of three dimensions lose nothing but their digits in float16."""
    descriptions = features(30, width=3) @ features(3, seed=3)
    memory = KernelMemory.of(descriptions, width)
    assert memory.vectors.dtype == torch.float16 and memory.vectors.shape[1] == (width or 8)
    vectors = memory.vectors_of(descriptions)
    centred = torch.nn.functional.normalize(descriptions - descriptions.mean(dim=0), dim=1)
    assert torch.allclose(vectors @ vectors.T, centred @ centred.T, atol=1e-3)
    assert torch.equal(KernelMemory.of(descriptions, width).vectors, memory.vectors)


def test_alike_descriptions_are_finite():
    memory = KernelMemory.of(torch.ones(5, 3), neighbours=2)
    weights, _ = memory(torch.ones(1, 3))
    assert torch.allclose(weights, torch.full((1, 2), 0.5))


def test_parts_that_do_not_fit():
    head = head_of()
    calibration = calibration_for(head)
    memories, target, names = list(calibration.memories), calibration.target, calibration.names
    two, three = torch.zeros(2), torch.zeros(3)
    for arguments in (
        (Regression(two, three), memories, target, names),
        (Regression(three, two), memories, target, names),
        (Regression(three, three), memories, target[:-1], names),
        (Regression(three, three), memories, None, names),
        (Regression(torch.full((3,), float('nan')), three), memories, target, names),
        (Regression(three, three), memories, target, names[1:]),
    ):
        with pytest.raises(ValueError, match='Expected argument'):
            Calibration(*arguments)
    for change in (
        dict(mean=torch.zeros(7)),
        dict(neighbours=0),
        dict(temperature=0),
        dict(projection=torch.zeros(7, 8)),
    ):
        with pytest.raises(ValueError, match='Expected argument'):
            KernelMemory(**{**memories[0].state(), **change})
    for state in ({}, dict(calibration.state(), memories=[{}]), dict(calibration.state(), slopes=1)):
        with pytest.raises(ValueError, match='its parts are not'):
            Calibration.from_state(state)
    with pytest.raises(ValueError, match='of 8 dimensions.*got 4'):
        memories[0](torch.zeros(2, 4))
    with pytest.raises(ValueError, match='GlobalAveragePooling'):
        descriptions_of(head, torch.zeros(2, 8, 7, 7), torch.zeros(2, 3))
