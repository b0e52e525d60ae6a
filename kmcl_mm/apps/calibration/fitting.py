"""Fitting of a calibration, with or without the votes of training images, on validation images."""

import itertools
from collections.abc import Sequence

import torch
from mmengine.utils import track_iter_progress
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ...checks import UNKNOWN
from ...evaluation.resampling import mean_average_precisions
from ...functional.calibration import Regression, fit_calibration
from ...functional.neighbours import known_share, nearest, vote_of, weights_of
from ...modules.calibration import Calibration, logits_of
from ...modules.kernel_memory import KernelMemory
from .described_images import DescribedImages

# What is tried: numbers of neighbours, and temperatures.
NEIGHBOURS = (20, 50, 100, 200)
TEMPERATURES = (0.05, 0.1, 0.2, 0.4)
# Images for the choice of these two, at the most; the regression is fitted on all.
_IMAGES_FOR_CHOICE = 3000
# Images at once.
_BLOCK = 128
# Dimensions of a description below which its neighbours would hardly be similar any more.
_LEAST_WIDTH = 16


def fit(
    training: DescribedImages | None,
    validation: DescribedImages,
    widths: Sequence[int | None] = (None, None),
) -> Calibration:
    """Fit a calibration.

    For each description of the training images the number of neighbours and the temperature are those with which a
    regression on the classifier's logits and its votes makes the validation labels most likely. Then one regression is
    fitted on the logits and all votes.

    Args:
        training: The training images, which vote; None for a calibration of the logits alone.
        validation: The validation images, other ones.
        widths: Dimensions of each description to keep. Default: all.

    Returns:
        The calibration.
    """
    if training is None:
        return Calibration(fit_calibration(validation.logits.unsqueeze(0), validation.target))
    few = validation.drawn(_IMAGES_FOR_CHOICE)
    memories = [KernelMemory.of(images, width).float() for images, width in zip(training.descriptions, widths)]
    for memory, images in zip(memories, few.descriptions):
        memory.neighbours, memory.temperature = _choose(memory, images, training.target, few)
    return with_memories(_fit_slopes(memories, training, validation), memories, training)


def fit_like(other: Calibration, training: DescribedImages, widths: Sequence[int | None] = (None, None)) -> Calibration:
    """Take over the numbers that were fitted with another training, and let the images of this one vote.

    Args:
        other: The calibration of a classifier that was trained in the same way on other images.
        training: The training images of this one.
        widths: Dimensions of each description to keep. Default: all.

    Returns:
        The calibration.
    """
    regression = Regression(other.slopes, other.biases)
    if not other.memories:
        return Calibration(regression)
    memories = [
        KernelMemory.of(images, width, neighbours=memory.neighbours, temperature=memory.temperature)
        for memory, images, width in zip(other.memories, training.descriptions, widths)
    ]
    return with_memories(regression, memories, training)


def reduction_cost(calibration: Calibration, training: DescribedImages, validation: DescribedImages) -> float:
    """What keeping fewer dimensions costs: the mAP with all of them, less that of a calibration.

    Args:
        calibration: The calibration.
        training: Its training images.
        validation: The validation images, of which 2,000 are looked at.

    Returns:
        Percentage points.
    """
    few = validation.drawn(2000)
    whole = [
        KernelMemory.of(images, neighbours=memory.neighbours, temperature=memory.temperature).float()
        for memory, images in zip(calibration.memories, training.descriptions)
    ]
    results = [
        mean_average_precisions(calibrated_scores(each, few).numpy(), few.target.numpy())[0]
        for each in (with_memories(_fit_slopes(whole, training, few), whole, training), calibration)
    ]
    return float(results[0] - results[1])


def _fit_slopes(memories: Sequence[KernelMemory], training: DescribedImages, images: DescribedImages) -> Regression:
    votes = [votes_of(memory, part, training.target) for memory, part in zip(memories, images.descriptions)]
    return fit_calibration(torch.stack([images.logits, *map(logits_of, votes)]), images.target)


def with_memories(regression: Regression, memories: Sequence[KernelMemory], training: DescribedImages) -> Calibration:
    """A calibration whose memories are of these training images, in float32: checkpoints have float16."""
    return Calibration(regression, memories, training.target, training.names).float()


