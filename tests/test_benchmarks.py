import csv
import re
import sys
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.apis import get_model
from scipy.stats import entropy
from torch import nn

import kmcl_mm
from benchmarks import inference, loader, loss, step, votes
from benchmarks.pil_loader import PILImage
from benchmarks.plain import plain_losses
from benchmarks.voc07 import uncertainty
from kmcl_mm.models import KMCLHead
from tests.conftest import GOLDEN_CASES, ROOT
from tests.modules.test_kmcl_loss import NAMES

CPU = torch.device('cpu')


RECIPE = dict(gamma_neg=4, gamma_pos=0, clip=0.05)
GOLDEN_OF_RECIPE = [
    case
    for case, settings in GOLDEN_CASES.items()
    if case.startswith('loss') and all(settings[name] == value for name, value in RECIPE.items())
]


@pytest.mark.parametrize('golden', GOLDEN_OF_RECIPE, indirect=True)
def test_the_plain_form_equals_the_published_code(golden):
    """In float64, away from the published code's own rounding; with the recipe's settings, which it has built in."""
    settings = golden.settings
    shape = (settings['B'], settings['M'], settings['K'])
    if settings['covariance'] == 'isotropic':
        shape = shape[::2]
    embedding, logits, mean, variance = (
        golden[f'in/{name}'].double() for name in ('features', 'logits', 'mean', 'variance')
    )
    losses = plain_losses(
        embedding,
        logits,
        mean.view(shape),
        variance.view(shape),
        golden['in/target'].double(),
        'reference',
        settings['temperature'],
    )
    for name, published in NAMES.items():
        torch.testing.assert_close(losses[name], golden[f'out/{published}'].double(), rtol=1e-4, atol=1e-5)


def test_the_table_of_the_losses(tmp_path):
    cases = [loss.Case('anisotropic', images, labels=5, dimensions=8, labels_per_image=2) for images in (3, 4)]
    results = {case: loss.run_case(case, 'cpu', compile_blocks=False) for case in cases}
    assert all(result.error < 1e-4 and result.ours.seconds > 0 for result in results.values())
    loss.write_csv(results, tmp_path / 'loss.csv')
    rows = list(csv.DictReader((tmp_path / 'loss.csv').open()))
    assert [row['form'] for row in rows] == ['ours', 'plain'] * 2 and rows[0]['images'] == '3'


def test_the_picture_of_the_losses(tmp_path):
    measurement = loss.Measurement(1.0, 2.0)
    loss.draw({case: loss.Result(measurement, measurement) for case in loss.AGAINST_IMAGES[:3]}, tmp_path / 'loss.png')
    assert (tmp_path / 'loss.png').read_bytes().startswith(b'\x89PNG')


def test_a_training_step():
    init_default_scope('mmpretrain')
    seconds = step.run_case(step.Case('kmcl_tresnet_m_coco', 64, 2), repeats=1, device=CPU)
    assert set(seconds) == set(step.COLUMNS[3:]) and min(seconds.values()) > 0


def test_all_forms_of_loading_give_a_batch(tmp_path):
    init_default_scope('mmpretrain')
    loader.draw_images(tmp_path, 2)
    paths = loader.find_images(tmp_path, 3)
    forms = loader.forms(224)
    batches = {name: form.collate([form.load(path) for path in paths]) for name, form in forms.items()}
    for name, batch in batches.items():
        images = batch['inputs'] if isinstance(batch, dict) else batch
        assert len(images) == 3 and {image.shape for image in images} == {(3, 224, 224)}
        assert images[0].dtype == (torch.float32 if name == 'PIL, float32' else torch.uint8)
    costs = loader.costs({name: forms[name] for name in ('PIL, float32', 'UDARandAugment')}, paths * 20, repeats=1)
    assert len(costs) == 2 and all(cost.rate > 0 and cost.milliseconds > 0 for cost in costs.values())


def test_both_forms_squash_alike(tmp_path):
    """Without cutout and random operations, but for PIL's averaging where it makes smaller."""
    init_default_scope('mmpretrain')
    loader.draw_images(tmp_path, 1)
    (path,) = loader.find_images(tmp_path, 1)
    pil = PILImage(448, is_float=False)
    pil.steps.transforms = [pil.steps.transforms[0], pil.steps.transforms[-1]]
    load, resize, _, _, pack = loader.forms(448)['JPEGs decoded smaller'].load.pipeline.transforms
    ours = pack(resize(load(dict(img_path=path))))['inputs'].flip(0)
    assert np.abs(ours.numpy().astype(int) - pil(path).numpy()).mean() < 2


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match='--images.*has none'):
        loader.find_images(tmp_path, 1)


def test_all_forms_of_a_network_predict_alike(monkeypatch):
    """Of timm's smallest one, and compiled without a C++ compiler."""
    cfg = kmcl_mm.get_config('kmcl_tresnet_m_voc07')
    backbone = dict(_delete_=True, type='TIMMBackbone', model_name='test_resnet')
    cfg.merge_from_dict({'model.backbone': backbone, 'model.head.in_channels': 96})
    monkeypatch.setattr(kmcl_mm, 'get_model', lambda name: get_model(cfg))
    monkeypatch.setattr(inference, 'SIZE', 64)
    monkeypatch.setattr(torch, 'compile', partial(torch.compile, backend='eager'))
    rows = inference.measure('small', number=2, photos=None, repeats=2)
    assert [row.form for row in rows] == ['eager', 'folded', 'compiled', 'exported', 'onnxruntime']
    assert all(row.images == 2 and row.images_per_second > 0 for row in rows)
    assert max(row.change_of_score for row in rows) < 1e-5
    assert rows[0].ratio_to_eager == 1 and rows[0].change_of_score == 0
    for row in rows:
        assert row.ratio_to_eager == pytest.approx(row.images_per_second / rows[0].images_per_second)


