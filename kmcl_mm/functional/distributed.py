"""Exchange between the processes of a distributed training."""

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

# Their names since torch 2.14, and before.
_all_gather: Any = getattr(dist, 'all_gather_single', None) or getattr(dist, 'all_gather_into_tensor', None)
_reduce_scatter: Any = getattr(dist, 'reduce_scatter_single', None) or getattr(dist, 'reduce_scatter_tensor', None)

# The group that _host_group has made for a default group. No group is kept alive by it: its threads have to end before
# the process does.
_HOST_GROUPS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


class KernelBatch(NamedTuple):
    """Kernels and targets of the images that are contrasted with each other.

    Attributes:
        mean: Means of all images (N, K) or (N, M, K), in order of rank.
        variance: Variances of the same shape.
        target: Targets (N, K): 1, 0, and -1 for unknown.
        own: Which of the N images are this process's.
        num_processes: How many processes the images come from.
    """

    mean: Tensor
    variance: Tensor
    target: Tensor
    own: slice
    num_processes: int = 1

    @property
    def own_share(self) -> float:
        """This process's part of the images, times the number of processes: 1 where all have equally many.

        A mean over the own images times this, averaged over the processes, is the mean over all images.
        """
        return (self.own.stop - self.own.start) * self.num_processes / len(self.target)

    @property
    def own_labelled_share(self) -> Tensor:
        """As :attr:`own_share`, of the images that have a label; a scalar."""
        has_label = (self.target == 1).any(dim=1).to(self.mean.dtype)
        return has_label[self.own].sum() * self.num_processes / has_label.sum().clamp(min=1)


def gather_batch(mean: Tensor, variance: Tensor, target: Tensor) -> KernelBatch:
    """Kernels and targets of all processes, with gradients that flow back to where the kernels came from.

    The data travel in one collective, and the gradients in another. Processes may bring different numbers of images:
    these are exchanged before, between the hosts by gloo, so that no accelerator is waited for. Without a process group
    the arguments are returned as they are.

    Args:
        mean: Means (N, K) or (N, M, K) of this process's images.
        variance: Variances of the same shape.
        target: Targets (N, K).

    Returns:
        The batch of all processes.

    Example:
        >>> import torch
        >>> batch = gather_batch(torch.zeros(2, 3), torch.ones(2, 3), torch.ones(2, 3))
        >>> batch.own, batch.num_processes
        (slice(0, 2, None), 1)
    """
    if not (dist.is_available() and dist.is_initialized()):
        return KernelBatch(mean, variance, target, slice(0, len(target)))
    sizes = _batch_sizes(len(target))
    parts = mean, variance, target.to(mean.dtype)
    packed = _Gather.apply(torch.cat([part.flatten(1) for part in parts], dim=1), sizes)
    widths = [part[0].numel() for part in parts]
    means, variances, targets = (
        columns.unflatten(1, part.shape[1:]) for columns, part in zip(packed.split(widths, dim=1), parts)
    )
    first = sum(sizes[: dist.get_rank()])
    return KernelBatch(means, variances, targets.detach(), slice(first, first + len(target)), len(sizes))


def _batch_sizes(own: int) -> list[int]:
    """Number of images of every process."""
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, torch.tensor([own]), group=_host_group())
    return [int(size) for size in sizes]


def _host_group() -> dist.ProcessGroup | None:
    """A group of all processes that exchanges host memory; None, the default group, where that does."""
    world = dist.group.WORLD
    if world not in _HOST_GROUPS:
        _HOST_GROUPS[world] = None if dist.get_backend() == 'gloo' else dist.new_group(backend='gloo')
    return _HOST_GROUPS[world]


class _Gather(torch.autograd.Function):
    """All processes' rows (N, C) forward; backward, the sum of all processes' gradients for the own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        most = max(sizes)
        gathered = rows.new_empty(len(sizes) * most, rows.shape[1])
        _all_gather(gathered, pad(rows, (0, 0, 0, most - len(rows))))
        return torch.cat([part[:size] for part, size in zip(gathered.split(most), sizes)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _sum_of_own_rows(grad, ctx.sizes), None


def _sum_of_own_rows(grad: Tensor, sizes: list[int]) -> Tensor:
    rank = dist.get_rank()
    if not _can_reduce_scatter(grad):
        grad = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        return grad.split(sizes)[rank]
    most = max(sizes)
    padded = torch.cat([pad(part, (0, 0, 0, most - len(part))) for part in grad.split(sizes)])
    own = grad.new_empty(most, grad.shape[1])
    _reduce_scatter(own, padded)
    return own[: sizes[rank]]


def _can_reduce_scatter(tensor: Tensor) -> bool:
    """Whether the backend can; gloo, which serves host memory, cannot in every torch that this package runs with."""
    return tensor.device.type != 'cpu'
