import csv

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from benchmarks import loader, loss, step
from benchmarks.pil_loader import PILImage
from benchmarks.plain import plain_losses
from tests.conftest import GOLDEN_CASES
from tests.models.test_kmcl_loss import NAMES

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
