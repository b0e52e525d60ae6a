import copy

import mmpretrain
import pytest
import torch
from mmengine.logging import MMLogger

import kmcl_mm
from kmcl_mm.conversion import convert, weights_in
from kmcl_mm.engine.fitted import save_fitted
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


@pytest.mark.parametrize('name', ['kmcl_tresnet_m_voc07', 'kmcl_embedding_efficientnet-lite0_voc07'])
def test_a_model_has_the_published_initial_values(name):
    head = kmcl_mm.get_model(name).head
    if head.kernels == 'mapped':
        assert (head.variance.weight == 1).all() and (head.variance.bias == 0).all()
        assert 0 <= head.mean.weight.min() < 0.01 and 0.09 < head.mean.weight.max() <= 0.1
    # Of the logits torch's own.
    assert 0 < head.logits.weight.abs().max() <= head.logits.in_features**-0.5


def test_another_number_of_labels_and_other_settings():
    model = kmcl_mm.get_model(
        'kmcl_tresnet_m_voc07',
        num_classes=3,
        head=dict(in_channels=2432, thr=None, topk=2),
        backbone=dict(model_name='tresnet_l'),
    )
    assert (model.head.num_classes, model.head.thr, model.head.topk) == (3, None, 2)
    assert model.head.logits.weight.shape == (3, 128) and model.head.variance.weight.shape == (3 * 128, 128)
    assert model.data_preprocessor.num_classes == 3
    # TResNet-L has 76 channels after its first convolution, TResNet-M 64.
    assert model.backbone.timm_model.body.conv1.conv.weight.shape[0] == 76
    assert model.head.loss_module.variant == 'reference'


def test_a_preprocessor_in_the_model_has_the_number_of_labels():
    cfg = kmcl_mm.get_config(DIGITS)
    cfg.model.data_preprocessor = copy.deepcopy(cfg.data_preprocessor)
    assert kmcl_mm.get_model(cfg, num_classes=4).data_preprocessor.num_classes == 4
    assert cfg.model.head.num_classes == 10


def test_a_setting_that_the_model_does_not_take():
    with pytest.raises(ValueError, match='model of the configuration .*kmcl_tresnet_m_voc07.py cannot be built.*thrr'):
        kmcl_mm.get_model('kmcl_tresnet_m_voc07', head=dict(thrr=0.5))


def test_mmpretrain_finds_the_models():
    assert mmpretrain.list_models('kmcl*') == kmcl_mm.list_models('kmcl*')
    model = mmpretrain.get_model('kmcl_tresnet_l_coco', backbone=dict(pretrained=False))
    assert type(model.head).__name__ == 'KMCLHead' and model.head.num_classes == 80


def test_an_unknown_name():
    with pytest.raises(ValueError, match="`name` to be one of asl_efficientnet.*tresnet_m_voc07.*, but got 'resnet'"):
        kmcl_mm.get_model('resnet')


def test_own_weights_come_back_with_their_thresholds(model, tmp_path):
    thresholds = torch.linspace(0.1, 0.9, 10, dtype=torch.float64)
    classes = [str(digit) for digit in range(10)]
    save_fitted(dict(state_dict=model.state_dict()), classes, tmp_path / 'own.pth', thresholds)
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
        with pytest.raises(ValueError, match=f'weights.pth is not .*: 1 tensors differ, such as {next(iter(changes))}'):
            kmcl_mm.get_model(DIGITS, pretrained=path)
    state_dict.pop('backbone.timm_model.body.conv1.conv.weight')
    with pytest.raises(ValueError, match='1 tensors differ, such as backbone.timm_model.body.conv1.conv'):
        kmcl_mm.get_model(DIGITS, pretrained=write(dict(state_dict=state_dict)))
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        kmcl_mm.get_model(DIGITS, pretrained='nowhere.pth')


def test_the_log_of_a_former_training_is_left_alone(tmp_path, monkeypatch):
    """Also where a server has closed its file, as logging's dictConfig does with all."""
    logger = MMLogger('former', log_file=str(tmp_path / 'former.log'))
    monkeypatch.setattr(MMLogger, 'get_current_instance', lambda: logger)
    kmcl_mm.get_model(DIGITS)
    assert (tmp_path / 'former.log').read_text() == ''
    for handler in logger.handlers:
        handler.close()
    kmcl_mm.get_model(DIGITS)
    assert len(logger.handlers) == 2
