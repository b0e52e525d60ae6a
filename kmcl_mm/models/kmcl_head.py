"""The kernel mixture head with MMPretrain's contract."""

import inspect
from typing import Any

import torch
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample, label_to_onehot
from torch import Tensor, nn

from ..modules import KernelMixtureHead, KMCLLoss


@MODELS.register_module()
class KMCLHead(KernelMixtureHead, MultiLabelClsHead):
    """:class:`kmcl_mm.KernelMixtureHead` as a head of MMPretrain, with losses and predictions.

    Args:
        num_classes: Number of labels K.
        in_channels: Channels D of the pooled features.
        covariance: 'anisotropic' or 'isotropic'.
        similarity: 'bhattacharyya'; 'mahalanobis' (anisotropic only); 'rbf' (isotropic only).
        embedding_channels: Width M of the projection; None, with ``kernels='embedding'``, for none.
        loss: A KMCLLoss, or its configuration, which takes over the head's covariance unless it has one.
        thr: Score from which a label is predicted, in [0, 1], or None to predict by ``topk``.
        topk: Predict the k highest labels. As in all of MMPretrain's heads ``thr`` goes before it.
        init_cfg: Initial values in MMEngine's form, on top of torch's own. Default: the published ones. An empty list
            keeps torch's own.
        kernels: 'mapped' or 'embedding'.

    Raises:
        ValueError: As :class:`kmcl_mm.KernelMixtureHead`; or another loss, one for the other covariance, or a ``thr``
            or ``topk`` out of its range.

    Source: arXiv:2307.03967, kernel mixture module.

    Example:
        >>> import torch
        >>> from kmcl_mm.models import KMCLHead
        >>> head = KMCLHead(num_classes=3, in_channels=8, embedding_channels=4)
        >>> [tuple(part.shape) for part in head.mixture((torch.rand(2, 8), ))]
        [(2, 4), (2, 3), (2, 4, 3), (2, 4, 3)]
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        covariance: str = 'anisotropic',
        similarity: str = 'bhattacharyya',
        embedding_channels: int | None = 128,
        loss: dict | nn.Module = dict(type='KMCLLoss'),
        thr: float | None = 0.8,
        topk: int | None = None,
        init_cfg: dict | list[dict] | None = None,
        kernels: str = 'mapped',
    ) -> None:
        super().__init__(num_classes, in_channels, covariance, similarity, embedding_channels, kernels)
        if thr is not None and not 0 <= thr <= 1:
            raise ValueError(f'Expected argument `thr` to be in [0, 1] or None, but got {thr}.')
        if topk is not None and not 1 <= topk <= num_classes:
            raise ValueError(f'Expected argument `topk` to be in [1, num_classes = {num_classes}], but got {topk}.')
        self.loss_module = _build_loss(loss, covariance, kernels)
        self.thr = 0.5 if thr is None and topk is None else thr
        self.topk = topk
        if init_cfg is not None:
            self.init_cfg = init_cfg
            for layer in self.children():
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()

    def loss(
        self, feats: tuple[Tensor, ...] | Tensor, data_samples: list[DataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            feats: Pooled features (N, D); of several the last.
            data_samples: One per image, with ``gt_score`` (K,) of 1, 0 and -1 (unknown), or ``gt_label``, indices.
            **kwargs: Passed to the loss, as MMPretrain's heads do; a KMCLLoss takes none.

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


def _build_loss(loss: dict | nn.Module, covariance: str, kernels: str) -> KMCLLoss:
    """The loss of a head with this covariance and these kernels."""
    if isinstance(loss, dict):
        kind = MODELS.get(loss['type']) if isinstance(loss['type'], str) else loss['type']
        if inspect.isclass(kind) and issubclass(kind, KMCLLoss):
            loss = {'covariance': covariance, **loss}
        loss = MODELS.build(loss)
    if not isinstance(loss, KMCLLoss):
        raise ValueError(
            f'Expected argument `loss` to be a KMCLLoss, but got {type(loss).__name__}. For another loss '
            "use MMPretrain's MultiLabelLinearClsHead."
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
