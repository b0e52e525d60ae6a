import pytest
import torch

import kmcl_mm
from kmcl_mm.conversion import convert, weights_in
from kmcl_mm.engine.fitted_thresholds_hook import save_with_thresholds
from tests.attacks import ATTACKS
from tests.conftest import ROOT
from tests.conversion.conftest import DIGITS
from tests.conversion.published import backbone_checkpoint, published_checkpoint


@pytest.fixture(scope='module')
def model():
    return kmcl_mm.get_model(DIGITS)


@pytest.fixture(scope='module')
def published(model):
    return published_checkpoint(model)


@pytest.fixture
def write(tmp_path):
    """Write a checkpoint and return its path."""

    def save(content):
        torch.save(content, tmp_path / 'weights.pth')
        return tmp_path / 'weights.pth'

    return save


def test_every_configuration_is_listed():
    assert kmcl_mm.list_models() == sorted(path.stem for path in (ROOT / 'configs').glob('*.py'))
    assert kmcl_mm.list_models('asl_*') == ['asl_efficientnet-lite0_voc07', 'asl_tresnet_m_coco']
    assert kmcl_mm.list_models('nothing') == []


def test_a_model_without_weights_fetches_none(monkeypatch):
    """Its configuration asks for ImageNet weights, from the network or from a file that is not here."""

    def refuse(*args, **kwargs):
        raise AssertionError('weights were asked for')

    monkeypatch.setattr('timm.models._builder.load_pretrained', refuse)
    monkeypatch.setattr('timm.models._factory.load_checkpoint', refuse)
    for name in ('kmcl_tresnet_m_voc07', 'kmcl_efficientnet-lite0_voc07'):
        model = kmcl_mm.get_model(name)
        assert not model.training and model.head.num_classes == 20


def test_an_unknown_name():
    with pytest.raises(ValueError, match="`name` to be one of asl_efficientnet.*tresnet_m_voc07, but got 'resnet'"):
        kmcl_mm.get_model('resnet')


def test_own_weights_come_back_with_their_thresholds(model, tmp_path):
    thresholds = torch.linspace(0.1, 0.9, 10, dtype=torch.float64)
    classes = [str(digit) for digit in range(10)]
    save_with_thresholds(dict(state_dict=model.state_dict()), classes, thresholds, tmp_path / 'own.pth')
    loaded = kmcl_mm.get_model(DIGITS, pretrained=str(tmp_path / 'own.pth'))
    assert not loaded.training
    assert all(value.equal(model.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert torch.as_tensor(loaded.head.thr).tolist() == pytest.approx(thresholds.tolist())


def test_published_weights_are_converted(model, published, write):
    loaded = kmcl_mm.get_model(DIGITS, pretrained=write(published))
    expected = convert(weights_in(published, ''), model).state_dict
    assert all(value.equal(expected[name]) for name, value in loaded.state_dict().items())


def test_a_backbone_is_loaded_with_a_warning(published, write):
    path = write(backbone_checkpoint(published))
    with pytest.warns(UserWarning, match='weights.pth has no head.embedding.weight.*initial values'):
        loaded = kmcl_mm.get_model(DIGITS, pretrained=path)
    assert loaded.backbone.timm_model.body.conv1.conv.weight.equal(published['encoder.body.conv1.0.weight'])


@pytest.mark.parametrize('attack', ATTACKS)
def test_a_checkpoint_that_runs_code_is_refused(published, write, monkeypatch, tmp_path, attack):
    monkeypatch.chdir(tmp_path)
    path = write(dict(state_dict=published, extra=attack))
    with pytest.raises(ValueError, match='weights.pth.*could run code'):
        kmcl_mm.get_model(DIGITS, pretrained=path)
    assert not (tmp_path / 'pwned').exists()


def test_weights_of_another_model_are_refused(model, write):
    state_dict = model.state_dict()
    for changes in ({'head.logits.weight': torch.ones(20, 128)}, {'backbone.extra': torch.ones(1)}):
        path = write(dict(state_dict={**state_dict, **changes}))
        with pytest.raises(ValueError, match=f'weights.pth to be .* differs in 1 tensors, {next(iter(changes))}'):
            kmcl_mm.get_model(DIGITS, pretrained=path)
    state_dict.pop('backbone.timm_model.body.conv1.conv.weight')
    with pytest.raises(ValueError, match='differs in 1 tensors, backbone.timm_model.body.conv1.conv'):
        kmcl_mm.get_model(DIGITS, pretrained=write(dict(state_dict=state_dict)))
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        kmcl_mm.get_model(DIGITS, pretrained='nowhere.pth')
