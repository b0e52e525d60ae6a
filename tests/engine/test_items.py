import random

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from kmcl_mm.engine.items import ReadableItems, SeededItems, items_of, seeds
from kmcl_mm.errors import UnreadableImageError


class Draws(Dataset):
    """Items that are random numbers of the three generators."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return torch.tensor([index, random.random(), np.random.random(), torch.rand(()).item()], dtype=torch.float64)


def epochs(dataset, workers, persistent=False, number=3, first=0, seed=5, context=None):
    """The items of some epochs, sorted by index."""
    epoch = torch.zeros((), dtype=torch.int64).share_memory_()
    dataset.__getitems__ = SeededItems(items_of(dataset), seed, epoch)
    loader = DataLoader(
        dataset,
        batch_size=4,
        shuffle=True,
        num_workers=workers,
        persistent_workers=persistent,
        multiprocessing_context=context,
    )
    found = []
    for current in range(first, number):
        epoch.fill_(current)
        items = torch.cat(list(loader))
        found.append(items[items[:, 0].argsort()])
    return found


@pytest.mark.parametrize(
    'workers, persistent, context', [(1, False, 'fork'), (2, False, 'fork'), (2, True, 'fork'), (2, True, 'spawn')]
)
def test_items_do_not_depend_on_the_workers(workers, persistent, context):
    for expected, got in zip(epochs(Draws(), 0), epochs(Draws(), workers, persistent, context=context)):
        assert got.equal(expected)


def test_items_go_on_in_a_later_epoch():
    assert epochs(Draws(), 0)[2].equal(epochs(Draws(), 0, first=2)[0])


def test_epochs_items_and_seeds_differ():
    first, second, _ = epochs(Draws(), 0)
    numbers = torch.cat([first[:, 1:], second[:, 1:], epochs(Draws(), 0, seed=6)[0][:, 1:]])
    assert len(numbers.unique()) == numbers.numel()


def test_the_process_draws_on_as_if_nothing_had_been_loaded():
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    expected = Draws()[0]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    epochs_of = items_of(Draws())
    SeededItems(epochs_of, 0, torch.tensor(0))([1, 2, 3])
    assert Draws()[0].equal(expected)


def test_data_sets_of_data_sets():
    nested = epochs(ConcatDataset([Draws(), Draws()]), 0, number=1)[0]
    assert len(nested[:, 1:].unique()) == nested[:, 1:].numel()


def test_seeds_are_of_32_bits_and_differ():
    found = [tuple(seeds(seed, epoch, part)) for seed in (0, 1, -1) for epoch in (0, 1) for part in (0, 1, 2**31)]
    assert len(set(found)) == len(found) and all(0 <= part < 2**32 for group in found for part in group)


class Broken(Draws):
    """Only the items from 6 on can be read."""

    def __getitem__(self, index):
        if index < 6:
            raise UnreadableImageError(f'{index}.jpg\n is broken')
        return super().__getitem__(index)


def readable(tmp_path, max_skips=50, dataset=None):
    return ReadableItems(items_of(dataset or Broken()), 12, max_skips, torch.tensor(7), tmp_path / 'record.tsv')


def test_another_item_stands_in_for_a_broken_one(tmp_path):
    items = readable(tmp_path)([0, 6, 7])
    assert items[0][0] >= 6 and [item[0] for item in items[1:]] == [6, 7]
    first, *_ = (tmp_path / 'record.tsv').read_text().splitlines()
    assert first == '7\t0\t0.jpg is broken'


def test_too_many_broken_ones_in_a_row(tmp_path):
    class AllBroken(Broken):
        def __getitem__(self, index):
            return super().__getitem__(0)

    with pytest.raises(UnreadableImageError, match='0.jpg'):
        readable(tmp_path, max_skips=3, dataset=AllBroken())([8])
    assert len((tmp_path / 'record.tsv').read_text().splitlines()) == 3


def test_other_errors_are_not_skipped(tmp_path):
    class Wrong(Draws):
        def __getitem__(self, index):
            raise ValueError('a fault of the program')

    with pytest.raises(ValueError, match='a fault'):
        readable(tmp_path, dataset=Wrong())([0])


def test_a_seed_chooses_the_other_item(tmp_path):
    chosen = [SeededItems(readable(tmp_path), 0, torch.tensor(epoch))([0, 1, 2]) for epoch in (0, 0, 1)]
    assert all(one.equal(other) for one, other in zip(chosen[0], chosen[1]))
    assert not all(one.equal(other) for one, other in zip(chosen[0], chosen[2]))
