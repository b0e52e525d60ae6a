"""The kernel mixture head."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from ..checks import check_choice
from .kmcl_loss import COVARIANCES
from .similarities import SIMILARITIES

KERNELS = ('mapped', 'embedding')

# Variances are this plus ELU(raw), which is above -1: no variance is below 1.
_VARIANCE_OFFSET = 2 + 1e-7
# Parameters of the maps from which on there is a warning: those of a ResNet-50.
_LARGE = 25e6


class KernelMixture(NamedTuple):
    """The mixture of Gaussian kernels of each image.

    Attributes:
        embedding: Embedding (N, M).
        logits: Logits (N, K); their sigmoids are the mixture coefficients and the scores.
        mean: Kernel means, isotropic (N, K) or anisotropic (N, M, K); (N, M, 1) where all labels share a kernel.
        variance: Kernel variances of the same shape, none below 1.
    """

    embedding: Tensor
    logits: Tensor
    mean: Tensor
    variance: Tensor


class KernelMixtureHead(nn.Module):
    """Multilabel head that turns pooled features into a mixture of Gaussian kernels, one kernel per label.

    Logits are linear in the embedding. Means and variances are linear maps of the embedding as well, the variances
    through 2 + 1e-7 + ELU, unless ``kernels='embedding'``. They serve the losses only: prediction needs nothing but the
    logits. A new head has the published initial values: mean weights uniform in [0, 0.1], variance weights 1, both
    biases 0; embedding and logits keep torch's defaults.

    Args:
        num_classes: Number of labels K.
        in_channels: Channels D of the pooled features.
        covariance: 'anisotropic': the embedding is a linear projection of the features to M = ``embedding_channels``,
            and each kernel has M means and variances. 'isotropic': the embedding is the features themselves, M = D, and
            each kernel has one mean and one variance for all dimensions.
        similarity: 'bhattacharyya': free variances. 'mahalanobis' (anisotropic only) and 'rbf' (isotropic only): one
            raw variance per dimension, or a single one, shared by all labels (``kmcl_mm/modules/similarities.py``).
        embedding_channels: Width M of the projection. Not used with 'isotropic'. None, with ``kernels='embedding'``:
            there is no projection, M = D, and the network predicts as one with a linear head does.
        kernels: 'mapped': means and variances are maps of the embedding, as published. 'embedding' (anisotropic and
            bhattacharyya only): the kernel of every label has the embedding itself as its mean and the variance 1, so
            that the contrast shapes the embedding and no maps can satisfy it by themselves. The loss's
            ``distance_scale`` then sets the width of the kernels: a scale c does what a variance of 1 / c would. There
            is nothing to reconstruct, and the loss's ``reconstruction_weight`` must be 0. Not part of the published
            code; available in both variants of the loss.

    Raises:
        ValueError: A covariance or similarity that does not exist, a pairing that is not defined, or a size below 1.

    Source: arXiv:2307.03967, kernel mixture module.

    Example:
        >>> import torch
        >>> from kmcl_mm import KernelMixtureHead
        >>> head = KernelMixtureHead(num_classes=3, in_channels=8, embedding_channels=4)
        >>> head(torch.rand(2, 8)).shape
        torch.Size([2, 3])
        >>> [tuple(part.shape) for part in head.mixture(torch.rand(2, 8))]
        [(2, 4), (2, 3), (2, 4, 3), (2, 4, 3)]
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        covariance: str = 'anisotropic',
        similarity: str = 'bhattacharyya',
        embedding_channels: int | None = 128,
        kernels: str = 'mapped',
    ) -> None:
        super().__init__()
        _check_arguments(num_classes, in_channels, covariance, similarity, embedding_channels, kernels)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.covariance = covariance
        self.similarity = similarity
        self.kernels = kernels
        self.embedding: nn.Module = nn.Identity()
        self.embedding_channels = in_channels
        if covariance == 'anisotropic' and embedding_channels is not None:
            self.embedding_channels = embedding_channels
            self.embedding = nn.Linear(in_channels, embedding_channels)
        self.logits = nn.Linear(self.embedding_channels, num_classes)
        if kernels == 'mapped':
            mean_channels = 1 if covariance == 'isotropic' else self.embedding_channels
            self.mean = nn.Linear(self.embedding_channels, mean_channels * num_classes)
            self._variance_shape = SIMILARITIES[covariance][similarity](self.embedding_channels, num_classes)
            self.variance = nn.Linear(self.embedding_channels, math.prod(self._variance_shape))
            _warn_of_large_maps(num_classes, self.mean, self.variance)
            nn.init.uniform_(self.mean.weight, 0, 0.1)
            nn.init.ones_(self.variance.weight)
            nn.init.zeros_(self.mean.bias)
            nn.init.zeros_(self.variance.bias)

    def pre_logits(self, feats: Tensor | Sequence[Tensor]) -> Tensor:
        """Embed pooled features.

        Args:
            feats: Pooled features (N, D); of several, as MMPretrain's networks return them, the last.

        Returns:
            Embedding (N, M).

        Raises:
            ValueError: The features are not pooled, or D is not ``in_channels``.
        """
        features = feats if isinstance(feats, Tensor) else feats[-1]
        if features.dim() != 2:
            raise ValueError(
                f'Expected argument `feats` to be pooled features (N, {self.in_channels}), but got '
                f'{tuple(features.shape)}. Pool them; in MMPretrain: neck=dict(type="GlobalAveragePooling").'
            )
        if features.shape[1] != self.in_channels:
            raise ValueError(
                f'Expected features of in_channels = {self.in_channels} channels, but got {features.shape[1]}. Set '
                "the head's `in_channels` to that of the backbone. If it is, the pooling takes another dimension for "
                "the channels, as MMPretrain's does of timm's transformers: take backbone.type='PooledTIMMBackbone'."
            )
        return self.embedding(features)

    def forward(self, feats: Tensor | Sequence[Tensor]) -> Tensor:
        """Compute the logits (N, K) of pooled features (N, D). Raises as :meth:`pre_logits`."""
        return self.logits(self.pre_logits(feats))

    def mixture(self, feats: Tensor | Sequence[Tensor]) -> KernelMixture:
        """Compute the mixture of kernels of each image.

        Args:
            feats: Pooled features (N, D); of several the last.

        Returns:
            Embedding, logits, means and variances; the variances at least in float32.

        Raises:
            ValueError: The features are not pooled, or D is not ``in_channels``.
        """
        embedding = self.pre_logits(feats)
        if self.kernels == 'embedding':
            mean = embedding.unsqueeze(2)
            return KernelMixture(embedding, self.logits(embedding), mean, torch.ones_like(mean))
        mean = self.mean(embedding)
        raw_variance = self.variance(embedding)
        raw_variance = raw_variance.to(torch.promote_types(raw_variance.dtype, torch.float32))
        if self.covariance == 'anisotropic':
            mean = mean.unflatten(1, (self.embedding_channels, self.num_classes))
        raw_variance = raw_variance.unflatten(1, self._variance_shape)
        variance = (_VARIANCE_OFFSET + elu(raw_variance)).expand_as(mean)
        return KernelMixture(embedding, self.logits(embedding), mean, variance)


