"""The three losses of KMCL in one module."""

import torch
from torch import Tensor, nn

from ..checks import check_at_least, check_choice, check_shape, check_temperature
from ..functional import asymmetric_loss, clamped_reconstruction_loss, kernel_contrastive_loss, reconstruction_loss
from ..functional.contrastive import JACCARD_PLACES
from ..functional.distributed import KernelBatch, gather_batch
from ..functional.precision import full_precision

VARIANTS = ('reference', 'exact')
COVARIANCES = ('isotropic', 'anisotropic')


class KMCLLoss(nn.Module):
    """Asymmetric classification, kernel reconstruction and kernel contrast.

    The losses are computed in float32 (float64 stays float64), with autocast off, whatever the network runs in. Against
    float64 a value is right to 1e-4 of itself or 1e-6, and a gradient to 1e-4 of the tensor's largest or to 1e-5 in
    units of the kernels' width (a gradient by the mean times sigma, by the variance times sigma squared), for means to
    1e4 and variances from 1 to 1e6. The reconstruction's errors, relative ones and those of
    gradients in units of the width, grow by 2e-7 times the largest log kernel on top.

    Args:
        variant: 'reference' gives the published code's numbers: kernel values clamped in the reconstruction, the
            anisotropic distance multiplied once more by M, 1e-7 added inside the contrast's logarithm, the Jaccard
            index inside it. 'exact' gives the stated mathematics: log-sum-exps without floors, the true distance, the
            log-softmax, the Jaccard index as a weight of the pair.
        covariance: 'isotropic' (mean and variance (N, K)) or 'anisotropic' ((N, M, K)).
        gamma_neg: Focusing exponent of absent labels. Both variants.
        gamma_pos: Focusing exponent of present labels. Both variants.
        clip: Probability margin of absent labels. Both variants.
        temperature: Temperature of the contrast, at least 1e-6. Both variants.
        asl_weight: Weight of the asymmetric loss, which is a sum over images and labels. A loss of weight 0 is not
            computed. Both variants.
        reconstruction_weight: Weight of the reconstruction loss, a mean over images. Both variants.
        contrastive_weight: Weight of the contrastive loss, a mean over images. Both variants.
        gather_distributed: Contrast each process's images with those of all processes, not only its own, and take means
            over the images of all of them: averaged over the processes, losses and gradients are those of one process
            with the whole batch (the asymmetric loss's with ``asl_batch_size``). Not part of the published code;
            available in both variants.
        distance_scale: Factor of the anisotropic distance. Default: M in 'reference', 1 in 'exact'. An isotropic
            distance is the sum over M equal dimensions in both.
        jaccard: Place of the Jaccard index in the contrast: 'inside', 'outside' or 'none' (see
            :func:`kmcl_mm.functional.kernel_contrastive_loss`). Default: 'inside' in 'reference', 'outside' in 'exact'.
        asl_batch_size: Number of images that the asymmetric loss stands for: it is this times the mean over images of
            each image's sum over labels, whatever the batch and the number of processes are (of uneven batches the
            mean is over the images of all processes with ``gather_distributed``). Default: the sum over this
            process's images, as in the published code, whose weight against the other losses grows with the batch of
            one process; the published recipes sum over 64 (TResNet-M) and 32 images (TResNet-L). Both variants.

    Raises:
        ValueError: An argument is not one of its choices or is out of its range.

    Source: arXiv:2307.03967 and its public reference implementation.

    Example:
        >>> import torch
        >>> from kmcl_mm import KMCLLoss
        >>> zeros = torch.zeros(2, 3)
        >>> losses = KMCLLoss(covariance='isotropic')(zeros, zeros, zeros, zeros + 2, zeros)
        >>> sorted(losses)
        ['loss_asl', 'loss_contrastive', 'loss_reconstruction']
    """

    def __init__(
        self,
        variant: str = 'reference',
        covariance: str = 'anisotropic',
        gamma_neg: float = 4.0,
        gamma_pos: float = 0.0,
        clip: float = 0.05,
        temperature: float = 0.17,
        asl_weight: float = 1.0,
        reconstruction_weight: float = 1.0,
        contrastive_weight: float = 1.0,
        gather_distributed: bool = False,
        distance_scale: float | None = None,
        jaccard: str | None = None,
        asl_batch_size: float | None = None,
    ) -> None:
        super().__init__()
        check_choice('variant', variant, VARIANTS)
        check_choice('covariance', covariance, COVARIANCES)
        check_temperature(temperature)
        if not 0 <= clip < 1:
            raise ValueError(f'Expected argument `clip` to be in [0, 1), but got {clip}.')
        for name, value in dict(
            gamma_neg=gamma_neg,
            gamma_pos=gamma_pos,
            asl_weight=asl_weight,
            reconstruction_weight=reconstruction_weight,
            contrastive_weight=contrastive_weight,
            distance_scale=distance_scale or 0,
        ).items():
            check_at_least(name, value, 0)
        if asl_batch_size is not None and asl_batch_size <= 0:
            raise ValueError(f'Expected argument `asl_batch_size` to be above 0 or None, but got {asl_batch_size}.')
        if jaccard is not None:
            check_choice('jaccard', jaccard, JACCARD_PLACES)
        if distance_scale is not None and covariance == 'isotropic':
            raise ValueError(
                'Expected argument `distance_scale` to be None with covariance="isotropic", whose distance '
                f'is the sum over its dimensions, but got {distance_scale}.'
            )
        self.variant = variant
        self.covariance = covariance
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip
        self.temperature = temperature
        self.asl_weight = asl_weight
        self.reconstruction_weight = reconstruction_weight
        self.contrastive_weight = contrastive_weight
        self.gather_distributed = gather_distributed
        self.distance_scale = distance_scale
        self.asl_batch_size = asl_batch_size
        self.jaccard = jaccard or ('inside' if variant == 'reference' else 'outside')

    @full_precision
    def forward(
        self, embedding: Tensor, logits: Tensor, mean: Tensor, variance: Tensor, target: Tensor
    ) -> dict[str, Tensor]:
        """Compute the three weighted losses.

        Args:
            embedding: Embedding (N, M).
            logits: Logits (N, K).
            mean: Kernel means, isotropic (N, K) or anisotropic (N, M, K), or (N, M, 1) where all labels share a kernel.
            variance: Kernel variances, positive, of the same shape.
            target: Targets (N, K): 1 present, 0 absent, -1 unknown.

        Returns:
            ``loss_asl``, ``loss_reconstruction`` and ``loss_contrastive``, each a scalar.

        Raises:
            ValueError: A shape does not fit, or a target has another value.
        """
        self._check_shapes(embedding, logits, mean)
        batch = self._gather(mean, variance, target)
        # What a loss of weight 0 would reach gets the gradient 0, as parameters of a distributed training must get one.
        zero = torch.stack([part[:0].sum() for part in (embedding, logits, mean, variance)]).sum()
        asymmetric = reconstruction = contrast = zero
        if self.asl_weight:
            asymmetric = self.asl_weight * self._asymmetric(logits, target, batch)
        if self.reconstruction_weight:
            mixture = (embedding, logits, mean, variance)
            reconstruction = self.reconstruction_weight * self._reconstruction(*mixture, target, batch)
        if self.contrastive_weight:
            contrast = self.contrastive_weight * self._contrastive(batch, dimensions=embedding.shape[1])
        return dict(loss_asl=asymmetric, loss_reconstruction=reconstruction, loss_contrastive=contrast)

    def _gather(self, mean: Tensor, variance: Tensor, target: Tensor) -> KernelBatch:
        """The kernels that are contrasted, none without a contrast, and the targets that the losses are means over."""
        if not self.gather_distributed:
            return KernelBatch(mean, variance, target, slice(0, len(target)))
        if not self.contrastive_weight:
            mean = variance = mean.new_empty(len(mean), 0)
        return gather_batch(mean, variance, target)

    def _reconstruction(
        self, embedding: Tensor, logits: Tensor, mean: Tensor, variance: Tensor, target: Tensor, batch: KernelBatch
    ) -> Tensor:
        mixture = (embedding, logits, mean, variance)
        if self.variant == 'reference':
            return batch.own_share * clamped_reconstruction_loss(*mixture, target)
        return batch.own_labelled_share * reconstruction_loss(*mixture, target)

    def _asymmetric(self, logits: Tensor, target: Tensor, batch: KernelBatch) -> Tensor:
        loss = asymmetric_loss(logits, target, self.gamma_neg, self.gamma_pos, self.clip)
        if self.asl_batch_size is None:
            return loss
        return loss * (self.asl_batch_size * batch.own_share / len(target))

    def scale_of_distances(self, dimensions: int) -> float:
        """The factor of the distances in the contrast.

        Args:
            dimensions: Number of dimensions M of the embedding.

        Returns:
            ``distance_scale``; where it is None, M with isotropic kernels or in 'reference', else 1.
        """
        if self.distance_scale is not None:
            return self.distance_scale
        return dimensions if self.variant == 'reference' or self.covariance == 'isotropic' else 1

    def _contrastive(self, batch: KernelBatch, dimensions: int) -> Tensor:
        return batch.own_share * kernel_contrastive_loss(
            batch.mean,
            batch.variance,
            batch.target,
            distance_scale=self.scale_of_distances(dimensions),
            temperature=self.temperature,
            jaccard=self.jaccard,
            log_offset=1e-7 if self.variant == 'reference' else 0.0,
            anchors=batch.own,
        )

    def _check_shapes(self, embedding: Tensor, logits: Tensor, mean: Tensor) -> None:
        if embedding.dim() != 2 or logits.dim() != 2:
            raise ValueError(
                'Expected arguments `embedding` and `logits` to have shapes (N, M) and (N, K), '
                f'but got {tuple(embedding.shape)} and {tuple(logits.shape)}.'
            )
        if len(logits) == 0:
            raise ValueError('Expected one image at the least in the batch of each process, but got none.')
        if self.covariance == 'isotropic':
            check_shape('mean', mean, logits.shape, '(N, K) with covariance="isotropic"')
        else:
            labels = 1 if mean.shape[-1:] == (1,) else logits.shape[1]
            check_shape('mean', mean, (*embedding.shape, labels), '(N, M, K) with covariance="anisotropic"')
