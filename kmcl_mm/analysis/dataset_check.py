"""All checks of a configuration's data."""

import sys
from dataclasses import dataclass
from itertools import combinations
from typing import Dict, List, Sequence, Tuple

from mmengine.config import Config

from .copies import Copy, find_copies
from .findings import Finding, in_order
from .image_checks import check_images
from .images import ImageFacts, inspect_images
from .label_checks import check_labels, check_number_of_outputs
from .labels import LabelCounts, count_labels
from .side_checks import check_copies, check_copies_within, check_partly_known_patients, check_patients
from .splits import Split, load_splits


@dataclass(frozen=True)
class DatasetReport:
    """What the checks have found.

    Args:
        splits: The splits that could be built.
        counts: Label counts by the name of the split.
        facts: Facts of the images by path.
        copies: Copies by the names of the two splits, (where the copy is, where the other image is).
        findings: The findings, errors last.
    """

    splits: List[Split]
    counts: Dict[str, LabelCounts]
    facts: Dict[str, ImageFacts]
    copies: Dict[Tuple[str, str], List[Copy]]
    findings: List[Finding]

    @property
    def num_errors(self) -> int:
        """Number of findings that are errors."""
        return sum(finding.severity == 'error' for finding in self.findings)


def check_dataset(cfg: Config, workers: int) -> DatasetReport:
    """Check the data of a configuration: labels, images, and what its splits have in common.

    Args:
        cfg: The configuration, of which the data sets of the three dataloaders are looked at.
        workers: Number of processes that decode images.

    Returns:
        The report.

    Raises:
        ValueError: The configuration has no data set, or ``workers`` is less than 1.
    """
    splits, findings = load_splits(cfg)
    counts = {split.name: count_labels(split) for split in splits}
    if splits:
        findings += check_number_of_outputs(cfg, splits[0]) + check_labels(splits, counts)
    with_images = [split for split in splits if split.paths]
    facts = inspect_images(list(dict.fromkeys(path for split in with_images for path in split.paths)), workers)
    for split in with_images:
        findings += check_images(split, facts)
    copies = _find_all_copies(with_images, facts)
    for split in with_images:
        findings += check_copies_within(split, copies[split.name, split.name])
    findings += check_partly_known_patients(splits)
    for first, second in combinations(splits, 2):
        shared = [check_copies(first, second, copies.get((second.name, first.name), ())), check_patients(first, second)]
        findings += [finding for finding in shared if finding is not None]
    return DatasetReport(splits, counts, facts, copies, in_order(findings))


def _find_all_copies(splits: Sequence[Split], facts: Dict[str, ImageFacts]) -> Dict[Tuple[str, str], List[Copy]]:
    """Copies within each split, and between each two of them."""
    if splits:
        sys.stderr.write('Comparing images with one another\n')
    copies = {(split.name, split.name): find_copies(split.paths, facts) for split in splits}
    for first, second in combinations(splits, 2):
        copies[second.name, first.name] = find_copies(second.paths, facts, first.paths)
    return copies
