"""Images as the fitting sees them: two descriptions, logits and labels."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.utils import track_iter_progress
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.utils.data import DataLoader

from ...checks import UNKNOWN
from ...evaluation.bootstrapped import groups_of
from ...evaluation.samples import scores_and_target, stack
from ...modules.calibration import descriptions_of
from ..inference.image_names import image_names
from .loaders import ReadableImages, Unreadable


@dataclass(frozen=True)
class DescribedImages:
    """N images as a classifier describes them.

    Attributes:
        descriptions: Two descriptions (N, D), see :func:`kmcl_mm.modules.calibration.descriptions_of`.
        logits: Logits (N, K), not calibrated.
        target: Labels (N, K): 1 present, 0 absent, -1 unknown or difficult.
        target_at_thresholds: The same with difficult labels as absent, for precision and recall.
        names: Names of the images.
        patients: The patient, say, of each image: images of one belong together.
    """

    descriptions: tuple[Tensor, Tensor]
    logits: Tensor
    target: Tensor
    target_at_thresholds: Tensor
    names: Sequence[str]
    patients: Sequence[Hashable]

    def __len__(self) -> int:
        return len(self.logits)

    def chosen(self, places: np.ndarray) -> 'DescribedImages':
        """Some of the images.

        Args:
            places: Their indices (n,).

        Returns:
            The images.
        """
        first, second = (description[places] for description in self.descriptions)
        labels = (self.logits[places], self.target[places], self.target_at_thresholds[places])
        return DescribedImages(
            (first, second), *labels, [self.names[n] for n in places], [self.patients[n] for n in places]
        )

    def drawn(self, number: int) -> 'DescribedImages':
        """Some of the images, drawn with a fixed seed; all where there are no more.

        Args:
            number: How many.

        Returns:
            The images.
        """
        return self.chosen(np.sort(np.random.default_rng(0).permutation(len(self))[:number]))

    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Two halves, drawn with a fixed seed; images of one patient stay together.

        Returns:
            Indices of either half.
        """
        number_of_patient = {patient: number for number, patient in enumerate(dict.fromkeys(self.patients))}
        in_first = np.random.default_rng(0).permutation(len(number_of_patient)) % 2 == 0
        chosen = in_first[[number_of_patient[patient] for patient in self.patients]]
        return np.flatnonzero(chosen), np.flatnonzero(~chosen)


@torch.inference_mode()
def describe(model: BaseModel, loader: DataLoader) -> tuple[DescribedImages, list[Unreadable]]:
    """Describe all images of a loader, with a progress bar and the time left.

    Args:
        model: The classifier, in evaluation mode and not calibrated.
        loader: The loader, in the order of its data set; of
            :class:`kmcl_mm.apps.calibration.loaders.ReadableImages`, those that cannot be read are skipped.

    Returns:
        The images, and those that were skipped.

    Raises:
        ValueError: There is no image, or the head is not one of pooled features.
    """
    outputs: list[tuple[Tensor, Tensor, Tensor]] = []
    samples: list[DataSample] = []
    skipped: list[Unreadable] = []

    def keep(head: Any, args: tuple, logits: Tensor) -> None:
        first, second = descriptions_of(head, args[0], logits)
        outputs.append((first.float().cpu(), second.float().cpu(), logits.float().cpu()))

    with model.head.register_forward_hook(keep):
        for batch in track_iter_progress((loader, len(loader))):
            skipped += batch.pop('skipped', [])
            if batch:
                samples += model.test_step(batch)
    print()
    if not samples:
        reason = f' The first, {skipped[0].source}: {skipped[0].reason}' if skipped else ''
        raise ValueError(f'None of the images can be read.{reason}')
    first, second, logits = (torch.cat(parts) for parts in zip(*outputs))
    judged = {
        difficult: stack([scores_and_target(s.to_dict(), difficult) for s in samples]) for difficult in (UNKNOWN, 0)
    }
    dataset: Any = loader.dataset
    missing = {image.number for image in skipped}
    places = [place for place in range(len(dataset)) if place not in missing]
    names = dataset.names if isinstance(dataset, ReadableImages) else image_names(dataset)
    groups = groups_of(dataset) or range(len(dataset))
    images = DescribedImages(
        (first, second),
        logits,
        judged[UNKNOWN][1],
        judged[0][1],
        names=[names[place] for place in places],
        patients=[groups[place] for place in places],
    )
    return images, skipped
