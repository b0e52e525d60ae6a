"""The kernel mixture head."""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample, label_to_onehot
from torch import Tensor, nn
from torch.nn.functional import elu

from ..functional.checks import check_choice
from .kmcl_loss import COVARIANCES, KMCLLoss
from .similarities import SIMILARITIES

KERNELS = ('mapped', 'embedding')

# Variances are this plus ELU(raw), which is above -1: no variance is below 1.
_VARIANCE_OFFSET = 2 + 1e-7

# The published initial values; the embedding and the logits keep torch's own.
_REFERENCE_INIT = [
    dict(type='Uniform', a=0.0, b=0.1, bias=0.0, override=dict(name='mean')),
    dict(type='Constant', val=1.0, bias=0.0, override=dict(name='variance')),
]


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


@MODELS.register_module()
class KMCLHead(MultiLabelClsHead):
    """Multilabel head that turns pooled features into a mixture of Gaussian kernels, one a label.

    Logits are linear in the embedding. Means and variances are linear maps of the embedding as well, the variances
    through 2 + 1e-7 + ELU, unless ``kernels='embedding'``. They serve the losses only: prediction needs nothing but the
    logits.

    Args:
        num_classes: Number of labels K.
        in_channels: Channels D of the pooled features.
        covariance: 'anisotropic': the embedding is a linear projection of the features to M = ``embedding_channels``,
            and each kernel has M means and variances. 'isotropic': the embedding is the features themselves, M = D, and
            each kernel has one mean and one variance for all dimensions.
        similarity: 'bhattacharyya': free variances. 'mahalanobis' (anisotropic only) and 'rbf' (isotropic only): one
            raw variance a dimension, or one in all, shared by all labels. ``kmcl_mm/models/similarities.py`` has them.
        embedding_channels: Width M of the projection. Not used with 'isotropic'. None, with ``kernels='embedding'``:
            there is no projection, M = D, and the network predicts as one with a linear head does.
        kernels: 'mapped': means and variances are maps of the embedding, as published. 'embedding' (anisotropic and
            bhattacharyya only): the kernel of every label has the embedding itself as its mean and the variance 1, so
            that the contrast shapes the embedding and no maps can satisfy it by themselves. The loss's
            ``distance_scale`` then sets the width of the kernels: a scale c does what a variance of 1 / c would. There
            is nothing to reconstruct, and the loss's ``reconstruction_weight`` must be 0. Belongs to neither variant
            of the loss.
        loss: A KMCLLoss, or its configuration, which takes over the head's covariance unless it has one.
        thr: Score from which a label is predicted, in [0, 1], or None to predict by ``topk``.
        topk: Predict the k highest labels. As in all of the host's heads ``thr`` goes before it.
        init_cfg: Initial values in the host's form. Default: the published ones, mean weights uniform in [0, 0.1],
            variance weights 1, both biases 0. An empty list keeps torch's own throughout.

    Raises:
        ValueError: A covariance or similarity that does not exist, a pairing that is not defined, another loss or one
            for the other covariance, or a number out of its range.

    Source: arXiv:2307.03967, kernel mixture module.

    Example:
        >>> import torch
        >>> from kmcl_mm.models import KMCLHead
        >>> head = KMCLHead(num_classes=3, in_channels=8, embedding_channels=4)
        >>> mixture = head.mixture((torch.rand(2, 8), ))
        >>> [tuple(part.shape) for part in mixture]
        [(2, 4), (2, 3), (2, 4, 3), (2, 4, 3)]
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        covariance: str = 'anisotropic',
        similarity: str = 'bhattacharyya',
        embedding_channels: Optional[int] = 128,
        loss: Union[Dict, nn.Module] = dict(type='KMCLLoss'),
        thr: Optional[float] = 0.8,
        topk: Optional[int] = None,
        init_cfg: Union[Dict, List[Dict], None] = None,
        kernels: str = 'mapped',
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
        sizes: Dict[str, Any] = dict(num_classes=num_classes, in_channels=in_channels)
        if embedding_channels is not None:
            sizes['embedding_channels'] = embedding_channels
        for name, value in sizes.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f'Expected argument `{name}` to be a positive integer, but got {value!r}.')
        if thr is not None and not 0 <= thr <= 1:
            raise ValueError(f'Expected argument `thr` to be in [0, 1] or None, but got {thr}.')
        if topk is not None and not 1 <= topk <= num_classes:
            raise ValueError(f'Expected argument `topk` to be in [1, num_classes = {num_classes}], but got {topk}.')
        super().__init__(
            loss=_build_loss(loss, covariance, kernels),
            thr=thr,
            topk=topk,
            init_cfg=init_cfg if init_cfg is not None else _REFERENCE_INIT if kernels == 'mapped' else [],
        )
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.covariance = covariance
        self.similarity = similarity
        self.kernels = kernels

        if covariance == 'isotropic' or embedding_channels is None:
            self.embedding_channels = in_channels
            self.embedding: nn.Module = nn.Identity()
        else:
            self.embedding_channels = embedding_channels
            self.embedding = nn.Linear(in_channels, embedding_channels)
        self.logits = nn.Linear(self.embedding_channels, num_classes)
        if kernels == 'mapped':
            mean_channels = 1 if covariance == 'isotropic' else self.embedding_channels
            self.mean = nn.Linear(self.embedding_channels, mean_channels * num_classes)
            self._variance_shape = SIMILARITIES[covariance][similarity](self.embedding_channels, num_classes)
            self.variance = nn.Linear(self.embedding_channels, math.prod(self._variance_shape))

    def pre_logits(self, feats: Tuple[Tensor, ...]) -> Tensor:
        """Embedding of the last features.

        Args:
            feats: Features; the last are taken, pooled (N, D).

        Returns:
            Embedding (N, M).

        Raises:
            ValueError: The features are not pooled, or D is not ``in_channels``.
        """
        features = feats[-1]
        if features.dim() != 2:
            raise ValueError(
                f'Expected argument `feats` to hold pooled features (N, {self.in_channels}), but got '
                f'{tuple(features.shape)}. Give the model neck=dict(type="GlobalAveragePooling").'
            )
        if features.shape[1] != self.in_channels:
            raise ValueError(
                f'Expected features of in_channels = {self.in_channels} channels, but got '
                f"{features.shape[1]}. Set the head's `in_channels` to {features.shape[1]}, or use the "
                'backbone it was meant for.'
            )
        return self.embedding(features)

    def forward(self, feats: Tuple[Tensor, ...]) -> Tensor:
        """Logits (N, K) of the last of ``feats``, pooled features (N, D). Raises as :meth:`pre_logits`."""
        return self.logits(self.pre_logits(feats))

    def mixture(self, feats: Tuple[Tensor, ...]) -> KernelMixture:
        """The mixture of kernels of each image.

        Args:
            feats: Features; the last are taken, pooled (N, D).

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

    def loss(self, feats: Tuple[Tensor, ...], data_samples: List[DataSample], **kwargs: Any) -> Dict[str, Tensor]:
        """Losses of a batch.

        Args:
            feats: Features; the last are taken, pooled (N, D).
            data_samples: One an image, with ``gt_score`` (K,) of 1, 0 and -1 (unknown), or ``gt_label``, indices.
            **kwargs: Passed to the loss, as the host's heads do; a KMCLLoss takes none.

        Returns:
            ``loss_asl``, ``loss_reconstruction`` and ``loss_contrastive``, each a scalar.

        Raises:
            ValueError: The features or targets do not fit the head.
        """
        mixture = self.mixture(feats)
        target = torch.stack(
            [
                sample.gt_score if 'gt_score' in sample else label_to_onehot(sample.gt_label, self.num_classes)
                for sample in data_samples
            ]
        )
        return self.loss_module(*mixture, target, **kwargs)


def _build_loss(loss: Union[Dict, nn.Module], covariance: str, kernels: str) -> KMCLLoss:
    """The loss of a head with this covariance and these kernels."""
    if isinstance(loss, dict):
        kind = MODELS.get(loss['type']) if isinstance(loss['type'], str) else loss['type']
        if kind is KMCLLoss:
            loss = {'covariance': covariance, **loss}
        loss = MODELS.build(loss)
    if not isinstance(loss, KMCLLoss):
        raise ValueError(
            f'Expected argument `loss` to be a KMCLLoss, but got {type(loss).__name__}. For another loss '
            "use the host's MultiLabelLinearClsHead."
        )
    if loss.covariance != covariance:
        raise ValueError(
            f'Expected argument `loss` to have the covariance of the head, {covariance!r}, but got {loss.covariance!r}.'
        )
    if kernels == 'embedding' and loss.reconstruction_weight:
        raise ValueError(
            "Expected argument `loss` to have reconstruction_weight=0 with kernels='embedding', whose mixture has "
            f'nothing to reconstruct, but got {loss.reconstruction_weight}.'
        )
    return loss
