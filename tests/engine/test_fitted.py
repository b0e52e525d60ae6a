import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from kmcl_mm.engine import load_weights
from kmcl_mm.engine.fitted import save_fitted, use_fitted
from kmcl_mm.functional.calibration import Regression
from kmcl_mm.modules.calibration import Calibration, descriptions_of
from kmcl_mm.modules.kernel_memory import KernelMemory

CLASSES = ('cat', 'dog')


@pytest.fixture(params=['KMCLHead', 'MultiLabelLinearClsHead'])
def model(request):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    head = dict(type=request.param, num_classes=2, in_channels=96, thr=0.5)
    backbone = dict(type='TIMMBackbone', model_name='test_resnet')
    return MODELS.build(
        dict(type='ImageClassifier', backbone=backbone, neck=dict(type='GlobalAveragePooling'), head=head)
    ).eval()


def features(number=3, seed=0):
    return (torch.randn(number, 96, generator=torch.Generator().manual_seed(seed)),)


def calibration_for(model):
    feats = features(30, seed=1)
    with torch.inference_mode():
        descriptions = descriptions_of(model.head, feats, model.head(feats))
    target = (torch.rand(30, 2, generator=torch.Generator().manual_seed(2)) < 0.5).long()
    memories = [KernelMemory.of(part, neighbours=5) for part in descriptions]
    regression = Regression(torch.tensor([0.5, 0.4, 0.3]), torch.tensor([-1.0, 1.0]))
    return Calibration(regression, memories, target, [f'{number}.jpg' for number in range(30)])


def test_a_checkpoint_carries_all_of_it(model, tmp_path):
    path, thresholds = tmp_path / 'model.pth', torch.tensor([0.25, 0.5])
    before = dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES), epoch=3))
    calibration = calibration_for(model)
    save_fitted(before, CLASSES, path, thresholds, calibration)
    assert list(before) == ['state_dict', 'meta'] and 'thresholds' not in before['meta']
    fresh, plain = copy.deepcopy(model), model.head(features())
    content, _ = load_weights(fresh, path, needs_head=True)
    assert content['meta']['epoch'] == 3 and fresh.head.thr.tolist() == [0.25, 0.5]
    feats = features()
    expected = calibration(plain, *descriptions_of(model.head, feats, plain))
    assert torch.allclose(fresh.head(feats), expected, atol=1e-5)
    assert fresh.head.calibration.names == calibration.names
    # In the file two bytes a number, in memory four.
    stored = content['calibration']['memories'][0]['vectors']
    assert stored.dtype == torch.float16 and fresh.head.calibration.memories[0].vectors.dtype == torch.float32
    scores = [sample.pred_score for sample in fresh.head.predict(feats)]
    assert torch.allclose(torch.stack(scores), expected.sigmoid(), atol=1e-5)
    # A training loss is of the classifier's own logits.
    assert torch.equal(fresh.head.train()(feats), plain)

    save_fitted(content, CLASSES, path)
    content = torch.load(path, weights_only=True)
    # Another checkpoint has not the calibration of the one before.
    use_fitted(fresh.eval(), content)
    assert torch.equal(fresh.head(feats), plain)
    assert 'calibration' not in content and 'thresholds' not in content['meta']


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(labels=['dog', 'cat']), 'to be of the 2 labels'),
        (dict(labels=['cat']), 'is damaged: it names 1 labels'),
        (dict(slopes=torch.full((3,), float('nan'))), 'is damaged'),
        (dict(memories=[]), 'is damaged'),
        (dict(biases=None), 'is damaged'),
    ],
)
def test_a_calibration_that_does_not_fit(model, change, message):
    state = dict(calibration_for(model).state(), labels=list(CLASSES))
    content = dict(meta=dict(dataset_meta=dict(classes=CLASSES)), calibration={**state, **change})
    with pytest.raises(ValueError, match=f'{message}.*tools/calibrate.py'):
        use_fitted(model, content)
    content['calibration'] = 'none'
    with pytest.raises(ValueError, match='is damaged'):
        use_fitted(model, content)


def test_the_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / 'weights.pth'
    save_fitted(dict(state_dict=dict(a=torch.ones(1))), CLASSES, path, torch.tensor([0.25, 0.5]))
    assert torch.load(path)['meta']['thresholds'] == dict(cat=0.25, dog=0.5)
    before = path.read_bytes()

    def fail(content, file):
        with open(file, 'wb') as unfinished:
            unfinished.write(b'half')
        raise OSError('No space left on device')

    monkeypatch.setattr(torch, 'save', fail)
    with pytest.raises(OSError, match='No space'):
        save_fitted({}, CLASSES, path, torch.tensor([0.25, 0.5]))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
