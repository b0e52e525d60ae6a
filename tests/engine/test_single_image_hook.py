"""Trainings of a network with a batch norm on maps of one position, or of several."""

import pytest
import torch
from mmengine.model import BaseModel
from mmpretrain.registry import DATASETS, MODELS
from torch import nn

from kmcl_mm.errors import UnreadableImageError
from tests.engine.test_runner import FourImages, config, train

HOOK = dict(single_image=dict(type='SingleImageHook'))


@MODELS.register_module()
class OneNorm(BaseModel):
    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(size), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1))

    def forward(self, inputs, mode='tensor'):
        features = self.layers(inputs)
        return dict(loss=features.square().mean()) if mode == 'loss' else features


def settings(batch_size, size, **loader):
    """Four images."""
    dataloader = dict(config('').train_dataloader, batch_size=batch_size, **loader)
    return dict(model=dict(type='OneNorm', size=size), train_dataloader=dataloader, default_hooks=HOOK, epochs=1)


@pytest.mark.parametrize(
    'batch_size, loader', [(3, {}), (3, dict(drop_last=False)), (1, {}), (1, dict(drop_last=True))]
)
def test_a_batch_of_one_that_cannot_be_trained_on_is_found_before_the_first_step(tmp_path, batch_size, loader):
    message = f'batches of {batch_size} has one image, of 4, .*more than 1 value per channel.*drop_last=True'
    with pytest.raises(ValueError, match=message):
        train(tmp_path, **settings(batch_size, 1, **loader))
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize(
    'batch_size, size, loader',
    [(3, 2, {}), (1, 2, {}), (3, 1, dict(drop_last=True)), (2, 1, {}), (4, 1, {}), (5, 1, {})],
)
def test_what_can_be_trained_on_is_not_touched(tmp_path, batch_size, size, loader):
    """The try changes neither statistics nor random numbers."""
    tried = train(tmp_path / 'tried', **settings(batch_size, size, **loader)).model.state_dict()
    plain = dict(settings(batch_size, size, **loader), default_hooks={})
    for name, value in train(tmp_path / 'plain', **plain).model.state_dict().items():
        torch.testing.assert_close(tried[name], value, rtol=0, atol=0)


@DATASETS.register_module()
class FirstUnreadable(FourImages):
    def __getitem__(self, index):
        if index == 0:
            raise UnreadableImageError('no image')
        return super().__getitem__(index)


def test_an_image_that_is_skipped_in_training_is_skipped_here(tmp_path):
    hooks = dict(HOOK, unreadable_images=dict(type='UnreadableImagesHook', action='skip'))
    changes = dict(settings(3, 2, dataset=dict(type='FirstUnreadable')), default_hooks=hooks)
    assert train(tmp_path, **changes).iter == 2


def test_another_error_of_the_model_stays_as_it_is(tmp_path):
    model = dict(type='OneNorm', size=-1)
    with pytest.raises(RuntimeError):
        train(tmp_path, **dict(settings(3, 1), model=model))
