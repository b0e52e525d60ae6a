import re

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from kmcl_mm.apps.inference import KMCLInferencer
from kmcl_mm.apps.webapp import uncertainty
from kmcl_mm.apps.webapp.page import Page
from kmcl_mm.apps.webapp.render import MAX_BARS, render_bars
from kmcl_mm.apps.webapp.uncertainty import KERNELS, SCORES, uncertainty_of
from kmcl_mm.apps.webapp.uploads import RefusedUpload
from tests.apps.inference.conftest import LABELS, save_calibrated  # noqa: F401
from tests.apps.webapp.conftest import THRESHOLDS


def predicted(html):
    return re.findall(r'kmcl-on" data-label="([^"]*)"', html)


def bars(html):
    return re.findall(r'kmcl-bar[^"]*" data-label="([^"]*)"', html)


def test_scores_are_those_of_the_inferencer(page, inferencer, photo):
    prediction = page.predict(str(photo))
    (of_path,) = inferencer(photo, with_progress=False).images
    np.testing.assert_array_equal(prediction.scores, of_path.scores)
    # From an array, in RGB, by another decoder.
    (of_array,) = inferencer(np.asarray(Image.open(photo)), channel_order='rgb', with_progress=False).images
    np.testing.assert_allclose(prediction.scores, of_array.scores, atol=1e-3)


def test_similar_images_are_the_nearest_ones(page, index, photo):
    prediction, similar = page.predict(str(photo)), page.show(str(photo), page.thresholds)[-1]
    order = np.linalg.norm(index.embeddings - prediction.embedding, axis=1).argsort()[:8]
    assert re.findall(r'alt="([^"]*)"', similar) == [index.names[place] for place in order]
    captions = [', '.join(index.labels_of(place)) or 'no label' for place in order]
    assert re.findall(r'<figcaption>([^<]*)<', similar) == captions


@pytest.fixture
def voting(training_cfg, save_calibrated, index):  # noqa: F811
    """A classifier whose training images vote; of those in the index there are pictures."""
    inferencer = KMCLInferencer(training_cfg, save_calibrated(0.6, 0.4, 0.3))
    names = list(index.names)
    calibration = inferencer.model.head.calibration
    calibration.names = (*names, *calibration.names[len(names) :])
    return inferencer


def test_images_that_voted_are_shown(voting, index, photo):
    page = Page(voting, index)
    prediction, similar = page.predict(str(photo)), page.show(str(photo), page.thresholds)[-1]
    assert 'Training images that voted' in similar and len(prediction.voters) == 8
    titles = [f'{voter.name}, {voter.share:.0%} of the vote' for voter in prediction.voters]
    assert re.findall(r'<figure title="([^"]*)"', similar) == titles
    pictured = [voter.name for voter in prediction.voters if voter.name in index.names]
    assert re.findall(r'alt="([^"]*)"', similar) == pictured
    captions = re.findall(r'<figcaption>([^<]*)<', similar)
    for voter, caption in zip(prediction.voters, captions):
        labels = ', '.join(voter.labels) or 'no label'
        assert caption == (labels if voter.name in pictured else f'{voter.name}: {labels}')


def test_without_an_index_voters_are_named(voting, photo):
    page = Page(voting)
    similar = page.show(str(photo), page.thresholds)[-1]
    assert '<img' not in similar and all(voter.name in similar for voter in page.predict(str(photo)).voters)


def test_without_an_index_there_are_none(inferencer, photo):
    page = Page(inferencer)
    *_, shown_uncertainty, similar = page.show(str(photo), page.thresholds)
    assert similar == '' and '--index' in shown_uncertainty


def test_thresholds_move_without_the_network(page, photo, monkeypatch):
    scores, refusal, html, *_ = page.show(str(photo), page.thresholds)
    assert refusal == ''
    np.testing.assert_allclose(page.thresholds, list(THRESHOLDS.values()), rtol=1e-6)
    assert set(predicted(html)) == {name for name, score in zip(LABELS, scores) if score >= THRESHOLDS[name]}

    monkeypatch.setattr(torch.nn.Module, '__call__', None)
    thresholds, html = page.set_all(0, scores)
    assert sorted(predicted(html)) == sorted(LABELS)
    thresholds, html = page.set_one(1, 1, thresholds, scores)
    assert thresholds.tolist() == [0, 1, 0] and sorted(predicted(html)) == ['crack', 'leak']
    assert page.threshold_of(1, thresholds) == 1
    # No label is chosen: nothing changes.
    assert page.set_one(None, 0.3, thresholds, scores)[0] is thresholds
    assert page.thresholds[1] == pytest.approx(0.6)


def test_a_score_that_equals_the_threshold_is_predicted():
    html = render_bars(np.array([0.5, 0.25], np.float32), ('a', 'b'), np.array([0.5, 0.26], np.float32), None)
    assert predicted(html) == ['a'] and '1 of 2 labels predicted' in html


def test_a_head_that_predicts_its_highest_labels_does_so_until_a_slider_is_moved(inferencer, photo, monkeypatch):
    monkeypatch.setitem(inferencer.model.head._buffers, 'thr', None)
    monkeypatch.setattr(inferencer.model.head, 'topk', 2)
    page = Page(inferencer)
    scores, _, html, *_ = page.show(str(photo), page.thresholds)
    assert page.thresholds is None and predicted(html) == bars(html)[:2]
    assert 'the 2 labels with the highest scores' in page.describe_thresholds()
    thresholds, html = page.set_one(0, 0, page.thresholds, scores)
    assert thresholds.tolist() == [0, 0.5, 0.5] and 'crack' in predicted(html)


