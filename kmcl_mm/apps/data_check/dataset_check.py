"""All checks of a configuration's data."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from mmengine.config import Config

from .copies import Copy, find_copies
from .findings import Finding
from .image_checks import check_images
from .image_facts import ImageFacts, inspect_images
from .label_checks import check_labels, check_number_of_outputs
from .label_counts import LabelCounts, count_labels
from .side_checks import check_copies, check_copies_within, check_partly_known_patients, check_patients
from .splits import Split, load_splits


@dataclass(frozen=True)
class DatasetReport:
    """The results of all checks.

    Args:
        splits: The splits that could be built.
        counts: Label counts by the name of the split.
        facts: Facts of the images by path.
        copies: Copies by the names of the splits of the copy and of the other image.
        findings: The findings, errors last.
    """

    splits: list[Split]
    counts: dict[str, LabelCounts]
    facts: dict[str, ImageFacts]
    copies: dict[tuple[str, str], list[Copy]]
    findings: list[Finding]

    @property
    def num_errors(self) -> int:
        """Number of findings that are errors."""
        return sum(finding.severity == 'error' for finding in self.findings)


def check_dataset(cfg: Config, workers: int) -> DatasetReport:
    """Check the data of a configuration: labels, images, and overlap of its splits.

    Args:
        cfg: The configuration; the data sets of its three dataloaders are checked.
        workers: Number of processes that load images.

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
    # An image of two splits is loaded as the first one does.
    loading = {path: split.load for split in reversed(with_images) for path in split.paths}
    facts = inspect_images(loading, workers)
    for split in with_images:
        findings += check_images(split, facts)
    copies = _find_all_copies(with_images, facts)
    for split in with_images:
        findings += check_copies_within(split, copies[split.name, split.name])
    findings += check_partly_known_patients(splits)
    for first, second in combinations(splits, 2):
        shared = [check_copies(first, second, copies.get((second.name, first.name), ())), check_patients(first, second)]
        findings += [finding for finding in shared if finding is not None]
    # Errors last, where they are seen on a terminal.
    findings.sort(key=lambda finding: finding.severity == 'error')
    return DatasetReport(splits, counts, facts, copies, findings)


def _find_all_copies(splits: Sequence[Split], facts: dict[str, ImageFacts]) -> dict[tuple[str, str], list[Copy]]:
    """Copies within each split, and between each pair of splits."""
    if splits:
        sys.stderr.write('Comparing images\n')
    copies = {(split.name, split.name): find_copies(split.paths, facts) for split in splits}
    for first, second in combinations(splits, 2):
        copies[second.name, first.name] = find_copies(second.paths, facts, first.paths)
    return copies
