from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from kmcl_mm.apps.calibration import fitting
from kmcl_mm.apps.calibration.fitting import calibrated_scores, fit, widths_for
from kmcl_mm.apps.calibration.prediction_rule import (
    PredictionRule,
    Wanted,
    check_taken_thresholds,
    fit_rule,
    judge_by_others,
    take_over,
)
from kmcl_mm.functional import fit_thresholds
from tests.apps.calibration.drawn import LABELS, drawn_images

HALF = torch.full((LABELS,), 0.5, dtype=torch.float64)
PLAIN = PredictionRule(None, HALF)


@pytest.fixture(scope='module', autouse=True)
def few_choices():
    """Of the neighbours and temperatures that are tried otherwise, so that it is quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, 'NEIGHBOURS', (20, 50))
        patch.setattr(fitting, 'TEMPERATURES', (0.2,))
        yield


@pytest.fixture(scope='module')
def training(few_choices):
    return drawn_images(60, seed=0)


@pytest.fixture(scope='module')
def validation():
    return drawn_images(120, seed=1, unknown=0.1, patients=[place // 3 for place in range(120)])


@pytest.fixture(scope='module')
def calibrated(training, validation):
    return PredictionRule(fit(training, validation), HALF)


def assert_same(one, other):
    """Two calibrations with the same numbers and memories."""
    assert torch.equal(one.slopes, other.slopes) and torch.equal(one.biases, other.biases)
    assert one.names == other.names and len(one.memories) == len(other.memories)
    for memory, of_other in zip(one.memories, other.memories):
        assert torch.equal(memory.vectors.half(), of_other.vectors.half())
        assert (memory.neighbours, memory.temperature) == (of_other.neighbours, of_other.temperature)


def test_thresholds_are_reached(validation, calibrated):
    values = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64)
    for calibration in (None, calibrated.calibration):
        scores, predicted = PredictionRule(calibration, values).judge(validation)
        np.testing.assert_array_equal(scores, calibrated_scores(calibration, validation).numpy())
        assert predicted.dtype == bool
        for row, chosen in zip(scores.tolist(), predicted.tolist()):
            assert chosen == [score >= threshold for score, threshold in zip(row, values.tolist())]


def test_a_score_at_the_threshold_of_a_head_is_predicted(validation):
    """0.8 in 32 bits is above 0.8 in 64."""
    images = replace(validation, logits=torch.tensor([[0.8] * LABELS]).logit())
    scores = images.logits.sigmoid()
    for threshold, expected in ((scores[0].double(), True), (scores[0].double().nextafter(torch.tensor(1.0)), False)):
        assert (PredictionRule(None, threshold).judge(images).predicted == expected).all()


@pytest.mark.parametrize('topk', [1, 3, LABELS])
def test_the_highest_labels_are_predicted_without_thresholds(validation, calibrated, topk):
    scores, predicted = PredictionRule(calibrated.calibration, None, topk).judge(validation)
    assert (predicted.sum(axis=1) == topk).all()
    for row, chosen in zip(scores, predicted):
        assert set(np.flatnonzero(chosen)) == set(np.argsort(-row)[:topk])


def test_thresholds_alone_keep_an_earlier_calibration(validation, calibrated):
    rule = fit_rule(Wanted(['thresholds']), calibrated, None, validation)
    assert rule.calibration is calibrated.calibration
    scores = calibrated_scores(calibrated.calibration, validation)
    assert torch.equal(rule.thresholds, fit_thresholds(scores, validation.target, HALF))
    plain = fit_rule(Wanted(['thresholds']), PLAIN, None, validation)
    assert plain.calibration is None and not torch.equal(plain.thresholds, rule.thresholds)


def test_a_calibration_alone_keeps_the_thresholds(validation, calibrated):
    for before in (PLAIN, calibrated):
        rule = fit_rule(Wanted(['calibration']), before, None, validation)
        assert_same(rule.calibration, fit(None, validation))
        assert rule.thresholds is before.thresholds


def test_a_memory_and_a_calibration(training, validation, calibrated):
    rule = fit_rule(Wanted(['memory', 'calibration']), PLAIN, training, validation)
    assert_same(rule.calibration, calibrated.calibration)
    assert rule.thresholds is HALF


def test_all_parts(training, validation, calibrated):
    rule = fit_rule(Wanted(), PLAIN, training, validation)
    assert_same(rule.calibration, calibrated.calibration)
    assert torch.equal(rule.thresholds, fit_rule(Wanted(['thresholds']), calibrated, None, validation).thresholds)
    # Fitted anew, whatever was there.
    assert_same(fit_rule(Wanted(), rule, training, validation).calibration, rule.calibration)


def test_no_other_thresholds_have_a_higher_f1(training, validation):
    rule = fit_rule(Wanted(), PLAIN, training, validation)
    scores, predicted = rule.judge(validation)
    for label in range(LABELS):
        known = validation.target_at_thresholds[:, label].numpy() != -1
        truth, of_label = validation.target_at_thresholds[:, label].numpy()[known] == 1, scores[known, label]
        best = max(f1_score(truth, of_label >= score) for score in of_label)
        assert f1_score(truth, predicted[known, label]) == pytest.approx(best)


@pytest.mark.parametrize('goal, part', [('precision', 0), ('recall', 1)])
def test_a_wished_precision_or_recall_is_reached(training, validation, goal, part):
    rule = fit_rule(Wanted(goal=goal, wished=0.95), PLAIN, training, validation)
    predicted, known = rule.judge(validation).predicted, validation.target != -1
    truth = (validation.target == 1).numpy()
    of = (predicted & known.numpy(), truth)[part]
    assert ((predicted & truth).sum(axis=0) >= 0.95 * of.sum(axis=0)).all()


def test_difficult_labels_count_at_the_thresholds_alone():
    validation = drawn_images(120, seed=1, unknown=0.5)
    at_thresholds = validation.target.clamp(min=0)
    images = replace(validation, target_at_thresholds=at_thresholds)
    found, plain = (fit_rule(Wanted(['calibration', 'thresholds']), PLAIN, None, each) for each in (images, validation))
    assert_same(found.calibration, plain.calibration)
    scores = calibrated_scores(found.calibration, validation)
    assert torch.equal(found.thresholds, fit_thresholds(scores, at_thresholds, HALF))
    assert not torch.equal(found.thresholds, plain.thresholds)


def test_a_label_that_no_validation_image_has_keeps_its_threshold(training, validation):
    target = validation.target.clone()
    target[:, 1] = target[:, 1].clamp(max=0)
    images = replace(validation, target=target, target_at_thresholds=target)
    before = PLAIN._replace(thresholds=torch.tensor([0.5, 0.3, 0.5, 0.5, 0.5], dtype=torch.float64))
    assert fit_rule(Wanted(), before, training, images).thresholds[1] == 0.3


def test_a_head_of_the_highest_labels_stays_one(training, validation):
    rule = fit_rule(Wanted(['memory', 'calibration']), PredictionRule(None, None, 2), training, validation)
    assert rule.thresholds is None and (rule.judge(validation).predicted.sum(axis=1) == 2).all()


def test_the_size_of_the_memory(training, validation):
    megabytes = (60 * LABELS + 3700) / 1e6
    rule = fit_rule(Wanted(megabytes=megabytes), PLAIN, training, validation)
    widths = tuple(memory.vectors.shape[1] for memory in rule.calibration.memories)
    assert widths == widths_for(training, megabytes) and sum(widths) == 21


def test_halves_keep_patients_together(validation):
    first, second = validation.halves()
    assert sorted([*first, *second]) == list(range(120)) and len(first) == len(second) == 60
    patients = [{validation.patients[place] for place in part} for part in (first, second)]
    assert not patients[0] & patients[1]
    again = validation.halves()
    assert np.array_equal(first, again[0]) and np.array_equal(second, again[1])
    # Not the first half and the second.
    assert patients[0] != set(range(20))


@pytest.mark.parametrize('parts', [['thresholds'], ['calibration', 'thresholds'], ['memory', 'calibration'], None])
def test_each_half_is_judged_by_what_the_other_half_fitted(training, validation, parts):
    wanted = Wanted() if parts is None else Wanted(parts)
    training = training if 'memory' in wanted.parts else None
    judged = judge_by_others(wanted, PLAIN, training, validation)
    first, second = validation.halves()
    for own, others in ((first, second), (second, first)):
        rule = fit_rule(wanted, PLAIN, training, validation.chosen(others))
        for found, expected in zip(judged, rule.judge(validation.chosen(own))):
            np.testing.assert_array_equal(found[own], expected)


def test_the_labels_of_a_half_change_nothing_of_its_own(training, validation):
    """Poisoned, they move the scores and the predictions of the other half alone."""
    judged = judge_by_others(Wanted(), PLAIN, training, validation)
    for own, others in (validation.halves(), validation.halves()[::-1]):
        target = validation.target.clone()
        target[own] = torch.where(target[own] == -1, -1, 1 - target[own])
        poisoned = replace(validation, target=target, target_at_thresholds=target)
        found = judge_by_others(Wanted(), PLAIN, training, poisoned)
        for part, before in zip(found, judged):
            np.testing.assert_array_equal(part[own], before[own])
        assert np.abs(found.scores[others] - judged.scores[others]).mean() > 0.1
        assert (found.predicted[others] != judged.predicted[others]).any()


def test_what_judged_before_is_not_changed(training, validation):
    before = PLAIN.judge(validation)
    copies = [part.copy() for part in before]
    judge_by_others(Wanted(), PLAIN, training, validation)
    for part, copy in zip(before, copies):
        np.testing.assert_array_equal(part, copy)


def test_numbers_are_taken_over_and_other_images_vote(training, validation, calibrated):
    other = calibrated._replace(thresholds=torch.linspace(0.1, 0.9, LABELS).double())
    more = drawn_images(90, seed=7)
    rule = take_over(Wanted(), PLAIN, more, other)
    assert torch.equal(rule.calibration.slopes, other.calibration.slopes)
    assert list(rule.calibration.names) == more.names and rule.thresholds is other.thresholds
    rule = take_over(Wanted(['memory', 'calibration']), PLAIN, more, other)
    assert rule.thresholds is HALF

    alone = PredictionRule(fit(None, validation), HALF)
    rule = take_over(Wanted(['calibration', 'thresholds']), PLAIN, None, alone)
    assert_same(rule.calibration, alone.calibration)

    narrow = take_over(Wanted(megabytes=(90 * LABELS + 5500) / 1e6), PLAIN, more, other)
    assert sum(memory.vectors.shape[1] for memory in narrow.calibration.memories) == 23


def test_parts_that_the_other_checkpoint_lacks(training, validation, calibrated):
    alone = PredictionRule(fit(None, validation), HALF)
    for wanted, images, other, message in (
        (Wanted(), training, PLAIN, 'a calibration with a memory, but it has none'),
        (Wanted(['calibration']), None, PLAIN, 'a calibration without a memory, but it has none'),
        (Wanted(), training, alone, 'with a memory, but it has one without a memory'),
        (Wanted(['calibration']), None, calibrated, 'without a memory, but it has one with a memory'),
    ):
        with pytest.raises(ValueError, match=f'{message}. Give the same parts for both'):
            take_over(wanted, PLAIN, images, other)


def test_thresholds_that_the_other_checkpoint_lacks():
    check_taken_thresholds(Wanted(), 'other.pth', has_fitted=True)
    check_taken_thresholds(Wanted(['calibration']), 'other.pth', has_fitted=False)
    with pytest.raises(ValueError, match='other.pth has no fitted thresholds. Leave thresholds out of --parts.'):
        check_taken_thresholds(Wanted(), 'other.pth', has_fitted=False)


def test_one_patient_has_no_halves(validation):
    for images in (replace(validation, patients=['one'] * 120), validation.chosen(np.array([0]))):
        with pytest.raises(ValueError, match='of one patient'):
            judge_by_others(Wanted(['thresholds']), PLAIN, None, images)
