"""Scenes of handwritten digits, composed from scikit-learn's 1,797 real samples: data that needs no download."""

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import TensorDataset

SIDE = 16  # of a digit, pixels; a scene has two rows and two columns of places


def scenes(split: str, number: int, seed: int = 0) -> TensorDataset:
    """Compose scenes of one to four digits.

    Args:
        split: 'train' or 'test', which have different samples.
        number: Number of scenes N.
        seed: Seed of the composition.

    Returns:
        Images (N, 3, 32, 32) in [-1, 1], and targets (N, 10): 1 where a digit is in the scene.
    """
    digits = load_digits()
    part = slice(0, 1347) if split == 'train' else slice(1347, None)
    samples = torch.from_numpy(digits.images[part]).float().unsqueeze(1) / 8 - 1
    samples, labels = interpolate(samples, size=SIDE, mode='bilinear'), torch.from_numpy(digits.target[part])
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int) -> Tensor:
        return torch.randint(high, (number, 4), generator=generator)

    chosen = draw(len(samples))
    # The first place always has a digit, each other one has a digit in half of the scenes.
    is_there = draw(2).bool() | (torch.arange(4) == 0)
    pictures = torch.where(is_there[..., None, None], samples[chosen, 0], -1.0)
    rows = [torch.cat([pictures[:, row], pictures[:, row + 1]], dim=2) for row in (0, 2)]
    target = torch.zeros(number, 10)
    target.scatter_reduce_(1, labels[chosen], is_there.float(), reduce='amax')
    return TensorDataset(torch.cat(rows, dim=1).unsqueeze(1).expand(-1, 3, -1, -1), target)
