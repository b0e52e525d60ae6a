"""The three losses of KMCL written down with ordinary tensor operations: slow, and easy to check against the equations.

It is what the benchmark compares with and what the tests judge by, and shares no code with the package.
"""

import torch
from torch import Tensor


def plain_losses(
    embedding: Tensor,
    logits: Tensor,
    mean: Tensor,
    variance: Tensor,
    target: Tensor,
    variant: str = 'reference',
    temperature: float = 0.17,
) -> dict[str, Tensor]:
    """The losses of ``KMCLLoss`` with all weights 1.

    Args:
        embedding: Embedding (N, M).
        logits: Logits (N, K).
        mean: Kernel means, isotropic (N, K) or anisotropic (N, M, K).
        variance: Kernel variances of the same shape.
        target: Targets (N, K), 0 or 1.
        variant: 'reference' or 'exact'.
        temperature: Temperature of the contrast.

    Returns:
        ``loss_asl``, ``loss_reconstruction`` and ``loss_contrastive``.

    Source: arXiv:2307.03967 and its public reference implementation; arXiv:2009.14119 for the asymmetric loss.
    """
    is_isotropic = mean.dim() == 2
    scale = embedding.shape[1] if is_isotropic or variant == 'reference' else 1
    kernels = (mean.unsqueeze(1), variance.unsqueeze(1)) if is_isotropic else (mean, variance)
    return dict(
        loss_asl=plain_asymmetric(logits, target),
        loss_reconstruction=plain_reconstruction(embedding, logits, *kernels, target, variant),
        loss_contrastive=plain_contrastive(*kernels, target, scale, variant, temperature),
    )


def plain_asymmetric(logits: Tensor, target: Tensor) -> Tensor:
    """Asymmetric loss with gamma_neg 4, gamma_pos 0 and clip 0.05, a sum."""
    probability = logits.sigmoid()
    absent = (1 - probability + 0.05).clamp(max=1)
    true_probability = torch.where(target == 1, probability, absent)
    weight = torch.where(target == 1, 1, (1 - absent) ** 4).detach()
    return -(weight * true_probability.clamp(min=1e-7).log()).sum()


def plain_reconstruction(
    embedding: Tensor, logits: Tensor, mean: Tensor, variance: Tensor, target: Tensor, variant: str
) -> Tensor:
    """Reconstruction loss; means and variances (N, M, K), or (N, 1, K) where they are isotropic."""
    log_kernel = -0.5 * ((embedding.unsqueeze(2) - mean) ** 2 / variance).sum(dim=1)
    if variant == 'reference':
        component = logits.sigmoid() * log_kernel.exp().clamp(min=1.17549e-38)
        ratio = (target * component).sum(dim=1) / component.sum(dim=1)
        return -ratio.clamp(min=1e-7).log().mean()
    log_component = torch.nn.functional.logsigmoid(logits) + log_kernel
    has_label = target.sum(dim=1) > 0
    if not has_label.any():
        return 0 * log_component.sum()
    log_component, target = log_component[has_label], target[has_label]
    own = log_component.masked_fill(target == 0, float('-inf')).logsumexp(dim=1)
    return (log_component.logsumexp(dim=1) - own).mean()


def plain_contrastive(
    mean: Tensor, variance: Tensor, target: Tensor, scale: float, variant: str, temperature: float
) -> Tensor:
    """Contrastive loss, anchor by anchor; means and variances (N, M, K), or (N, 1, K) where they are isotropic."""
    total = 0 * mean.sum()
    for anchor in range(len(target)):
        others = [image for image in range(len(target)) if image != anchor]
        if not others:
            continue
        total_variance = variance[anchor] + variance[others]
        log_ratio = torch.log(total_variance / (2 * variance[anchor].sqrt() * variance[others].sqrt()))
        mahalanobis = (mean[anchor] - mean[others]) ** 2 / total_variance
        distance = (0.5 * log_ratio + 0.25 * mahalanobis).sum(dim=1)
        similarity = torch.exp(-scale * distance)
        exponential = torch.exp(similarity / temperature)
        share = exponential / exponential.sum(dim=0)
        shared_labels = target[anchor] * target[others]
        all_labels = ((target[anchor] + target[others]) > 0).sum(dim=1)
        jaccard_index = (shared_labels.sum(dim=1) / all_labels.clamp(min=1)).unsqueeze(1)
        num_positives = (shared_labels.sum(dim=1) > 0).sum()
        if variant == 'reference':
            term = torch.log(jaccard_index * share + 1e-7)
        else:
            term = jaccard_index * torch.log(share)
        total = total - (shared_labels * term).sum() / num_positives.clamp(min=1)
    return total / len(target)
