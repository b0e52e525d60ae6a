import copy
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from kmcl_mm.apps.inference import KMCLInferencer, load_classifier
from kmcl_mm.apps.report.examples import mistakes, uncertain_images
from kmcl_mm.apps.report.precision_recall_chart import precision_recall_places
from kmcl_mm.apps.report.predictions import evaluate
from kmcl_mm.apps.report.results import measure
from kmcl_mm.apps.report.threshold_chart import threshold_curves
from tests.apps.inference.conftest import small_cfg  # noqa: F401
from tests.apps.report.conftest import LABELS, best, save_training


@pytest.fixture(scope='module')
def predictions(training, images):
    """What the inferencer says of the same images, by name."""
    folder, cfg = training
    inferencer = KMCLInferencer(copy.deepcopy(cfg), best(folder), fuse=False)
    found = inferencer(images / 'images', with_embedding=True, with_progress=False).images
    return {prediction.source.rpartition('/')[2]: prediction for prediction in found}


def test_it_equals_the_inferencer(evaluation, predictions, images):
    assert len(evaluation) == 24 and len(evaluation.drawn) == 12 and evaluation.trained == 'epoch 3'
    table = pd.read_csv(images / 'val.csv')
    assert list(evaluation.names) == list(table['image'])
    np.testing.assert_array_equal(evaluation.target.numpy(), table[list(LABELS)].to_numpy())
    expected = [predictions[name] for name in evaluation.names]
    np.testing.assert_allclose(evaluation.scores.numpy(), [p.scores for p in expected], atol=1e-5)
    np.testing.assert_allclose(evaluation.entropy, [p.uncertainty for p in expected], atol=1e-4)
    np.testing.assert_allclose(evaluation.indecision, [p.indecision for p in expected], atol=1e-4)
    drawn = [predictions[evaluation.names[place]].embedding for place in evaluation.drawn]
    np.testing.assert_allclose(evaluation.embeddings, drawn, atol=1e-4)
    predicted = [[name in p.labels for name in LABELS] for p in expected]
    np.testing.assert_array_equal(evaluation.predicted.numpy(), predicted)


def test_only_the_kernels_of_labels_that_are_drawn_are_compared(evaluation):
    """No training image has the last label."""
    assert evaluation.kernels.similarity().distance.shape == (3, 3)


def test_a_checkpoint_of_a_training_by_iterations(training, tmp_path):
    """The host counts no epochs in it."""
    folder, cfg = training
    content = torch.load(best(folder), weights_only=False)
    content['meta'].update(epoch=0, iter=400)
    torch.save(content, tmp_path / 'best.pth')
    assert evaluate(copy.deepcopy(cfg), tmp_path / 'best.pth', max_images=1).trained == 'iteration 400'


def test_a_thumbnail_is_the_image(evaluation, images):
    jpeg = evaluation.thumbnail(5, 32, 90)
    small = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (32, 32, 3)
    original = cv2.imread(str(images / 'images' / evaluation.names[5]))
    assert np.abs(cv2.resize(original, (32, 32)).astype(float) - small).mean() < 8


def test_average_precision_equals_scikit_learn(evaluation):
    results = measure(evaluation)
    expected = []
    for k in range(3):
        is_known = evaluation.target[:, k] != -1
        target, scores = evaluation.target[is_known, k], evaluation.scores[is_known, k]
        expected.append(100 * average_precision_score(target, scores))
        recall, precision = precision_recall_places(evaluation.scores[:, k], evaluation.target[:, k])
        # The area under the steps of the curve.
        assert (np.diff(recall) * precision[1:]).sum() / 100 == pytest.approx(expected[-1], abs=1e-6)
    np.testing.assert_allclose(results.average_precision[:3], expected, atol=1e-4)
    assert np.isnan(results.average_precision[3])
    assert results.mean_average_precision == pytest.approx(np.mean(expected), abs=1e-4)


def test_threshold_curves_equal_scikit_learn(evaluation):
    curves = threshold_curves(evaluation, np.array([2, 3, 0, 1]))
    assert [curve.title for curve in curves[2:]] == [LABELS[2], LABELS[0], LABELS[1]]
    is_known = evaluation.target_at_thresholds[:, 0] != -1
    target, scores = evaluation.target_at_thresholds[is_known, 0], evaluation.scores[is_known, 0]
    for place in (0, 48, 50, 52, 100):
        predicted = scores >= place / 100
        expected = precision_recall_fscore_support(target, predicted, average='binary', zero_division=np.nan)
        np.testing.assert_allclose(curves[3].values[:, place], 100 * np.array(expected[:3]), atol=1e-4)
    highest = max(curves[3].values[2])
    at_best = precision_recall_fscore_support(target, scores >= curves[3].best, average='binary')
    assert 100 * at_best[2] >= highest - 1e-4
    assert all(curve.current == 0.5 for curve in curves)


