"""The index of models, read by MMPretrain's own hub."""

import mmpretrain
import pytest
from mmengine.config import Config
from mmpretrain.apis.model import ModelHub

import kmcl_mm
from tests.conftest import ROOT

PUBLISHED = {
    'kmcl_tresnet_m_coco': 82.1,
    'kmcl_tresnet_l_coco': 88.6,
    'kmcl_tresnet_m_voc07': 95.2,
    'kmcl_tresnet_l_voc07': 96.2,
    'kmcl_tresnet_m_adp': 95.1,
    'kmcl_tresnet_l_adp': 96.5,
    'kmcl_tresnet_m_chestxray14': 30.0,
    'kmcl_tresnet_l_chestxray14': 31.5,
}
OURS = {
    'kmcl_efficientnet-lite0_voc07': 84.43,
    'kmcl_embedding_efficientnet-lite0_voc07': 84.61,
    'asl_efficientnet-lite0_voc07': 85.11,
}


@pytest.fixture
def models(monkeypatch):
    """The models by name, and no others."""
    pytest.importorskip('modelindex')
    monkeypatch.setattr(ModelHub, '_models_dict', {})
    ModelHub.register_model_index(ROOT / 'model-index.yml', config_prefix=ROOT)
    return ModelHub._models_dict


def test_every_configuration_is_in_the_index(models):
    assert sorted(models) == kmcl_mm.list_models()
    for name, model in models.items():
        assert model.config == str(ROOT / f'configs/{name}.py')
        assert Config.fromfile(model.config).model == kmcl_mm.get_config(name).model


@pytest.mark.parametrize('numbers, source', [(PUBLISHED, 'published (arXiv'), (OURS, 'kmcl_mm, mean of three seeds')])
def test_each_number_is_marked_as_whose_it_is(models, numbers, source):
    readme = (ROOT / 'README.md').read_text()
    for name, value in numbers.items():
        (result,) = models[name].results
        assert result.metrics == {'mAP': value} and result.task == 'Multi-Label Classification'
        assert models[name].metadata.data['Source of Results'].startswith(source)
        assert str(value) in readme


def test_a_model_without_a_number_has_none(models):
    for name, model in models.items():
        assert (model.results is None) == (name not in {*PUBLISHED, *OURS})


def test_mmpretrain_finds_the_models():
    names = set(mmpretrain.list_models('kmcl*')) | set(mmpretrain.list_models('asl*'))
    assert names >= set(kmcl_mm.list_models())
    model = mmpretrain.get_model('kmcl_tresnet_m_digits', head=dict(thr=0.3))
    assert model.head.thr == 0.3 and model.head.num_classes == 10
