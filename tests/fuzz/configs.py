"""Configurations into a model that predicts."""

from pathlib import Path
from typing import Any

from numpy.random import Generator

from kmcl_mm.apps.inference import load_classifier
from kmcl_mm.config import load_config

from .checkpoint_mutations import save
from .checkpoints import small_config, small_model, training_state
from .config_mutations import CONFIG
from .target import Target

_BASE = """
default_scope = 'mmpretrain'
data_preprocessor = dict(num_classes=3, mean=[127.5] * 3, std=[63.75] * 3, to_onehot=True)
test_dataloader = dict(
    batch_size=4,
    num_workers=0,
    dataset=dict(type='JSONMultiLabel', metainfo=dict(classes=('crack', 'rust', 'leak')), pipeline=[]),
)
"""
_CONFIG = """
_base_ = 'base.py'
custom_imports = dict(imports=['kmcl_mm'], allow_failed_imports=False)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='TIMMBackbone', model_name='test_resnet', pretrained=False),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='KMCLHead',
        num_classes=3,
        in_channels=96,
        embedding_channels=4,
        covariance='anisotropic',
        thr=0.5,
        loss=dict(type='KMCLLoss', variant='exact', gamma_neg=4.0, clip=0.05),
    ),
)
test_dataloader = dict(num_workers=0)
launcher = 'none'
load_from = None
"""


class ConfigFile(Target):
    """A configuration, and the model that the tools build from it with a checkpoint."""

    name, number, mutations = 'config', 80, CONFIG

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / 'base.py').write_text(_BASE)
        (folder / 'base.json').write_text('{"model": 5')
        (folder / 'circle.py').write_text("_base_ = 'config.py'")
        (folder / 'some.pth').write_bytes(save(training_state(small_model(small_config()))))

    def original(self, generator: Generator) -> bytes:
        return _CONFIG.encode()

    def load(self, content: bytes) -> Any:
        (self.folder / 'config.py').write_bytes(content)
        model, _ = load_classifier(load_config(self.folder / 'config.py'), self.folder / 'some.pth')
        return model

    def check(self, content: bytes, loaded: Any) -> None:
        assert loaded.head.num_classes == 3 and not loaded.training
        assert all(value.isfinite().all() for value in loaded.state_dict().values())
