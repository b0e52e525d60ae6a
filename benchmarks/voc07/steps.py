"""What a training step costs with each form: all are measured in turn, in one run."""

from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from benchmarks.measure import measure
from benchmarks.step import samples, step_of, times
from benchmarks.voc07.fine_tuned import CONFIGS
from benchmarks.voc07.forms import FORMS
from kmcl_mm.config import load_config

IMAGES, SIDE = 64, 128
DEVICE = torch.device('cpu')
REPEATS = {'head': 50, 'network': 5}


class Cost(NamedTuple):
    """Of a training step: forward, backward and Adam, with 64 images.

    Attributes:
        seconds: Median time.
        ratio: This time by that of the first form, the linear head with the asymmetric loss.
        megabytes: Peak of the memory in the first step, above what was in use before it.
    """

    seconds: float
    ratio: float
    megabytes: float


def measure_steps() -> Iterator[tuple[tuple[str, str], Cost]]:
    """Each head on drawn features, and each network on drawn images of 128 px.

    Yields:
        'head' or 'network' and the form's name; and the cost.
    """
    builders = {
        'head': {name: partial(_step_of_head, form.load({})) for name, form in FORMS.items()},
        'network': {name: partial(_step_of_network, load_config(path), SIDE) for name, path in CONFIGS.items()},
    }
    init_default_scope('mmpretrain')
    for part, forms in builders.items():
        # A process of its own for each, since one takes again what another has left.
        with get_context('spawn').Pool(processes=1, maxtasksperchild=1) as pool:
            megabytes = dict(zip(forms, pool.imap(_megabytes, forms.values())))
        seconds = times({name: build() for name, build in forms.items()}, REPEATS[part], DEVICE)
        first = next(iter(seconds.values()))
        for name in forms:
            yield (part, name), Cost(seconds[name], seconds[name] / first, megabytes[name])


def _megabytes(build: Callable[[], Callable[[], None]]) -> float:
    init_default_scope('mmpretrain')
    MMLogger.get_instance('steps', log_level='WARNING')
    return measure(build(), DEVICE, enough_seconds=0).megabytes


def _step_of_head(cfg: Config) -> Callable[[], None]:
    torch.manual_seed(0)
    head = _built(cfg.model.head)
    features, targets = torch.rand(IMAGES, head.in_channels), samples(IMAGES, head.num_classes, DEVICE)
    return step_of(head, lambda: head.loss((features,), targets))


def _step_of_network(cfg: Config, side: int) -> Callable[[], None]:
    torch.manual_seed(0)
    model = _built({**cfg.model, 'backbone': {**cfg.model.backbone, 'checkpoint_path': ''}})
    model.to(memory_format=torch.channels_last)
    images, targets = torch.randn(IMAGES, 3, side, side), samples(IMAGES, model.head.num_classes, DEVICE)
    return step_of(model, lambda: model.loss(images, targets))


def _built(cfg: dict[str, Any]) -> BaseModule:
    module = MODELS.build(cfg)
    module.init_weights()
    return module.train()
