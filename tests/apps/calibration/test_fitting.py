import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch.nn.functional import normalize

from kmcl_mm.apps.calibration import fitting
from kmcl_mm.apps.calibration.described_images import DescribedImages
from kmcl_mm.apps.calibration.fitting import calibrated_scores, fit, fit_like, reduction_cost, votes_of, widths_for
from kmcl_mm.evaluation.resampling import average_precisions, mean_average_precisions
from kmcl_mm.functional import fit_calibration, neighbour_vote
from kmcl_mm.modules.kernel_memory import KernelMemory
from tests.apps.calibration.drawn import LABELS, WIDTHS, drawn_images


@pytest.fixture(scope='module')
def training():
    return drawn_images(150, seed=0, unknown=0.1)


@pytest.fixture(scope='module')
def validation():
    return drawn_images(200, seed=1, unknown=0.1)


@pytest.fixture(scope='module')
def calibration(training, validation):
    return fit(training, validation)


def known_loss(scores, target):
    """Mean cross-entropy of the known labels, as scikit-learn has it."""
    known = (target != -1).numpy()
    return log_loss(target.numpy()[known], scores.double().numpy()[known])


def plain_votes(training, images, part, neighbours, temperature):
    """The definition, with the rounding of the memory to 16 bits."""
    mean = training.descriptions[part].mean(dim=0)
    memory = normalize(training.descriptions[part] - mean, dim=1).half().float()
    query = normalize(images.descriptions[part] - mean, dim=1)
    return neighbour_vote(query, memory, training.target, neighbours, temperature)


def plain_logits(votes):
    return torch.logit(votes.clamp(0.001, 0.999))


def plain_scores(regression, *logits):
    mixed = sum(slope * part.double() for slope, part in zip(regression.slopes, logits))
    return (mixed + regression.biases).sigmoid()


def most_likely(choices, training, validation, part):
    """The number of neighbours and the temperature with the lowest cross-entropy, after one regression for each."""
    losses = {}
    for choice in choices:
        votes = plain_logits(plain_votes(training, validation, part, *choice))
        regression = fit_calibration(torch.stack([validation.logits, votes]), validation.target)
        losses[choice] = known_loss(plain_scores(regression, validation.logits, votes), validation.target)
    return min(losses, key=losses.__getitem__)


def test_without_training_images_it_is_the_regression_on_the_logits(validation):
    calibration = fit(None, validation)
    slopes, biases = fit_calibration(validation.logits.unsqueeze(0), validation.target)
    assert torch.allclose(calibration.slopes, slopes.float()) and torch.allclose(calibration.biases, biases.float())
    assert len(calibration.memories) == 0 and calibration.names == ()


def test_neighbours_and_temperature_are_the_most_likely_ones(training, validation, calibration):
    """All 32 choices, one after another; there are fewer images than the most neighbours."""
    assert fitting.NEIGHBOURS[-1] > len(training) > fitting.NEIGHBOURS[-2]
    logits = [validation.logits]
    choices = list(itertools.product([*fitting.NEIGHBOURS[:-1], len(training)], fitting.TEMPERATURES))
    for part, memory in enumerate(calibration.memories):
        best = most_likely(choices, training, validation, part)
        assert (memory.neighbours, memory.temperature) == best
        logits.append(plain_logits(plain_votes(training, validation, part, *best)))

    regression = fit_calibration(torch.stack(logits), validation.target)
    assert torch.allclose(calibration.slopes.double(), regression.slopes, atol=1e-4)
    assert torch.allclose(calibration.biases.double(), regression.biases, atol=1e-4)
    expected = plain_scores(regression, *logits)
    assert torch.allclose(calibrated_scores(calibration, validation).double(), expected, atol=1e-4)


def test_where_there_are_more_images_than_the_most_neighbours(training, validation, monkeypatch):
    """The first one that has no vote counts in the weights of the others."""
    temperatures = [0.02 * 1.15**step for step in range(30)]
    monkeypatch.setattr(fitting, 'NEIGHBOURS', (6,))
    monkeypatch.setattr(fitting, 'TEMPERATURES', temperatures)
    for part, memory in enumerate(fit(training, validation).memories):
        best = most_likely([(6, temperature) for temperature in temperatures], training, validation, part)
        assert (memory.neighbours, memory.temperature) == best


def test_votes_make_the_labels_of_other_images_more_likely(training, validation, calibration):
    test = drawn_images(400, seed=2)
    alone = fit(None, validation)
    losses = [known_loss(calibrated_scores(each, test), test.target) for each in (None, alone, calibration)]
    assert losses[0] > losses[1] + 0.1 > losses[2] + 0.2
    results = [
        mean_average_precisions(calibrated_scores(each, test).numpy(), test.target.numpy())[0]
        for each in (None, alone, calibration)
    ]
    assert results[1] == pytest.approx(results[0]) and results[2] > results[0] + 3
    assert (calibration.slopes > 0).all()
    assert torch.equal(calibration.target.long(), training.target) and list(calibration.names) == training.names


