"""Calibrated probabilities, from a classifier's logits and the votes of training images."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..checks import check_shape, check_target
from ..functional.calibration import Regression
from ..functional.neighbours import known_share, vote_of
from ..functional.precision import full_precision
from .kernel_memory import KernelMemory

# Votes of 0 and 1 have no finite logits.
_LOWEST_VOTE = 1e-3


class Calibration(nn.Module):
    """A logistic regression on the logits of a classifier and, with memories, on those of the votes of training images.

    The buffers are not in the ``state_dict``: a checkpoint has the weights under the names of the classifier alone, and
    the calibration as a part of its own, :meth:`state`.

    Args:
        regression: Slopes, of the logits and of each memory's votes (1 + V,), and biases (K,).
        memories: V memories of the same J training images, by different descriptions.
        target: Labels of these images (J, K): 1 present, 0 absent, -1 unknown. None without memories.
        names: Names of these images (J).

    Raises:
        ValueError: The parts do not fit each other, or a number is not finite.

    Attributes:
        names: Names of the training images.

    Example:
        >>> import torch
        >>> from kmcl_mm.functional.calibration import Regression
        >>> from kmcl_mm.modules.calibration import Calibration
        >>> calibration = Calibration(Regression(torch.tensor([0.5]), torch.tensor([-1., 1.])))
        >>> calibration(torch.tensor([[2., -4.]]))
        tensor([[ 0., -1.]])
    """

    memories: nn.ModuleList
    slopes: Tensor
    biases: Tensor
    target: Tensor
    share: Tensor

    def __init__(
        self,
        regression: Regression,
        memories: Sequence[KernelMemory] = (),
        target: Tensor | None = None,
        names: Sequence[str] = (),
    ) -> None:
        super().__init__()
        slopes, biases = regression
        check_shape('slopes', slopes, (1 + len(memories),), '(1 + V,)')
        check_shape('biases', biases, (biases.numel(),), '(K,)')
        if not slopes.isfinite().all() or not biases.isfinite().all():
            raise ValueError('Expected argument `regression` to be finite.')
        if (target is None) != (not memories):
            raise ValueError('Expected arguments `memories` and `target` both, or neither.')
        self.memories = nn.ModuleList(memories)
        self.register_buffer('slopes', slopes.float(), persistent=False)
        self.register_buffer('biases', biases.float(), persistent=False)
        share = None
        if target is not None:
            for memory in memories:
                check_target(target, (len(memory.vectors), len(biases)))
            target, share = target.to(torch.int8), known_share(target)
            if len(names) != len(target):
                raise ValueError(f'Expected argument `names` to be of {len(target)} images, but got {len(names)}.')
        self.names = tuple(names)
        self.register_buffer('target', target, persistent=False)
        self.register_buffer('share', share, persistent=False)

    @full_precision
    def forward(self, logits: Tensor, *descriptions: Tensor) -> Tensor:
        """Calibrate logits.

        Args:
            logits: Logits of the classifier (N, K).
            descriptions: For each memory the images' description (N, D).

        Returns:
            Logits (N, K), float32, whose sigmoids are probabilities.
        """
        return self.mix(logits, self.neighbours(*descriptions))

    def neighbours(self, *descriptions: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Find the training images that vote.

        Args:
            descriptions: For each memory the images' description (N, D).

        Returns:
            For each memory the neighbours' weights (N, n) and places (N, n).
        """
        return [memory(description) for memory, description in zip(self.memories, descriptions)]

    def mix(self, logits: Tensor, neighbours: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Calibrate logits with the votes of neighbours.

        Args:
            logits: Logits of the classifier (N, K), float32.
            neighbours: Of :meth:`neighbours`.

        Returns:
            Logits (N, K), whose sigmoids are probabilities.
        """
        calibrated = self.slopes[0] * logits + self.biases
        for number, (weights, places) in enumerate(neighbours, start=1):
            votes = vote_of(weights, places, self.target, self.share)
            calibrated = calibrated + self.slopes[number] * logits_of(votes)
        return calibrated

    def voters(self, number: int, neighbours: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """The training images with the most weight in the votes.

        Args:
            number: How many, at the most.
            neighbours: Of :meth:`neighbours`, for at least one memory.

        Returns:
            Their shares of the weight (N, number), and their places in the memory (N, number), the largest share first.
            A memory counts by its slope.
        """
        slopes = self.slopes[1:].clamp(min=0)
        first, _ = neighbours[0]
        shares = first.new_zeros(len(first), len(self.target))
        for slope, (weights, places) in zip((slopes / slopes.sum().clamp(min=1e-6)).tolist(), neighbours):
            shares.scatter_add_(1, places, slope * weights)
        return shares.topk(min(number, shares.shape[1]), dim=1)

    def state(self) -> dict[str, Any]:
        """What :meth:`from_state` makes the same calibration of: tensors, numbers, lists and dicts."""
        return dict(
            slopes=self.slopes,
            biases=self.biases,
            target=self.target,
            names=list(self.names),
            memories=[cast(KernelMemory, memory).state() for memory in self.memories],
        )

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> 'Calibration':
        """Make a calibration of what :meth:`state` gave.

        Args:
            state: The state.

        Returns:
            The calibration.

        Raises:
            ValueError: A part is missing or does not fit the others.
        """
        try:
            memories = [KernelMemory(**memory) for memory in state['memories']]
            return cls(Regression(state['slopes'], state['biases']), memories, state['target'], state['names'])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f'its parts are not those of a calibration ({error!r})') from error


def logits_of(votes: Tensor) -> Tensor:
    """The logits of votes in [0, 1], which are kept away from 0 and 1 by 0.001."""
    return votes.clamp(_LOWEST_VOTE, 1 - _LOWEST_VOTE).logit()


def descriptions_of(head: nn.Module, feats: Tensor | Sequence[Tensor], logits: Tensor) -> tuple[Tensor, Tensor]:
    """Two descriptions of images, by which their neighbours among the training images are found.

    Args:
        head: The head.
        feats: What the head is given: pooled features (N, D); of several the last.
        logits: What it gives (N, K).

    Returns:
        The features, and the embedding of a head that has one, else the logits.

    Raises:
        ValueError: The features are not pooled.
    """
    features = feats if isinstance(feats, Tensor) else feats[-1]
    if features.dim() != 2:
        raise ValueError(
            f'Expected the head to be given pooled features (N, D), but it was given {tuple(features.shape)}. Pool '
            'them; in MMPretrain: neck=dict(type="GlobalAveragePooling").'
        )
    embedding = cast(Any, head).pre_logits(feats)
    # Heads without an embedding give the features back.
    return features, logits if embedding is features else embedding


def calibrate(head: nn.Module, calibration: Calibration | None) -> None:
    """Let a head give calibrated logits, in evaluation mode alone: a training takes no notice.

    Args:
        head: A head with ``pre_logits``, such as KernelMixtureHead and MMPretrain's; changed in place.
        calibration: The calibration; None takes an earlier one away.

    Example:
        >>> import torch
        >>> from kmcl_mm import KernelMixtureHead
        >>> from kmcl_mm.functional.calibration import Regression
        >>> from kmcl_mm.modules.calibration import Calibration, calibrate
        >>> head = KernelMixtureHead(num_classes=2, in_channels=4, embedding_channels=3).eval()
        >>> calibrate(head, Calibration(Regression(torch.tensor([0.]), torch.tensor([-1., 1.]))))
        >>> head(torch.rand(1, 4)).tolist()
        [[-1.0, 1.0]]
    """
    if not hasattr(head, 'calibration'):
        head.register_forward_hook(_calibrated, with_kwargs=True)
    cast(Any, head).calibration = calibration


def _calibrated(head: nn.Module, args: tuple, kwargs: dict[str, Any], logits: Tensor) -> Tensor | None:
    calibration = getattr(head, 'calibration', None)
    if head.training or calibration is None:
        return None
    feats = args[0] if args else kwargs['feats']
    descriptions = descriptions_of(head, feats, logits) if calibration.memories else ()
    return calibration(logits, *descriptions)
