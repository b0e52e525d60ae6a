"""Predict labels from those of the most similar images: a kernel regression over the nearest neighbours."""

import torch
from torch import Tensor

from ..checks import check_at_least, check_shape, check_target, check_temperature
from .precision import full_precision

# What every neighbour keeps of its weight, so that there are weights where all are equally similar.
_LEAST = 1e-6
# Numbers in memory at once while the neighbours of a block of images vote.
_BLOCK = 2**26


@full_precision
def neighbour_vote(query: Tensor, memory: Tensor, target: Tensor, neighbours: int, temperature: float) -> Tensor:
    r"""The share of an image's neighbours that have each label, weighted by their similarity.

    .. math::
        v_{ik} = \frac{\sum_j w_{ij} [y_{jk} = 1]}{\sum_j w_{ij} [y_{jk} \ne -1]}, \qquad
        w_{ij} = e^{(f_i \cdot f_j - a_i) / T} - e^{(c_i - a_i) / T} + 10^{-6}

    with :math:`a_i` the highest similarity, and :math:`c_i` that of the first image that is no neighbour any more: a
    weight falls to 0 there, but for a millionth, so that the vote does not jump when two images change places. Where
    all images are neighbours nothing is subtracted. With vectors of length 1 the similarity is the cosine, and the
    first term a Gaussian kernel of variance T.

    Args:
        query: Images that are voted on (N, D).
        memory: Images that vote (J, D), of any floating-point type.
        target: Their labels (J, K): 1 present, 0 absent, -1 unknown, which leaves the image out of that label's vote.
        neighbours: How many vote, n; all of them where there are fewer.
        temperature: Temperature T.

    Returns:
        Votes (N, K) in [0, 1]. A label that is unknown in all neighbours has its share of the whole memory; 0.5 if it
        is unknown there too.

    Raises:
        ValueError: The shapes do not fit each other, a target is no label, there is no image in the memory,
            ``neighbours`` is less than 1, or ``temperature`` is not above 0.

    Source: the kernel regression of Nadaraya (1964) and Watson (1964).

    Example:
        The second image of the memory is the nearest, and its second label is unknown.

        >>> import torch
        >>> memory = torch.tensor([[1., 0.], [0., 1.], [-1., 0.]])
        >>> target = torch.tensor([[1, 1], [1, -1], [0, 0]])
        >>> neighbour_vote(torch.tensor([[0.6, 0.8]]), memory, target, neighbours=3, temperature=0.2)
        tensor([[0.9993, 0.9975]])
    """
    check_shape('query', query, (len(query), memory.shape[1]), '(N, D)')
    check_target(target, (len(memory), target.shape[-1]))
    if not len(memory):
        raise ValueError('Expected argument `memory` to have at least one image, but it has none.')
    check_at_least('neighbours', neighbours, 1)
    check_temperature(temperature)
    share = known_share(target)
    numbers = len(memory) + min(neighbours, len(memory)) * target.shape[1]
    blocks = query.split(max(1, _BLOCK // numbers))
    votes = [vote_of(*neighbour_weights(block, memory, neighbours, temperature), target, share) for block in blocks]
    return torch.cat(votes)


def neighbour_weights(query: Tensor, memory: Tensor, neighbours: int, temperature: float) -> tuple[Tensor, Tensor]:
    """The weights of the neighbours of images, with arguments as :func:`neighbour_vote`, which are not checked.

    Returns:
        Weights (N, n), which sum to 1, and the places of the neighbours in the memory (N, n), the most similar first.
    """
    similarity, places = nearest(query, memory, neighbours + 1)
    return weights_of(similarity, neighbours, temperature), places[:, :neighbours]


def nearest(query: Tensor, memory: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The most similar images of a memory.

    Args:
        query: Images (N, D).
        memory: The memory (J, D), of any floating-point type.
        number: How many; all of them where there are fewer.

    Returns:
        Similarities (N, number) and places in the memory (N, number), the most similar first.
    """
    return (query @ memory.to(query.dtype).T).topk(min(number, len(memory)), dim=1)


def weights_of(similarity: Tensor, neighbours: int, temperature: float) -> Tensor:
    """The weights of neighbours.

    Args:
        similarity: Similarities, the highest first, of the neighbours and of the image that comes after them, if there
            is one (N, n + 1).
        neighbours: Their number n.
        temperature: Temperature of the weights.

    Returns:
        Weights (N, n), which sum to 1.
    """
    weights = ((similarity - similarity[:, :1]) / temperature).exp()
    if similarity.shape[1] > neighbours:
        weights = weights[:, :neighbours] - weights[:, neighbours : neighbours + 1] + _LEAST
    return weights / weights.sum(dim=1, keepdim=True)


def vote_of(weights: Tensor, places: Tensor, target: Tensor, share: Tensor) -> Tensor:
    """The vote of neighbours.

    Args:
        weights: Their weights (N, n).
        places: Their places (N, n) in the memory.
        target: Labels of the memory (J, K): 1 present, 0 absent, -1 unknown.
        share: Vote (K,) where a label is unknown in all neighbours.

    Returns:
        Votes (N, K) in [0, 1].
    """
    labels = target[places].to(weights.dtype)
    present = (weights.unsqueeze(1) @ (labels == 1).to(weights.dtype)).squeeze(1)
    known = (weights.unsqueeze(1) @ (labels >= 0).to(weights.dtype)).squeeze(1)
    tiny = torch.finfo(weights.dtype).tiny
    return torch.where(known > 0, present / known.clamp(min=tiny), share.to(weights.dtype)).clamp(0, 1)


def known_share(target: Tensor) -> Tensor:
    """Share of the images that have each label, among those where it is known.

    Args:
        target: Labels (J, K): 1 present, 0 absent, -1 unknown.

    Returns:
        Shares (K,), float32; 0.5 where a label is unknown in all images.
    """
    known = (target >= 0).sum(dim=0)
    return torch.where(known > 0, (target == 1).sum(dim=0) / known.clamp(min=1), 0.5)