def test_of_many_labels_the_highest_and_the_predicted_are_shown():
    scores, names = np.linspace(1, 0.01, 80), [f'label {k}' for k in range(80)]
    thresholds = np.full(80, 0.9)
    thresholds[70] = 0.05
    html = render_bars(scores, names, thresholds, None)
    assert bars(html) == names[:MAX_BARS] + ['label 70'] and 'label 70' in predicted(html)
    assert '59 more labels' in html


def test_names_are_text_and_not_html(page, photo):
    name = '<img src=x onerror=alert(1)>"\'&${1}{{value}}'
    html = render_bars(np.array([0.5]), [name], np.array([0.1]), None)
    assert '<img' not in html and '&lt;img src=x onerror=alert(1)&gt;&quot;' in html


def test_no_image(page):
    scores, refusal, html, shown_uncertainty, similar = page.show(None, page.thresholds)
    assert scores is None and refusal == shown_uncertainty == similar == ''
    assert 'Drop an image' in html and 'Drop an image' in page.set_all(0.3, None)[1]


def as_jpeg(path, image, **options):
    image.save(path, 'JPEG', quality=98, **options)


def turned(path, image):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    as_jpeg(path, image.transpose(Image.Transpose.ROTATE_90), exif=exif)


def with_alpha(path, image):
    image = image.copy()
    image.putalpha(255)
    image.save(path, 'PNG')


def sixteen_bits(path, image):
    cv2.imwrite(str(path.with_suffix('.png')), np.asarray(image)[..., ::-1].astype(np.uint16) * 257)
    path.with_suffix('.png').rename(path)


KINDS = {
    'JPEG': as_jpeg,
    'CMYK JPEG': lambda path, image: as_jpeg(path, image.convert('CMYK')),
    'turned JPEG': turned,
    'PNG': lambda path, image: image.save(path, 'PNG'),
    'PNG with alpha': with_alpha,
    'PNG of 16 bits': sixteen_bits,
    'PNG with a palette': lambda path, image: image.quantize(256).save(path, 'PNG'),
    'WebP': lambda path, image: image.save(path, 'WEBP', lossless=True),
    'BMP': lambda path, image: image.save(path, 'BMP'),
    'TIFF': lambda path, image: image.save(path, 'TIFF'),
}


@pytest.mark.parametrize('save', KINDS.values(), ids=KINDS.keys())
def test_kinds_of_images_have_the_scores_of_their_pixels(page, inferencer, save, photo, tmp_path):
    image, path = Image.open(photo).convert('RGB'), tmp_path / 'upload'
    save(path, image)
    scores, refusal, *_ = page.show(str(path), page.thresholds)
    assert refusal == ''
    (expected,) = inferencer(np.asarray(image), channel_order='rgb', with_progress=False).images
    np.testing.assert_allclose(scores, expected.scores, atol=0.03)


@pytest.mark.parametrize('mode', ['L', '1', 'I;16', 'LA'])
def test_grey_images_have_the_scores_of_their_grey(page, inferencer, mode, photo, tmp_path):
    grey, path = np.asarray(Image.open(photo).convert('L')), tmp_path / 'grey.png'
    if mode == 'I;16':
        cv2.imwrite(str(path), grey.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(grey).convert(mode)
        grey = np.asarray(image.convert('L'))
        image.save(path)
    scores, refusal, *_ = page.show(str(path), page.thresholds)
    assert refusal == ''
    (expected,) = inferencer(np.stack([grey] * 3, axis=-1), with_progress=False).images
    np.testing.assert_allclose(scores, expected.scores, atol=0.03)


def test_a_damaged_image_is_refused_in_words(page, photo):
    photo.write_bytes(photo.read_bytes()[:900])
    with pytest.raises(RefusedUpload, match='damaged'):
        page.predict(str(photo))
    scores, refusal, html, shown_uncertainty, similar = page.show(str(photo), page.thresholds)
    assert scores is None and 'role="alert"' in refusal and str(photo) not in refusal
    assert 'Drop an image' in html and shown_uncertainty == similar == ''


@pytest.mark.parametrize('measure', [KERNELS, SCORES])
def test_either_uncertainty_is_compared_with_the_training_images(measure, page, index, photo, monkeypatch):
    prediction = page.predict(str(photo))
    if measure is SCORES:
        # As for a head without kernels.
        prediction = prediction._replace(uncertainty=None)
        monkeypatch.setattr(page, 'predict', lambda path: prediction)
    value = getattr(prediction, measure.attribute)
    lower = sum(other < value for other in getattr(index, measure.attribute).tolist())
    shown = uncertainty_of(prediction, index)
    assert shown == (measure, value, lower / len(index)) and uncertainty_of(prediction, None) == (measure, value, None)
    html = page.show(str(photo), page.thresholds)[3]
    assert f'{shown.word} ({value:.3f})' in html and measure.title in html


@pytest.mark.parametrize('share, word', [(0, 'low'), (0.5, 'medium'), (0.8, 'high'), (1, 'very high'), (None, None)])
def test_words_for_uncertainties(share, word):
    assert uncertainty.Uncertainty(KERNELS, 0.1, share).word == word
