"""Images that are there twice, and patients that are in two splits."""

from collections import Counter
from typing import List, Optional, Sequence

from ..errors import listed
from .copies import SAME_FILE, Copy
from .findings import Finding
from .splits import Split

# Above this share of the evaluated images, what is measured is memory.
_MAX_SHARE = 0.01


def check_copies(first: Split, second: Split, copies: Sequence[Copy]) -> Optional[Finding]:
    """Check the images that two splits share.

    Args:
        first: A split.
        second: The split that is evaluated.
        copies: Images of the second that are copies of images of the first.

    Returns:
        A finding: an error where the first is for training and more than 1 % of the evaluated images are in it, a
        warning where fewer are; None where there is no such image.
    """
    if not copies:
        return None
    kinds = Counter(copy.kind for copy in copies)
    pair = f'{first.name}, {second.name}'
    share = len(copies) / second.num_images
    severity = 'error' if first.name == 'train' and share > _MAX_SHARE else 'warning'
    if kinds[SAME_FILE] == second.num_images:
        message = (
            f'All {second.num_images} images of {second.name} are files of {first.name} as well: both read the same '
            'folder or list. Check data_root, data_prefix, ann_file and split of the two data sets.'
        )
        return Finding(severity, pair, message)
    what = ', '.join(f'{count} the {kind}' for kind, count in kinds.most_common())
    copy = copies[0]
    message = (
        f'{len(copies)} of {second.num_images} images of {second.name} ({share:.1%}) are in {first.name} as well '
        f'({what}), such as {copy.path}, which is {copy.other_path}. Take them out of one of the two; '
        'duplicates.csv lists them.'
    )
    return Finding(severity, pair, message)


def check_copies_within(split: Split, copies: Sequence[Copy]) -> List[Finding]:
    """Check the images that a split has twice.

    Args:
        split: The split.
        copies: Images of it that are copies of others of it.

    Returns:
        A warning, or nothing.
    """
    if not copies:
        return []
    labels_of = {path: set(labels.tolist()) for path, labels in zip(split.paths, split.labels)}
    contradictory = [copy for copy in copies if labels_of[copy.path] != labels_of[copy.other_path]]
    copy = (contradictory or copies)[0]
    message = (
        f'{len(copies)} images are copies of others of {split.name}, {len(contradictory)} of them with other labels, '
        f'such as {copy.path}, which is {copy.other_path}. duplicates.csv lists them.'
    )
    return [Finding('warning', split.name, message)]


def check_patients(first: Split, second: Split) -> Optional[Finding]:
    """Check that no patient is in two splits.

    Args:
        first: A split.
        second: The split that is evaluated.

    Returns:
        A finding, an error where the first is for training; None where there is no such patient, or where patients are
        not known.
    """
    if first.patients is None or second.patients is None:
        return None
    shared = sorted((set(first.patients) & set(second.patients)) - {''})
    if not shared:
        return None
    images = sum(patient in set(shared) for patient in second.patients)
    message = (
        f'{len(shared)} patients are in both splits, with {images} of {second.num_images} images of {second.name}: '
        f'{listed(shared)}. Split by patient, not by image.'
    )
    return Finding('error' if first.name == 'train' else 'warning', f'{first.name}, {second.name}', message)


def check_partly_known_patients(splits: Sequence[Split]) -> List[Finding]:
    """Say where patients cannot be compared because only some splits name them.

    Args:
        splits: The splits.

    Returns:
        A warning, or nothing.
    """
    unknown = [split.name for split in splits if split.patients is None]
    if not unknown or len(unknown) == len(splits):
        return []
    return [
        Finding(
            'warning',
            ', '.join(unknown),
            'No patients are named here, but they are elsewhere: whether a patient is on two sides was not checked.',
        )
    ]
