"""Checks of images and patients that splits share."""

from collections import Counter
from collections.abc import Sequence

from ...errors import listed
from .copies import SAME_FILE, Copy
from .findings import Finding
from .splits import Split

# Above this share of the evaluated images, results measure memorization.
_MAX_SHARE = 0.01


def check_copies(first: Split, second: Split, copies: Sequence[Copy]) -> Finding | None:
    """Check the images that two splits share.

    Args:
        first: A split.
        second: The split that is evaluated.
        copies: Images of the second that are copies of images of the first.

    Returns:
        An error where the first is for training and has more than 1 % of the evaluated images, a warning otherwise;
        None where no image is shared.
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
            'folder or list. Check data_root, data_prefix, ann_file and split of both data sets.'
        )
        return Finding(severity, pair, message)
    what = ', '.join(f'{count} the {kind}' for kind, count in kinds.most_common())
    copy = copies[0]
    message = (
        f'{len(copies)} of {second.num_images} images of {second.name} ({share:.1%}) are in {first.name} as well '
        f'({what}), such as {copy.path}, a copy of {copy.other_path}. Remove them from one of the two; '
        'duplicates.csv lists them.'
    )
    return Finding(severity, pair, message)


def check_copies_within(split: Split, copies: Sequence[Copy]) -> list[Finding]:
    """Check for images that a split has twice.

    Args:
        split: The split.
        copies: Its images that are copies of others.

    Returns:
        A warning, or nothing.
    """
    if not copies:
        return []
    labels_of = {path: set(labels.tolist()) for path, labels in zip(split.paths, split.labels)}
    contradictory = [copy for copy in copies if labels_of[copy.path] != labels_of[copy.other_path]]
    copy = (contradictory or copies)[0]
    message = (
        f'{len(copies)} images are copies of others in {split.name}, {len(contradictory)} of them with other labels, '
        f'such as {copy.path}, a copy of {copy.other_path}. duplicates.csv lists them.'
    )
    return [Finding('warning', split.name, message)]


def check_patients(first: Split, second: Split) -> Finding | None:
    """Check that no patient is in two splits.

    Args:
        first: A split.
        second: The split that is evaluated.

    Returns:
        An error where the first is for training, a warning otherwise; None where no patient is shared, or patients are
        unknown.
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


def check_partly_known_patients(splits: Sequence[Split]) -> list[Finding]:
    """Warn where patients cannot be compared, because only some splits name them.

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
            'This split names no patients, others do: whether a patient is in two splits was not checked.',
        )
    ]