def test_the_choice_is_made_on_few_images_and_the_regression_on_all(training, validation, calibration, monkeypatch):
    looked_at = []
    choose = fitting._choose

    def note(memory, images, target, few):
        looked_at.append(few.names)
        assert len(images) == len(few)
        choose(memory, images, target, few)
        return 50, 0.2

    monkeypatch.setattr(fitting, '_choose', note)
    monkeypatch.setattr(fitting, '_IMAGES_FOR_CHOICE', 40)
    found = fit(training, validation)
    assert looked_at == [validation.drawn(40).names] * 2 and len(set(looked_at[0])) == 40
    votes = [plain_logits(plain_votes(training, validation, part, 50, 0.2)) for part in (0, 1)]
    regression = fit_calibration(torch.stack([validation.logits, *votes]), validation.target)
    assert torch.allclose(found.slopes.double(), regression.slopes, atol=1e-4)


def test_blocks_change_nothing(training, validation, calibration, monkeypatch):
    scores = calibrated_scores(calibration, validation)
    votes = votes_of(calibration.memories[0], validation.descriptions[0], training.target)
    choice = calibration.memories[0].neighbours, calibration.memories[0].temperature
    assert torch.allclose(votes, plain_votes(training, validation, 0, *choice), atol=1e-5)
    monkeypatch.setattr(fitting, '_BLOCK', 7)
    assert torch.allclose(calibrated_scores(calibration, validation), scores, atol=1e-6)
    again = fit(training, validation)
    assert [memory.neighbours for memory in again.memories] == [m.neighbours for m in calibration.memories]
    assert torch.allclose(again.slopes, calibration.slopes, atol=1e-4)


def test_an_image_that_is_unknown_in_all_labels_is_left_out(training, validation):
    hidden = validation.target.clone()
    hidden[::3] = -1
    places = np.flatnonzero(np.arange(len(validation)) % 3)
    found, expected = fit(training, replace(validation, target=hidden)), fit(training, validation.chosen(places))
    for one, other in zip(found.memories, expected.memories):
        assert (one.neighbours, one.temperature) == (other.neighbours, other.temperature)
    assert torch.allclose(found.slopes, expected.slopes, atol=1e-4)
    assert torch.allclose(found.biases, expected.biases, atol=1e-4)


@pytest.mark.parametrize('with_training', [False, True])
@pytest.mark.parametrize('value', [0, -1])
def test_a_label_without_a_validation_image(training, validation, with_training, value):
    target = validation.target.clone()
    target[:, 2] = value
    calibration = fit(training if with_training else None, replace(validation, target=target))
    others = calibration.biases[[0, 1, 3, 4]]
    scores = calibrated_scores(calibration, validation)
    assert scores.isfinite().all()
    if value == -1:
        assert calibration.biases[2].item() == pytest.approx(others.mean().item(), abs=0.02)
    else:
        # As the prior, of deviation 0.5, demands: 0 images have the label, and the bias is kept near the others'.
        expected = (calibration.biases.mean() - calibration.biases[2]) / 0.5**2
        assert scores[:, 2].sum().item() == pytest.approx(expected.item(), rel=1e-2) and expected > 1


def test_the_only_label_is_known_in_one_image(training, validation):
    target = torch.full_like(validation.target, -1)
    target[0, 0] = 1
    assert calibrated_scores(fit(training, replace(validation, target=target)), validation).isfinite().all()
    with pytest.raises(ValueError, match='a known label'):
        fit(training, replace(validation, target=torch.full_like(target, -1)))


def test_few_training_images(validation):
    """All of them vote, of which there is one choice less for each number of neighbours that there are not."""
    calibration = fit(drawn_images(3, seed=5), validation)
    assert [memory.neighbours for memory in calibration.memories] == [3, 3]
    assert calibrated_scores(calibration, validation).isfinite().all()


def test_a_calibration_alone_leaves_the_order_of_the_images_of_each_label(validation):
    test = drawn_images(300, seed=3, unknown=0.2)
    before, after = calibrated_scores(None, test), calibrated_scores(fit(None, validation), test)
    assert torch.equal(before, test.logits.sigmoid()) and (before - after).abs().mean() > 0.05
    target = test.target.numpy()
    # 32 bits make a few scores near 1 equal.
    np.testing.assert_allclose(
        average_precisions(after.numpy(), target), average_precisions(before.numpy(), target), atol=1e-6
    )


