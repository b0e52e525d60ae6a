"""The model that fits a set of weights, told by their shapes."""

import math
from typing import Any

from ..modules.similarities import SIMILARITIES
from .tresnet import TRESNETS, layout_of, timm_tensors
from .weights import Weights


def model_of(weights: Weights) -> dict[str, Any]:
    """Find the configuration of a model that weights fit.

    Args:
        weights: Weights of kind 'KMCL' or 'TResNet'.

    Returns:
        The model's configuration; for weights of a TResNet one without a head.

    Raises:
        ValueError: They fit none of timm's TResNets, or the shapes of the head fit no head of this package.
    """
    encoder = {
        name.removeprefix('encoder.'): value
        for name, value in weights.tensors.items()
        if name.startswith(('encoder.body.', 'body.'))
    }
    layout = layout_of({name: value.shape for name, value in timm_tensors(encoder).values()})
    names = [name for name, known in TRESNETS.items() if known == layout]
    if not names:
        known = '; '.join(str(known) for known in TRESNETS.values())
        raise ValueError(
            f'{weights.path} has {layout or "no TResNet"}, none of {known}. Give the configuration of this '
            'network (--config).'
        )
    model = dict(
        type='ImageClassifier',
        backbone=dict(type='TIMMBackbone', model_name=names[0]),
        neck=dict(type='GlobalAveragePooling'),
    )
    if weights.kind == 'KMCL':
        model['head'] = _head_of(weights)
    return model


def _head_of(weights: Weights) -> dict[str, Any]:
    """Covariance by the projection, similarity by the number of variances."""
    tensors = weights.tensors
    num_classes, channels = tensors['kmm.pi.weight'].shape
    head: dict[str, Any] = dict(type='KMCLHead', num_classes=num_classes, in_channels=channels, covariance='isotropic')
    if 'downsampler.weight' in tensors:
        head.update(
            in_channels=tensors['downsampler.weight'].shape[1], covariance='anisotropic', embedding_channels=channels
        )
    if 'kmm.var.weight' in tensors:
        known = SIMILARITIES[head['covariance']]
        similarities = {math.prod(known[name](channels, num_classes)): name for name in reversed(known)}
        num_variances = tensors['kmm.var.weight'].shape[0]
        if num_variances not in similarities:
            raise ValueError(
                f'kmm.var in {weights.path} gives {num_variances} variances, but {head["covariance"]} kernels of '
                f'{num_classes} labels have one of {sorted(similarities)}.'
            )
        head['similarity'] = similarities[num_variances]
    return head
