"""How a data loader gets its items from a data set: with random numbers of their own, without broken images.

torch's loader asks a data set that has ``__getitems__`` for all items of a batch at once. The classes here are put into
that place by hooks, for any data set, and wrap each other.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import UnreadableImageError


def items_of(dataset: Dataset) -> Callable[[Sequence[int]], list]:
    """What a loader would call for the items of a batch.

    Args:
        dataset: The data set.

    Returns:
        A function of indices.
    """
    return getattr(dataset, '__getitems__', None) or PlainItems(dataset)


class PlainItems:
    """Items one by one.

    Args:
        dataset: The data set.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __call__(self, indices: Sequence[int]) -> list:
        """Get the items at these indices."""
        return [self.dataset[index] for index in indices]


class SeededItems:
    """Items whose random numbers depend on the seed, the epoch and their index alone.

    They are the same in any worker, on any number of workers and after a training was resumed. The generators of
    Python, numpy and torch (on the CPU) are as they were afterwards.

    Args:
        items: The function of indices to wrap.
        seed: Seed of the training.
        epoch: The epoch (), int64, in memory that workers share.
    """

    def __init__(self, items: Callable[[Sequence[int]], list], seed: int, epoch: Tensor) -> None:
        self.items = items
        self.seed = seed
        self.epoch = epoch

    def __call__(self, indices: Sequence[int]) -> list:
        """Get the items at these indices."""
        with generators_kept():
            return [self._item(index) for index in indices]

    def _item(self, index: int) -> Any:
        # 0 is for the process itself, see seeds().
        python, *numpy, torch_seed = seeds(self.seed, int(self.epoch), index + 1)
        random.seed(python)
        np.random.seed(numpy)
        torch.random.default_generator.manual_seed(torch_seed)
        return self.items([index])[0]


class ReadableItems:
    """Items with another one, drawn at random, in place of each whose image cannot be read.

    Args:
        items: The function of indices to wrap.
        number: Number of items in the data set.
        max_skips: How many may be skipped for one item; one more is an error.
        epoch: The epoch (), int64, in memory that workers share.
        record: File to which a line with epoch, index and reason is added for each skipped item.
    """

    def __init__(
        self, items: Callable[[Sequence[int]], list], number: int, max_skips: int, epoch: Tensor, record: Path
    ) -> None:
        self.items = items
        self.number = number
        self.max_skips = max_skips
        self.epoch = epoch
        self.record = record

    def __call__(self, indices: Sequence[int]) -> list:
        """Get the items at these indices."""
        return [self._item(index) for index in indices]

    def _item(self, index: int) -> Any:
        for _ in range(self.max_skips):
            try:
                return self.items([index])[0]
            except UnreadableImageError as error:
                self._note(index, error)
                index = np.random.randint(self.number)
        return self.items([index])[0]

    def _note(self, index: int, error: UnreadableImageError) -> None:
        line = f'{int(self.epoch)}\t{index}\t{" ".join(str(error).split())}\n'
        # One short write at the end of the file: lines of several processes do not mix.
        with self.record.open('ab', buffering=0) as file:
            file.write(line.encode(errors='backslashreplace'))


def seeds(seed: int, epoch: int, part: int) -> list[int]:
    """Four seeds of 32 bits that have nothing to do with those of another seed, epoch or part.

    Args:
        seed: Seed of the training.
        epoch: The epoch, from 0 on.
        part: 0 for a process, the index + 1 for an item.

    Returns:
        The seeds.
    """
    return np.random.SeedSequence([seed % 2**32, epoch, part]).generate_state(4).tolist()


@contextmanager
def generators_kept() -> Iterator[None]:
    """Leave the generators of Python, numpy and torch (on the CPU) as they were before this context."""
    python, numpy = random.getstate(), np.random.get_state()
    torch_state = torch.random.default_generator.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.random.default_generator.set_state(torch_state)
