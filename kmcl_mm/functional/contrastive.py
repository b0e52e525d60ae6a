"""Kernel contrastive loss between the images of a batch."""

import torch
from torch import Tensor
from torch.nn.functional import threshold

from ..checks import UNKNOWN, check_choice, check_kernels, check_target, check_temperature
from .pairwise import (
    KernelGroup,
    all_kernels,
    kernels_of_labels_in_batch,
    kernels_of_present_labels,
    pairwise_distance,
)
from .precision import full_precision

# Bhattacharyya coefficients below it are taken as 0, which changes no digit of the loss: what follows from smaller ones
# would be subnormal numbers, which a CPU is many times slower at.
_MIN_COEFFICIENT = 1e-30

# Above this number of labels an image has few of them, and comparing all kernels costs more than one wait.
_MANY_LABELS = 256

JACCARD_PLACES = ('inside', 'outside', 'none')


@full_precision
def kernel_contrastive_loss(
    mean: Tensor,
    variance: Tensor,
    target: Tensor,
    *,
    distance_scale: float = 1.0,
    temperature: float = 0.17,
    jaccard: str = 'outside',
    log_offset: float = 0.0,
    anchors: slice = slice(None),
) -> Tensor:
    r"""Pull together the kernels of the labels that two images share, against the same label's kernels elsewhere.

    With the Bhattacharyya coefficient :math:`S_{ijk} = e^{-c B_{ijk}}` of images i and j in label k,

    .. math::
        q_{ijk} = \frac{e^{S_{ijk} / t}}{\sum_{n \ne i} e^{S_{ink} / t}}, \quad
        J_{ij} = \frac{|y_i \wedge y_j|}{|y_i \vee y_j|}, \quad
        L = -\frac{1}{N} \sum_i \frac{1}{|A(i)|} \sum_{j \in A(i)} \sum_{k: y_{ik} = y_{jk} = 1} J_{ij} \log q_{ijk}

    where A(i) are the other images that share a label with i. An anchor that shares none adds 0 and counts in N. An
    image of which label k is unknown is no n of that label, and J is over the labels that are known of both images.

    Args:
        mean: Kernel means (N, K), or (N, M, K). With 1 in the place of K all labels share an image's kernel, whose
            distances are computed once.
        variance: Kernel variances, positive, of the same shape.
        target: Targets (N, K): 1 present, 0 absent, -1 unknown.
        distance_scale: The factor c of the distance. An isotropic kernel of M equal dimensions has c = M, an
            anisotropic one c = 1; the published code multiplies by M in both cases.
        temperature: Temperature t, at least 1e-6.
        jaccard: Where J stands: 'outside' the logarithm as a weight (the `exact` variant), 'inside' as in
            log(J q + log_offset), where it bears on the gradient only through the offset (the `reference` variant), or
            'none'.
        log_offset: Added to the argument of the logarithm; 0 takes the log-softmax (the `exact` variant), the published
            code has 1e-7.
        anchors: Which of the N images are anchors; each is compared with all N. The sum is divided by their number.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: The shapes do not fit each other, a target has another value, or a setting is out of its range.

    Source: arXiv:2307.03967, kernel contrastive loss.

    Example:
        Two images alike and a far one: the pair's share of e^(1/t) against e^(1/t) + 1.

        >>> import torch
        >>> mean, target = torch.tensor([[0.], [0.], [1e3]]), torch.tensor([[1.], [1.], [0.]])
        >>> kernel_contrastive_loss(mean, torch.ones(3, 1), target, temperature=1.)
        tensor(0.2088)
    """
    check_choice('jaccard', jaccard, JACCARD_PLACES)
    check_temperature(temperature)
    check_kernels(mean, variance)
    is_shared = mean.shape[-1] == 1
    check_target(target, (len(mean), target.shape[-1] if is_shared else mean.shape[-1]))
    is_known = (target != UNKNOWN).to(mean.dtype)
    target = (target == 1).to(mean.dtype)
    anchor_images = torch.arange(len(target), device=target.device)[anchors]
    anchor_target = target[anchors]
    is_self = anchor_images.unsqueeze(1) == torch.arange(len(target), device=target.device)

    # One row for each anchor and label of its own: only these have a part in the loss.
    groups = _anchor_kernels(anchor_target)
    labels = torch.cat([group.labels.repeat_interleave(group.images.shape[1]) for group in groups])
    rows = torch.cat([group.images.flatten() for group in groups])
    if is_shared:
        shared = KernelGroup(labels.new_zeros(1), anchor_images.unsqueeze(0))
        distance = pairwise_distance(mean, variance, [shared])[rows]
    else:
        distance = pairwise_distance(mean, variance, [KernelGroup(label, anchor_images[row]) for label, row in groups])
    coefficient = threshold((-distance_scale * distance).exp(), _MIN_COEFFICIENT, 0)
    similarity = coefficient / temperature
    lowest = torch.finfo(similarity.dtype).min
    is_left_out = is_self[rows] | (is_known.T[labels] == 0)
    log_share = similarity.masked_fill(is_left_out, lowest).log_softmax(dim=1)

    overlap = (anchor_target @ target.T).masked_fill(is_self, 0)
    union = anchor_target @ is_known.T + is_known[anchors] @ target.T - overlap
    jaccard_index = overlap / union.clamp(min=1)
    shares_label = overlap > 0

    if log_offset:
        factor = jaccard_index[rows] if jaccard == 'inside' else 1
        log_share = (factor * log_share.exp() + log_offset).log()
    elif jaccard == 'inside':
        # Where the index is 0 no label is shared, and any finite number will do.
        log_share = log_share + jaccard_index.clamp(min=torch.finfo(jaccard_index.dtype).tiny).log()[rows]

    pair_weight = jaccard_index if jaccard == 'outside' else shares_label.to(mean.dtype)
    pair_weight = pair_weight / shares_label.sum(dim=1, keepdim=True).clamp(min=1)
    shares_row_label = target.T[labels] * anchor_target[rows, labels].unsqueeze(1)
    weight = (pair_weight[rows] * shares_row_label).masked_fill(is_self[rows], 0)
    return -(weight * log_share).sum() / max(len(anchor_target), 1)


def _anchor_kernels(target: Tensor) -> list[KernelGroup]:
    """The kernels of each anchor's own labels.

    On an accelerator there are more of them, so that the host need not wait to learn how many: all, or with more than
    256 labels those of the labels in the batch, for which it waits once.
    """
    if target.device.type == 'cpu':
        return kernels_of_present_labels(target)
    if target.shape[1] > _MANY_LABELS:
        return kernels_of_labels_in_batch(target)
    return all_kernels(len(target), target.shape[1], target.device)