def test_where_nothing_is_predicted_there_is_no_precision(evaluation):
    """At the threshold 1 nothing is; at 0.25, which all scores reach, all is. Unknown labels are not predicted."""
    scores = torch.full_like(evaluation.scores, 0.25).masked_fill(evaluation.target_at_thresholds == -1, 0.75)
    for curve in threshold_curves(replace(evaluation, scores=scores), np.arange(3)):
        precision, recall, f1 = curve.values
        assert not np.isnan(precision[:26]).any() and np.isnan(precision[26:]).all()
        assert (recall[26:] == 0).all() and (f1[26:] == 0).all() and curve.best is not None


def test_where_there_is_nothing_to_find_no_threshold_is_best(evaluation):
    empty = replace(evaluation, target_at_thresholds=torch.zeros_like(evaluation.target))
    assert [curve.best for curve in threshold_curves(empty, np.arange(3))] == [None, None]


def test_embeddings_that_are_maps_are_refused(small_cfg, images, tmp_path):  # noqa: F811
    cfg = copy.deepcopy(small_cfg)
    cfg.model.neck = None
    head = dict(_delete_=True, type='CSRAClsHead', in_channels=96, num_heads=1, lam=0.1, loss=dict(type='ASLLoss'))
    cfg.merge_from_dict({'model.head': head})
    cfg = save_training(tmp_path / 'run', cfg, images, {})
    with pytest.raises(ValueError, match=r'embeddings \(N, M\), but CSRAClsHead gave \(5, 96, 2, 2\)'):
        evaluate(cfg, best(tmp_path / 'run'), max_images=5)


def test_a_batch_that_fails_leaves_no_hook_on_the_head(training, monkeypatch):
    folder, cfg = training
    models = []

    def load(*arguments):
        models.append(load_classifier(*arguments))
        # The head has its features, and then something goes wrong.
        models[0][0].head.register_forward_hook(lambda *_: 1 / 0)
        return models[0]

    monkeypatch.setattr('kmcl_mm.apps.report.predictions.load_classifier', load)
    with pytest.raises(ZeroDivisionError):
        evaluate(copy.deepcopy(cfg), best(folder), max_images=5)
    assert len(models[0][0].head._forward_hooks) == 1


def test_mistakes_are_the_most_confident_ones(evaluation):
    scores, target = evaluation.scores.numpy(), evaluation.target.numpy()
    wrong, missed = mistakes(evaluation, 5)
    is_wrong = (scores >= 0.5) & (target == 0)
    is_missed = (scores < 0.5) & (target == 1)
    assert len(wrong) == min(5, is_wrong.any(axis=1).sum()) and len(missed) == min(5, is_missed.any(axis=1).sum())
    assert wrong or missed
    if wrong:
        place, k = np.unravel_index(np.where(is_wrong, scores, -1).argmax(), scores.shape)
        assert wrong[0].name == evaluation.names[place] and LABELS[k] in wrong[0].headline
        assert LABELS[k] in wrong[0].predicted and LABELS[k] not in wrong[0].present
    if missed:
        place, k = np.unravel_index(np.where(is_missed, scores, 2).argmin(), scores.shape)
        assert missed[0].name == evaluation.names[place] and LABELS[k] in missed[0].headline


def test_uncertain_images(evaluation):
    scores, kernels = uncertain_images(evaluation, 4)
    assert [example.name for example in kernels.examples][0] == evaluation.names[evaluation.entropy.argmax()]
    assert [example.name for example in scores.examples][0] == evaluation.names[evaluation.indecision.argmax()]
    assert len(kernels.examples) == 4


def test_the_map_needs_an_image(training):
    folder, cfg = training
    with pytest.raises(ValueError, match='`max_images` to be at least 1, but got 0'):
        evaluate(copy.deepcopy(cfg), best(folder), max_images=0)


def test_places_of_a_curve_with_many_images():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 2, (4000,), generator=generator)
    scores = torch.rand(4000, generator=generator) + 0.5 * target
    recall, precision = precision_recall_places(scores, target)
    assert len(recall) <= 150 and recall[0] == 0 and recall[-1] == 100
    # All images with the label, and half of the others, have a score of 0.5 or more.
    assert precision[-1] == pytest.approx(100 / 1.5, abs=3)
