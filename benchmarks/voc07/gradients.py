"""What each loss does to the features: the size of its gradient, the pairs that carry one, and what the maps absorb."""

import argparse
import copy
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from benchmarks.voc07.forms import EPOCHS, FORMS, GRID
from benchmarks.voc07.frozen import Features, Part, load_features, with_schedule
from benchmarks.voc07.frozen_features import train_head
from benchmarks.voc07.runs import kept, options_of, path_of, settings_of
from kmcl_mm.functional import bhattacharyya_distance
from kmcl_mm.functional.gaussian import log_kernel
from kmcl_mm.models import KMCLHead

NAMES = tuple(name for name in FORMS if name.startswith('KMCL'))
MOMENTS = ('before', 'after', 'after, maps cut off')
BEFORE, _, CUT_OFF = MOMENTS
BATCHES, BATCH_SIZE = 8, 64
# A pair with a smaller coefficient has next to no gradient.
NOTICEABLE = 0.01


class Forces(NamedTuple):
    """Of a head, the mean over batches.

    Attributes:
        asymmetric: Length of the asymmetric loss's gradient at the features of the batch.
        reconstruction: The same of the reconstruction loss.
        contrast: The same of the contrast.
        log_kernel: Median logarithm of the kernels at the embedding.
        pairs: Share of pairs of images with a label of their own whose coefficient is noticeable.
        variance: Median variance.
        contrast_value: The contrast itself, without its weight.
    """

    asymmetric: float
    reconstruction: float
    contrast: float
    log_kernel: float
    pairs: float
    variance: float
    contrast_value: float


@MODELS.register_module()
class KMCLHeadWithCutMaps(KMCLHead):
    """The maps of mean and variance are trained, but pass no gradient on to the embedding."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for layer in (self.mean, self.variance):
            layer.register_forward_pre_hook(_cut)


def _cut(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].detach(),)


def measure_forces(args: argparse.Namespace) -> Iterator[tuple[tuple[str, str], Forces]]:
    """Every form of KMCL before and after a training on all images of ``train``, and after one with cut maps.

    Yields:
        The form's name and 'before', 'after' or 'after, maps cut off'; and the forces on images of ``val``.
    """
    features = load_features(args)
    for name in NAMES:
        cfg = with_schedule(FORMS[name].load(options_of(args.data_root, args.checkpoint)), *GRID[0], epochs=EPOCHS[1.0])
        for moment in MOMENTS:
            if moment != CUT_OFF or cfg.model.head.get('kernels') != 'embedding':
                path = path_of(args.work_dir, 'gradients', name, moment, settings=settings_of(cfg))
                yield (name, moment), kept(path, Forces, functools.partial(_measure, cfg, moment, features))


def _measure(cfg: Config, moment: str, features: Features) -> Forces:
    cfg = copy.deepcopy(cfg)
    if moment == CUT_OFF:
        cfg.model.head.type = 'KMCLHeadWithCutMaps'
    if moment == BEFORE:
        head = _untrained(cfg)
    else:
        head = train_head(cfg, features.train.features, features.train.target.clamp(min=0), seed=0)
    return _forces(head, cfg, features.val)


def _untrained(cfg: Config) -> KMCLHead:
    torch.manual_seed(0)
    head = MODELS.build(cfg.model.head)
    head.init_weights()
    return head


def _forces(head: KMCLHead, cfg: Config, part: Part) -> Forces:
    measured = []
    order = torch.randperm(len(part.features), generator=torch.Generator().manual_seed(0))
    for batch in order[: BATCHES * BATCH_SIZE].split(BATCH_SIZE):
        features, target = part.features[batch], part.target[batch].clamp(min=0)
        measured.append(_forces_of_batch(head, cfg.model.head.loss, features, target))
    return Forces(*(sum(values) / len(values) for values in zip(*measured)))


def _forces_of_batch(head: KMCLHead, loss_cfg: dict[str, Any], features: Tensor, target: Tensor) -> Forces:
    features = features.clone().requires_grad_()
    losses = head.loss((features,), [DataSample().set_gt_score(row) for row in target])
    gradients = [
        torch.autograd.grad(losses[name], features, retain_graph=True, materialize_grads=True)[0].norm().item()
        for name in ('loss_asl', 'loss_reconstruction', 'loss_contrastive')
    ]
    with torch.no_grad():
        embedding, _, mean, variance = head.mixture((features,))
        # Pairs of an image with another, in the labels of the first.
        chosen = target.bool().unsqueeze(1) & ~torch.eye(len(target), dtype=torch.bool).unsqueeze(2)
        scale = head.loss_module.scale_of_distances(embedding.shape[1])
        coefficient = (-scale * bhattacharyya_distance(mean, variance)).exp()
        return Forces(
            *gradients,
            log_kernel(embedding, mean, variance).median().item(),
            (coefficient > NOTICEABLE).expand_as(chosen)[chosen].float().mean().item(),
            variance.median().item(),
            (losses['loss_contrastive'] / loss_cfg.get('contrastive_weight', 1)).item(),
        )
