"""The heads and losses that are compared, as settings on top of the configurations."""

import itertools
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope

from kmcl_mm.config import load_config

# Learning rate and weight decay: every form is given the best of these, by its mAP on the validation images.
GRID = ((1e-3, 1e-4), (3e-3, 1e-4), (1e-3, 1.0), (3e-3, 1.0))
# Epochs for a share of the training images: with fewer images more, so that every form converges.
EPOCHS = {1.0: 12, 0.25: 24, 0.1: 40}


class Form(NamedTuple):
    """A head with its loss.

    Attributes:
        config: Name of the configuration.
        head: Settings of its head to override, by name.
    """

    config: str
    head: dict[str, Any]

    def load(self, options: dict[str, Any]) -> Config:
        """The configuration with the form's settings and others on top."""
        cfg = load_config(self.config, {**options, **{f'model.head.{key}': value for key, value in self.head.items()}})
        init_default_scope(cfg.default_scope)
        return cfg


def mapped(covariance: str, variant: str, head: tuple[tuple[str, Any], ...] = (), **loss: Any) -> Form:
    """KMCL with kernels that are maps of the embedding, as published."""
    return _kmcl(dict(head), covariance=covariance, variant=variant, **loss)


def embedded(contrastive_weight: float = 10, distance_scale: float = 0.1, **loss: Any) -> Form:
    """KMCL with kernels at the embedding."""
    return _kmcl(
        dict(kernels='embedding'),
        covariance='anisotropic',
        variant='exact',
        contrastive_weight=contrastive_weight,
        distance_scale=distance_scale,
        reconstruction_weight=0,
        **loss,
    )


def _kmcl(head: dict[str, Any], covariance: str, **loss: Any) -> Form:
    loss = dict(type='KMCLLoss', asl_batch_size=64, **loss)
    return Form('kmcl_efficientnet-lite0_voc07', dict(covariance=covariance, loss=loss, **head))


ASYMMETRIC = Form('asl_efficientnet-lite0_voc07', {})

# The published forms, the baselines, and the form with kernels at the embedding.
FORMS = {
    'asymmetric loss, linear': ASYMMETRIC,
    'binary cross-entropy, linear': Form(ASYMMETRIC.config, {'loss.gamma_neg': 0, 'loss.clip': 0}),
    'asymmetric loss, projected': embedded(contrastive_weight=0),
    'KMCL isotropic, reference': mapped('isotropic', 'reference'),
    'KMCL isotropic, exact': mapped('isotropic', 'exact'),
    'KMCL anisotropic, reference': mapped('anisotropic', 'reference'),
    'KMCL anisotropic, exact': mapped('anisotropic', 'exact'),
    'KMCL, kernels at the embedding': embedded(),
}


def _ablations() -> dict[str, dict[str, Form]]:
    terms = dict(asl_weight=0, reconstruction_weight=0, contrastive_weight=0)
    names = dict(zip(terms, ('asymmetric', 'reconstruction', 'contrast')))

    def with_terms(*kept: str) -> Form:
        return mapped('anisotropic', 'exact', **{name: 0 for name in terms if name not in kept})

    subsets = [subset for size in (1, 2, 3) for subset in itertools.combinations(terms, size)]
    return {
        'Terms': {' + '.join(names[name] for name in subset): with_terms(*subset) for subset in subsets},
        'Place of the Jaccard index': {
            place: mapped('anisotropic', 'exact', jaccard=place) for place in ('inside', 'outside', 'none')
        },
        'Temperature': {f'{t:g}': mapped('anisotropic', 'exact', temperature=t) for t in (0.07, 0.17, 0.5)},
        'Width of the embedding': {
            f'{width}': mapped('anisotropic', 'exact', head=(('embedding_channels', width),))
            for width in (64, 128, 256)
        },
        'Weight of the contrast': {
            f'{weight:g}': mapped('anisotropic', 'exact', contrastive_weight=weight) for weight in (0, 1, 10, 100)
        },
        'Initial mean and variance': {
            'published': mapped('anisotropic', 'exact'),
            "torch's own": mapped('anisotropic', 'exact', head=(('init_cfg', []),)),
        },
        'Similarity': {
            'Bhattacharyya, anisotropic': mapped('anisotropic', 'exact'),
            'Mahalanobis, anisotropic': mapped('anisotropic', 'exact', head=(('similarity', 'mahalanobis'),)),
            'Bhattacharyya, isotropic': mapped('isotropic', 'exact'),
            'RBF, isotropic': mapped('isotropic', 'exact', head=(('similarity', 'rbf'),)),
        },
        'Kernels at the embedding: weight of the contrast': {
            f'{weight:g}': embedded(contrastive_weight=weight) for weight in (0, 3, 10, 30, 100)
        },
        'Kernels at the embedding: distance scale': {
            f'{scale:g}': embedded(distance_scale=scale) for scale in (0.01, 0.03, 0.1, 0.3, 1)
        },
        'Kernels at the embedding: Jaccard index': {place: embedded(jaccard=place) for place in ('outside', 'none')},
        'Kernels at the embedding: temperature': {f'{t:g}': embedded(temperature=t) for t in (0.07, 0.17, 0.5)},
    }


ABLATIONS = _ablations()
