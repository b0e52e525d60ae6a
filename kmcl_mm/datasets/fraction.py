"""A part of any data set, the same one each time."""

from typing import Any, Dict, List

import numpy as np
from mmengine.dataset import BaseDataset


class WithFraction(BaseDataset):
    """Base of the multilabel data sets: take a fraction of the images, drawn with a seed of its own.

    Which images are taken depends on the seed and the data alone, not on the training's seed or the machine, and a
    smaller fraction is a part of a larger one. It stands before the host's class among the bases.

    Args:
        fraction: Part of the images to take, in (0, 1]; one image at the least.
        fraction_seed: Seed of the draw.
        **kwargs: Passed to the host's data set.

    Raises:
        ValueError: ``fraction`` is out of its range.
    """

    def __init__(self, *args: Any, fraction: float = 1.0, fraction_seed: int = 0, **kwargs: Any) -> None:
        if not 0 < fraction <= 1:
            raise ValueError(f'Expected argument `fraction` to be in (0, 1], but got {fraction}.')
        self.fraction = fraction
        self.fraction_seed = fraction_seed
        super().__init__(*args, **kwargs)

    def filter_data(self) -> List[Dict[str, Any]]:
        """The data of the images that are taken, in their order."""
        data_list = super().filter_data()
        if self.fraction == 1:
            return data_list
        # RandomState keeps its stream of numbers in every release of numpy.
        order = np.random.RandomState(self.fraction_seed).permutation(len(data_list))
        number = max(round(self.fraction * len(data_list)), 1)
        return [data_list[index] for index in sorted(order[:number])]