def test_a_form_that_changes_the_scores_is_seen(monkeypatch):
    scores = dict(eager=np.array([[0.2, 0.9]]), folded=np.array([[0.2, 0.6]]))
    monkeypatch.setattr(inference, 'build', lambda config: None)
    monkeypatch.setattr(
        inference, 'forms', lambda *_: {name: lambda value=value: value for name, value in scores.items()}
    )
    eager, folded = inference.measure('small', number=1, photos=None, repeats=1)
    assert eager.change_of_score == 0 and folded.change_of_score == pytest.approx(0.3)


def test_the_entropy_of_scores_is_scipys():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores = logits.sigmoid().numpy()
    expected = entropy(np.stack([scores, 1 - scores])).mean(axis=1)
    np.testing.assert_allclose(uncertainty.entropy_of_scores(logits).numpy(), expected)


def test_the_mistakes_of_a_head():
    """Its logits are its features; the held-out ones put the thresholds of both labels between logits of -1 and 1."""
    head = KMCLHead(num_classes=2, in_channels=2, embedding_channels=2)
    for layer in (head.embedding, head.logits):
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    held_out = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), torch.tensor([[1, 0], [0, 1]])
    # Right, a label too many, one too few, and one too many that is difficult.
    features = torch.tensor([[3.0, -3.0], [3.0, 3.0], [-3.0, -3.0], [3.0, 3.0]])
    target = torch.tensor([[1, 0], [1, 0], [1, 0], [1, -1]])
    result = uncertainty.evaluate(head, held_out, (features, target))
    assert result.mistakes.tolist() == [False, True, True, False]
    assert all(values.shape == (4,) for values in result.uncertainties.values())


@pytest.fixture
def ranked():
    """200 images, of which the mistakes are the more uncertain ones, more or less."""
    random = np.random.default_rng(0)
    mistakes = random.random(200) < 0.3
    return uncertainty.Result(mistakes, dict(perfect=mistakes, blind=np.ones(200), some=random.normal(mistakes)))


def test_the_interval_of_an_auroc(ranked):
    assert uncertainty.interval([ranked], 'perfect') == pytest.approx((1, 1))
    assert uncertainty.interval([ranked], 'blind') == pytest.approx((0.5, 0.5))
    mistakes, others = (ranked.uncertainties['some'][mask] for mask in (ranked.mistakes, ~ranked.mistakes))
    is_above = mistakes[:, None] > others
    # DeLong's standard error of an AUROC, within what 200 resamplings tell.
    parts = [is_above.mean(axis=axis) for axis in (0, 1)]
    error = np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts))
    low, high = uncertainty.interval([ranked], 'some')
    assert low < is_above.mean() < high and high - low == pytest.approx(2 * 1.96 * error, rel=0.25)


def test_the_mistakes_in_the_fifths():
    mistakes = np.array([1, 0, 0, 0, 0, 0, 0, 0, 1, 1], bool)
    result = uncertainty.Result(mistakes, dict(rising=np.arange(10), falling=-np.arange(10)))
    assert uncertainty.mistakes_in_fifths(result, 'rising') == (0.5, 1)
    assert uncertainty.mistakes_in_fifths(result, 'falling') == (1, 0.5)


def test_the_table_of_the_uncertainties(tmp_path, monkeypatch, capsys):
    """Of a head that is trained on features that have the labels in them, but for noise."""
    random = np.random.default_rng(0)
    arrays = {}
    for name in ('train', 'test'):
        target = (random.random((160, 3)) < 0.4).astype(np.int64)
        features = (2 * target - 1 + random.normal(scale=0.5, size=target.shape)).astype(np.float32)
        arrays.update({f'{name}_targets': target, f'{name}_features': features})
    np.savez(tmp_path / 'features.npz', settings='', **arrays)
    (tmp_path / 'small.py').write_text(
        f"""
_base_ = {str(ROOT / 'configs/kmcl_efficientnet-lite0_voc07.py')!r}
model = dict(head=dict(num_classes=3, in_channels=3))
train_dataloader = dict(batch_size=16)
param_scheduler = dict(eta_max=0.1)
"""
    )
    monkeypatch.setattr(uncertainty, 'FORMS', [('isotropic', 'exact')])
    words = [str(tmp_path / 'small.py'), '--features', str(tmp_path / 'features.npz'), '--seeds', '0']
    monkeypatch.setattr(sys, 'argv', ['uncertainty', *words])
    uncertainty.main()
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ['head', 'measure', 'AUROC'] and len(rows) == 3
    assert [row[24:48].strip() for row in rows] == [
        'uncertainty (kernels)',
        'indecision (scores)',
        'entropy of the scores',
    ]
    # Scores near a threshold are wrong more often than others.
    assert 0.5 < float(rows[1][48:56]) < 1


def test_the_time_of_votes(monkeypatch, capsys):
    small = ['votes', '--voters', '300', '--megabytes', '0.4', '--images', '1', '--repeats', '1']
    monkeypatch.setattr(sys, 'argv', small)
    monkeypatch.setattr(votes, 'SIZE', 64)
    votes.main()
    size, _, times = capsys.readouterr().out.splitlines()[-3:]
    assert re.fullmatch(r'300 images, \[\d+, 128\] of \[2048, 128\] dimensions: 0\.4 MB', size)
    assert re.fullmatch(r'batches of 1: network [\d.]+ ms an image, votes [\d.]+ ms, [\d.]+%', times)
