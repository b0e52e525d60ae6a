"""Training images that vote on the labels of others, kept as vectors."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..checks import check_at_least, check_shape, check_temperature
from ..functional.neighbours import neighbour_weights


class KernelMemory(nn.Module):
    """One description of J training images, such as their embeddings, to find those that are similar to another image.

    Of a description the mean of the training images is subtracted, and the rest scaled to length 1. Wide descriptions
    are projected to the directions in which they are longest. The buffers are not in the ``state_dict``.

    Args:
        vectors: The training images (J, M), as :meth:`of` makes them.
        mean: What is subtracted from a description (D,).
        projection: Directions (D, M), or None where M = D.
        neighbours: How many images vote.
        temperature: Temperature of their weights, see :func:`kmcl_mm.functional.neighbour_vote`.

    Raises:
        ValueError: The shapes do not fit each other, a number is not finite, ``neighbours`` is less than 1 or
            ``temperature`` not above 0.

    Example:
        >>> import torch
        >>> from kmcl_mm.modules.kernel_memory import KernelMemory
        >>> memory = KernelMemory.of(torch.tensor([[2., 0.], [0., 2.], [-2., -2.]]), neighbours=1)
        >>> weights, places = memory(torch.tensor([[1., 5.]]))
        >>> places.tolist()
        [[1]]
    """

    vectors: Tensor
    mean: Tensor
    projection: Tensor | None

    def __init__(
        self, vectors: Tensor, mean: Tensor, projection: Tensor | None, neighbours: int = 50, temperature: float = 0.1
    ) -> None:
        super().__init__()
        width = len(mean)
        if projection is not None:
            check_shape('projection', projection, (width, vectors.shape[-1]), '(D, M)')
            width = projection.shape[1]
        check_shape('vectors', vectors, (len(vectors), width), '(J, M)')
        if not len(vectors):
            raise ValueError('Expected argument `vectors` to have at least one image, but it has none.')
        check_at_least('neighbours', neighbours, 1)
        check_temperature(temperature)
        # In memory one dimension after the other: a product with a single image is several times as fast.
        vectors = vectors.T.contiguous().T
        for name, tensor in dict(vectors=vectors, mean=mean, projection=projection).items():
            if tensor is not None and not tensor.isfinite().all():
                raise ValueError(f'Expected argument `{name}` to be finite.')
            self.register_buffer(name, tensor, persistent=False)
        self.neighbours = neighbours
        self.temperature = temperature

    @classmethod
    def of(cls, descriptions: Tensor, width: int | None = None, **options: Any) -> 'KernelMemory':
        """Make the memory of images.

        Args:
            descriptions: Descriptions of the images (J, D), finite.
            width: Number of dimensions M to keep. Default: all.
            **options: ``neighbours`` and ``temperature``.

        Returns:
            The memory, with vectors in float16, on the CPU.

        Raises:
            ValueError: The descriptions are not (J, D) or not finite, or ``width`` is less than 1.
        """
        check_shape('descriptions', descriptions, (len(descriptions), descriptions.shape[-1]), '(J, D)')
        descriptions = descriptions.float().cpu()
        mean = descriptions.mean(dim=0)
        vectors = normalize(descriptions - mean, dim=1)
        projection = None
        if width is not None and width < vectors.shape[1]:
            check_at_least('width', width, 1)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                # Without a centre: the mean is subtracted already, and products of vectors are to be kept.
                projection = torch.pca_lowrank(vectors, q=min(width, len(vectors)), center=False)[2]
            vectors = vectors @ projection
        return cls(vectors.half(), mean, projection, **options)

    def vectors_of(self, descriptions: Tensor) -> Tensor:
        """Turn descriptions (N, D) into vectors (N, M), float32.

        Args:
            descriptions: Descriptions (N, D).

        Returns:
            Vectors (N, M).

        Raises:
            ValueError: The descriptions have another width.
        """
        if descriptions.shape[-1] != len(self.mean):
            raise ValueError(
                f'Expected descriptions of {len(self.mean)} dimensions, as the training images that vote have, but got '
                f'{descriptions.shape[-1]}. Calibrate the checkpoint again with its own configuration.'
            )
        vectors = normalize(descriptions.float() - self.mean, dim=1)
        return vectors if self.projection is None else vectors @ self.projection

    def forward(self, descriptions: Tensor) -> tuple[Tensor, Tensor]:
        """Find the neighbours of images.

        Args:
            descriptions: Descriptions (N, D).

        Returns:
            Weights (N, n), which sum to 1, and places in the memory (N, n), the most similar first.
        """
        return neighbour_weights(self.vectors_of(descriptions), self.vectors, self.neighbours, self.temperature)

    def state(self) -> dict[str, Any]:
        """The arguments that make the same memory, to lie in a checkpoint, with vectors in float16."""
        names = ('mean', 'projection', 'neighbours', 'temperature')
        return dict(vectors=self.vectors.half(), **{name: getattr(self, name) for name in names})
