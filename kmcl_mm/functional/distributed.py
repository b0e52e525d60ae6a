"""Exchange between the processes of a distributed training."""

from typing import Sequence, Tuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


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
    own = slice(first, first + batch_size)
    return tuple(_Gather.apply(tensor, own) for tensor in tensors), own


class _Gather(torch.autograd.Function):
    """All-gather forward, sum of all processes' gradients backward."""

    @staticmethod
    def forward(ctx, tensor: Tensor, own: slice) -> Tensor:
        ctx.own = own
        gathered = [
            torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())
        ]
        dist.all_gather(gathered, tensor.contiguous())
        return torch.cat(gathered)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_gathered: Tensor) -> Tuple[Tensor, None]:
        grad_gathered = grad_gathered.contiguous()
        dist.all_reduce(grad_gathered)
        return grad_gathered[ctx.own], None