def _choose(memory: KernelMemory, images: Tensor, target: Tensor, validation: DescribedImages) -> tuple[int, float]:
    """The number of neighbours and the temperature that make the validation labels most likely."""
    similarity, places = _nearest(memory, images, max(NEIGHBOURS) + 1)
    share = known_share(target)
    entropies = {}
    numbers = sorted({min(number, len(memory.vectors)) for number in NEIGHBOURS})
    for neighbours, temperature in track_iter_progress(list(itertools.product(numbers, TEMPERATURES))):
        weights = weights_of(similarity[:, : neighbours + 1], neighbours, temperature)
        blocks = zip(weights.split(_BLOCK), places[:, :neighbours].split(_BLOCK))
        votes = torch.cat([vote_of(*block, target, share) for block in blocks])
        logits = torch.stack([validation.logits, logits_of(votes)])
        entropies[neighbours, temperature] = cross_entropy(
            fit_calibration(logits, validation.target), logits, validation.target
        )
    print()
    return min(entropies, key=entropies.__getitem__)


def _nearest(memory: KernelMemory, images: Tensor, number: int) -> tuple[Tensor, Tensor]:
    blocks = [nearest(memory.vectors_of(block), memory.vectors, number) for block in images.split(_BLOCK)]
    similarity, places = zip(*blocks)
    return torch.cat(similarity), torch.cat(places)


def votes_of(memory: KernelMemory, images: Tensor, target: Tensor) -> Tensor:
    """The votes of a memory.

    Args:
        memory: The memory, of J images.
        images: Descriptions of the images that are voted on (N, D).
        target: Labels of the memory (J, K).

    Returns:
        Votes (N, K).
    """
    share, votes = known_share(target), []
    for block in images.split(_BLOCK):
        weights, places = memory(block)
        votes.append(vote_of(weights, places, target, share))
    return torch.cat(votes)


def cross_entropy(regression: Regression, logits: Tensor, target: Tensor) -> float:
    """Mean binary cross-entropy of the known labels.

    Args:
        regression: Slopes (V,) and biases (K,).
        logits: Logits (V, N, K).
        target: Targets (N, K).

    Returns:
        The mean, in nats.
    """
    mixed = torch.einsum('v,vnk->nk', regression.slopes, logits.double()) + regression.biases
    known = target != UNKNOWN
    return binary_cross_entropy_with_logits(mixed[known], target[known].double()).item()


@torch.inference_mode()
def calibrated_scores(calibration: Calibration | None, images: DescribedImages) -> Tensor:
    """Scores of images.

    Args:
        calibration: The calibration; None for the scores as they are.
        images: The images.

    Returns:
        Scores (N, K).
    """
    if calibration is None:
        return images.logits.sigmoid()
    blocks = zip(images.logits.split(_BLOCK), *(part.split(_BLOCK) for part in images.descriptions))
    return torch.cat([calibration(*block) for block in blocks]).sigmoid()


def widths_for(images: DescribedImages, megabytes: float) -> tuple[int, int]:
    """How many dimensions of each description fit into a memory.

    Args:
        images: The training images.
        megabytes: Size of the memory, in MB.

    Returns:
        Dimensions of the first and of the second description.

    Raises:
        ValueError: Not even a few fit.

    Example:
        >>> import torch
        >>> descriptions, labels = (torch.zeros(1000, 2048), torch.zeros(1000, 128)), torch.zeros(1000, 80)
        >>> images = DescribedImages(descriptions, labels, labels, labels, [], [])
        >>> widths_for(images, 64), widths_for(images, 1)
        ((2048, 128), (65, 128))
    """
    number, num_labels = images.target.shape
    all_widths = [description.shape[1] for description in images.descriptions]
    room = 1e6 * megabytes - number * num_labels  # a label has one byte
    second = _fitting(room / 2, number, all_widths[1])
    first = _fitting(room - _size(second, number, all_widths[1]), number, all_widths[0])
    second = _fitting(room - _size(first, number, all_widths[0]), number, all_widths[1])
    if min(first, second) < min(_LEAST_WIDTH, *all_widths):
        raise ValueError(
            f'The memory of {number:,} images with {num_labels:,} labels does not fit into {megabytes:g} MB. Let fewer '
            'images vote (--max-images), or allow more (--max-megabytes).'
        )
    return first, second


def _fitting(room: float, number: int, all_width: int) -> int:
    """How many dimensions of a description fit into so many bytes."""
    if _size(all_width, number, all_width) <= room:
        return all_width
    return int(room // _size(1, number, all_width))


def _size(width: int, number: int, all_width: int) -> int:
    """Bytes of vectors in float16 and, where dimensions are left out, of the projection in float32."""
    return width * (2 * number + 4 * all_width * (width < all_width))
