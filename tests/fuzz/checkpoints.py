"""Checkpoints into a model, and the one to resume from."""

import copy
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope
from mmpretrain.apis import get_model
from numpy.random import Generator

from kmcl_mm.config import get_config
from kmcl_mm.engine import load_checkpoint, load_weights
from kmcl_mm.engine.whole_checkpoints import newest_whole_checkpoint

from .checkpoint_mutations import CONTENT, save
from .mutations import BYTES, TEXT, choose
from .target import Target

CLASSES = ('crack', 'rust', 'leak')


def small_config() -> Config:
    """The demo's, with timm's smallest network and three labels."""
    cfg = get_config('kmcl_tresnet_m_digits')
    cfg.model.backbone = dict(type='TIMMBackbone', model_name='test_resnet')
    cfg.merge_from_dict({'model.head.in_channels': 96, 'model.head.num_classes': 3, 'model.head.embedding_channels': 4})
    cfg.data_preprocessor.num_classes = 3
    cfg.test_dataloader.dataset.metainfo = dict(classes=CLASSES)
    return cfg


def small_model(cfg: Config) -> torch.nn.Module:
    """Its model."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    return get_model(cfg)


def training_state(model: torch.nn.Module) -> dict[str, Any]:
    """What a training leaves, in small."""
    return dict(
        meta=dict(epoch=1, dataset_meta=dict(classes=CLASSES), thresholds=dict.fromkeys(CLASSES, 0.25)),
        state_dict=model.state_dict(),
        message_hub=dict(log_scalars={'loss': HistoryBuffer([1.0, 2.0], [1, 1])}),
        optimizer=dict(param_groups=[dict(lr=0.1)]),
    )


class CheckpointFile(Target):
    """The bytes of a checkpoint, in torch's format of today or the one before."""

    name, number, mutations = 'checkpoint bytes', 60, BYTES

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cfg = small_config()
        self.model = small_model(self.cfg)
        self.initial = copy.deepcopy(self.model.state_dict())
        trained = {name: value + 1 for name, value in self.initial.items()}
        self.state = dict(training_state(self.model), state_dict=trained)
        self.saved = [save(self.state, legacy) for legacy in (False, False, False, True)]

    def original(self, generator: Generator) -> bytes:
        return choose(self.saved, generator)

    def load(self, content: bytes) -> Any:
        path = self.folder / 'some.pth'
        path.write_bytes(content)
        self.model.load_state_dict(self.initial)
        # Fitted thresholds make it a buffer.
        del self.model.head.thr
        self.model.head.thr = 0.5
        return load_weights(self.model, path)

    def check(self, content: bytes, loaded: Any) -> None:
        meta = loaded.content.get('meta') or {}
        names = (meta.get('dataset_meta') or {}).get('classes', ())
        assert all(isinstance(name, str) for name in names)
        thresholds = torch.as_tensor(self.model.head.thr)
        assert ((thresholds >= 0) & (thresholds <= 1)).all() and thresholds.shape in ((), (len(CLASSES),))
        state = self.model.state_dict()
        assert all(value.isfinite().all() for value in state.values())
        assert any(self._is_in(saved, state, loaded.initial) for saved in self.contents(content))

    def contents(self, content: bytes) -> Iterator[dict[str, Any]]:
        """The weights that may have been loaded: changed bytes must not give others, where there are checksums."""
        is_legacy = not zipfile.is_zipfile(io.BytesIO(content))
        yield self.model.state_dict() if is_legacy else self.state['state_dict']

    def _is_in(self, saved: dict[str, Any], state: dict[str, torch.Tensor], initial: Any) -> bool:
        saved = {str(name).removeprefix('module.'): value for name, value in saved.items()}
        expected = {name: saved.get(name, self.initial[name]) for name in state}
        absent = [name for name in state if name not in saved]
        return absent == initial and all(
            torch.is_tensor(value) and torch.equal(value.to(state[name].dtype), state[name])
            for name, value in expected.items()
        )


class CheckpointContent(CheckpointFile):
    """What is in a checkpoint."""

    name, number = 'checkpoint contents', 60

    def mutate(self, number: int) -> bytes:
        generator = self.generator(number)
        return save(choose(CONTENT, generator)(copy.deepcopy(self.state), generator))

    def contents(self, content: bytes) -> Iterator[dict[str, Any]]:
        """Every dictionary in the file, which this test has written itself."""
        yield from _dictionaries(torch.load(io.BytesIO(content), weights_only=False))


class ResumeFolder(CheckpointFile):
    """Three checkpoints, of which the last is damaged."""

    name, number, file = 'checkpoint to resume', 25, 'epoch_3.pth'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for epoch in (1, 2, 3):
            path = folder / f'epoch_{epoch}.pth'
            path.write_bytes(self.saved[0])
            os.utime(path, (epoch, epoch))
        (folder / 'last_checkpoint').write_text(str(folder / 'epoch_3.pth'))

    def load(self, content: bytes) -> Any:
        (self.folder / self.file).write_bytes(content)
        path, _ = newest_whole_checkpoint(self.folder)
        return path, load_checkpoint(path)

    def check(self, content: bytes, loaded: Any) -> None:
        path, state = loaded
        assert Path(path).name in ('epoch_3.pth', 'epoch_2.pth')
        if not zipfile.is_zipfile(path):
            # Nobody can tell whether bytes in torch's older format were changed: it has no checksums.
            assert Path(path).name == self.file and not zipfile.is_zipfile(io.BytesIO(content))
            return
        assert state['meta'] == self.state['meta'] and state['optimizer'] == self.state['optimizer']
        assert all(torch.equal(value, self.state['state_dict'][name]) for name, value in state['state_dict'].items())


class LastCheckpoint(ResumeFolder):
    """The file that names the last one."""

    name, number, mutations, file = 'last_checkpoint', 15, TEXT, 'last_checkpoint'

    def original(self, generator: Generator) -> bytes:
        return b'FOLDER/epoch_3.pth'

    def load(self, content: bytes) -> Any:
        return super().load(content.replace(b'FOLDER', str(self.folder).encode()))


def _dictionaries(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _dictionaries(value)


CHECKPOINTS = (CheckpointFile, CheckpointContent, ResumeFolder, LastCheckpoint)
