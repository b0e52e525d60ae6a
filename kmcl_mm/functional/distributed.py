"""Exchange between the processes of a distributed training."""

from typing import Sequence, Tuple

import torch.distributed as dist
from torch import Tensor, cat
from torch.distributed.nn.functional import all_gather


def gather_batch(tensors: Sequence[Tensor]) -> Tuple[Tuple[Tensor, ...], slice]:
    """Concatenate each tensor with those of all other processes, with gradients that flow back to where they came from.

    Without a process group the tensors are returned as they are. Every process must bring the same number of images, as
    the host's ``DefaultSampler`` makes sure.

    Args:
        tensors: Tensors (N, ...) of this process.

    Returns:
        The tensors (N * processes, ...) in order of rank, and the rows of this process.

    Example:
        >>> import torch
        >>> gather_batch([torch.ones(2, 1)])
        ((tensor([[1.],
                [1.]]),), slice(0, 2, None))
    """
    batch_size = len(tensors[0])
    if not (dist.is_available() and dist.is_initialized()):
        return tuple(tensors), slice(0, batch_size)
    first = dist.get_rank() * batch_size
    gathered = tuple(cat(all_gather(tensor.contiguous())) for tensor in tensors)
    return gathered, slice(first, first + batch_size)
