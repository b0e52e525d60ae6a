from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner.base_loop import BaseLoop
from mmpretrain.registry import MODELS
from torch.utils.data import DataLoader

from kmcl_mm.engine import FittedThresholdsHook

CLASSES = ('cat', 'dog')


def checkpoint(thresholds, classes=CLASSES):
    return dict(state_dict={}, meta=dict(thresholds=thresholds, dataset_meta=dict(classes=classes)))


def runner_of(model):
    """What the hook needs of a runner that tests."""
    dataset = SimpleNamespace(metainfo=dict(classes=CLASSES))
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    return SimpleNamespace(model=model, _train_loop=dict(), test_loop=loop)


@pytest.fixture(params=['KMCLHead', 'MultiLabelLinearClsHead'])
def model(request):
    """A classifier whose logits are 0.5 and -0.5 whatever the image."""
    init_default_scope('mmpretrain')
    head = dict(type=request.param, num_classes=2, in_channels=4, thr=0.5)
    if request.param == 'KMCLHead':
        head['covariance'] = 'isotropic'
    model = MODELS.build(
        dict(type='ImageClassifier', backbone=dict(type='TIMMBackbone', model_name='test_resnet'), head=head)
    )
    layer = model.head.logits if request.param == 'KMCLHead' else model.head.fc
    torch.nn.init.zeros_(layer.weight)
    layer.bias.data = torch.tensor([0.5, -0.5])
    return model.eval()


def predicted(model):
    samples = model.head.predict((torch.zeros(1, 4),))
    return samples[0].pred_label.tolist()


def test_the_prediction_is_by_the_labels_own_thresholds(model):
    """Scores are 0.62 and 0.38."""
    assert predicted(model) == [0]
    hook, runner = FittedThresholdsHook(), runner_of(model)
    hook.after_load_checkpoint(runner, checkpoint(dict(cat=0.7, dog=0.3)))
    assert predicted(model) == [1]
    hook.after_load_checkpoint(runner, checkpoint(dict(cat=0.6, dog=0.3)))
    assert predicted(model) == [0, 1]


def test_a_checkpoint_without_thresholds_changes_nothing(model):
    for content in (dict(state_dict={}), checkpoint(None)):
        FittedThresholdsHook().after_load_checkpoint(runner_of(model), content)
    assert model.head.thr == 0.5


@pytest.mark.parametrize(
    'content',
    [checkpoint(dict(cat=0.5)), checkpoint(dict(dog=0.5, cat=0.5)), checkpoint(dict(a=0.1), ('a',))]
    + [checkpoint(wrong) for wrong in (0.5, ['cat', 'dog'], dict(cat='a', dog=0.5), dict(cat=2, dog=float('nan')))],
)
def test_thresholds_of_other_labels(model, content):
    with pytest.raises(ValueError, match='Fit (them )?again'):
        FittedThresholdsHook().after_load_checkpoint(runner_of(model), content)


def test_a_training_takes_no_notice_of_them(model):
    """It may go on with other labels."""

    class TrainLoop(BaseLoop):
        def run(self):
            pass

    runner = SimpleNamespace(model=model, _train_loop=TrainLoop(None, DataLoader([0])))
    FittedThresholdsHook().after_load_checkpoint(runner, checkpoint(dict(a=0.5, b=0.1, c=0.2), ('a', 'b', 'c')))
    assert model.head.thr == 0.5