def _warn_of_large_maps(num_classes: int, *maps: nn.Linear) -> None:
    number = sum(parameter.numel() for layer in maps for parameter in layer.parameters())
    if number > _LARGE:
        warnings.warn(
            f'The maps of the kernels of {num_classes:,} labels have {number / 1e6:.0f} million parameters, more than '
            "many a network, and steps will be slow. Take covariance='isotropic', or kernels='embedding' with the "
            "loss's reconstruction_weight=0.",
            stacklevel=4,
        )


def _check_arguments(
    num_classes: int,
    in_channels: int,
    covariance: str,
    similarity: str,
    embedding_channels: int | None,
    kernels: str,
) -> None:
    check_choice('covariance', covariance, COVARIANCES)
    check_choice('kernels', kernels, KERNELS)
    if kernels == 'embedding' and (covariance, similarity) != ('anisotropic', 'bhattacharyya'):
        raise ValueError(
            'Expected arguments `covariance` and `similarity` to be anisotropic and bhattacharyya with '
            f"kernels='embedding', but got {covariance} and {similarity}."
        )
    if similarity not in SIMILARITIES[covariance]:
        raise ValueError(
            f'Expected argument `similarity` to be one of {tuple(SIMILARITIES[covariance])} with '
            f'covariance={covariance!r}, but got {similarity!r}.'
        )
    if embedding_channels is None and (covariance, kernels) == ('anisotropic', 'mapped'):
        raise ValueError(
            "Expected argument `embedding_channels` to be a number with kernels='mapped', but got None. Maps of so "
            "many dimensions would be larger than the network; without a projection take kernels='embedding'."
        )
    sizes: dict[str, Any] = dict(num_classes=num_classes, in_channels=in_channels)
    if embedding_channels is not None:
        sizes['embedding_channels'] = embedding_channels
    for name, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f'Expected argument `{name}` to be a positive integer, but got {value!r}.')