def test_numbers_of_another_training_are_taken_over(calibration):
    other = drawn_images(80, seed=4)
    found = fit_like(calibration, other)
    assert torch.equal(found.slopes, calibration.slopes) and torch.equal(found.biases, calibration.biases)
    assert torch.equal(found.target.long(), other.target) and list(found.names) == other.names
    test = drawn_images(20, seed=6)
    expected = calibration.slopes[0] * test.logits + calibration.biases
    for part, (memory, of_other) in enumerate(zip(calibration.memories, found.memories)):
        assert (of_other.neighbours, of_other.temperature) == (memory.neighbours, memory.temperature)
        votes = plain_votes(other, test, part, memory.neighbours, memory.temperature)
        expected = expected + calibration.slopes[1 + part] * plain_logits(votes)
    assert torch.allclose(calibrated_scores(found, test), expected.sigmoid(), atol=1e-4)
    narrow = fit_like(calibration, other, (20, 6))
    assert [memory.vectors.shape[1] for memory in narrow.memories] == [20, 6]


def test_numbers_without_a_memory_are_taken_over(training, validation):
    alone = fit(None, validation)
    found = fit_like(alone, training)
    assert torch.equal(found.slopes, alone.slopes) and len(found.memories) == 0 and found.target is None


def test_fewer_dimensions_cost_average_precision(training, validation, calibration):
    assert reduction_cost(calibration, training, validation) == pytest.approx(0, abs=1e-3)
    narrow = fit(training, validation, (2, 1))
    assert [memory.vectors.shape[1] for memory in narrow.memories] == [2, 1]
    cost = reduction_cost(narrow, training, validation)
    results = [
        mean_average_precisions(calibrated_scores(each, validation).numpy(), validation.target.numpy())[0]
        for each in (calibration, narrow)
    ]
    assert cost > 1 and cost == pytest.approx(results[0] - results[1], abs=1.5)


def sized(number, labels, widths):
    """Images of which only the sizes matter."""
    descriptions = tuple(torch.empty(1, width).expand(number, width) for width in widths)
    target = torch.empty(1, labels).expand(number, labels)
    return DescribedImages(descriptions, target, target, target, [], [])


def sizes_of(number, widths, all_widths):
    """Bytes of each description: two for each dimension of an image, and four for each number of a projection."""
    return [
        2 * number * width + (4 * whole * width if width < whole else 0) for width, whole in zip(widths, all_widths)
    ]


def test_widths_fill_the_size_and_keep_to_it():
    """In each of 720 cases all dimensions are kept, or those that fit, or no 16 of each description do."""
    refused = kept = 0
    cases = itertools.product(
        [1, 300, 4_321, 82_081, 1_000_000],
        [3, 80, 1000],
        [(2048, 128), (2048, 80), (96, 128), (128, 128), (20, 4), (7, 2000), (1, 1), (3000, 3000)],
        [0.001, 0.1, 1, 10.5, 64, 1000],
    )
    for number, labels, widths, megabytes in cases:
        least = min(16, *widths)
        room = megabytes * 1e6 - number * labels
        if any(sizes_of(number, (least, least), widths)[place] > room / 2 for place in (0, 1)):
            # Not even half of it would do for the few dimensions that a description needs at least.
            try:
                first, second = widths_for(sized(number, labels, widths), megabytes)
            except ValueError as error:
                assert re.search('does not fit into .* MB. Let fewer images vote', str(error))
                refused += 1
                continue
        else:
            first, second = widths_for(sized(number, labels, widths), megabytes)
        assert least <= first <= widths[0] and least <= second <= widths[1]
        assert sum(sizes_of(number, (first, second), widths)) <= room
        if (first, second) == widths:
            kept += 1
            continue
        # No dimension more fits.
        for wider in ((first + 1, second), (first, second + 1)):
            if all(width <= whole for width, whole in zip(wider, widths)):
                assert sum(sizes_of(number, wider, widths)) > room or wider == widths
    assert refused > 100 and kept > 100


def test_vectors_and_labels_of_a_memory_have_the_size(training):
    wide = replace(training, descriptions=(torch.rand(150, 400), torch.rand(150, 300)))
    megabytes = 0.1
    widths = widths_for(wide, megabytes)
    states = [KernelMemory.of(part, width).state() for part, width in zip(wide.descriptions, widths)]
    taken = sum(state[name].nbytes for state in states for name in ('vectors', 'projection')) + len(wide) * LABELS
    # One dimension more of the second, with its part of the projection, would not fit.
    assert megabytes * 1e6 - (2 * len(wide) + 4 * 300) < taken <= megabytes * 1e6
    assert widths_for(training, 1) == WIDTHS
