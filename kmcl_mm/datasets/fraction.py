"""A fixed random part of any data set."""

from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset


class WithFraction(BaseDataset):
    """Base class that takes a random fraction of a data set's images, drawn with its own seed.

    Which images are taken depends only on this seed and the data, not on the training's seed or the machine. A smaller
    fraction is part of a larger one. Among the base classes, this one comes before that of MMPretrain.

    Args:
        *args: Passed to MMPretrain's data set.
        fraction: Part of the images to take, in (0, 1]; at least one image.
        fraction_seed: Seed of the draw.
        **kwargs: Passed to MMPretrain's data set.

    Raises:
        ValueError: ``fraction`` is out of its range.
    """

    def __init__(self, *args: Any, fraction: float = 1.0, fraction_seed: int = 0, **kwargs: Any) -> None:
        if not 0 < fraction <= 1:
            raise ValueError(f'Expected argument `fraction` to be in (0, 1], but got {fraction}.')
        self.fraction = fraction
        self.fraction_seed = fraction_seed
        super().__init__(*args, **kwargs)

    def filter_data(self) -> list[dict[str, Any]]:
        """Take the fraction.

        Returns:
            The data of the images taken, in their original order.
        """
        data_list = super().filter_data()
        if self.fraction == 1:
            return data_list
        # RandomState gives the same numbers in every release of NumPy.
        order = np.random.RandomState(self.fraction_seed).permutation(len(data_list))
        number = max(round(self.fraction * len(data_list)), 1)
        return [data_list[index] for index in sorted(order[:number])]
