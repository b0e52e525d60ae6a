"""Checks of the images of a split."""

from collections import Counter
from collections.abc import Sequence

from ...errors import listed
from .findings import Finding
from .image_facts import LOST_CONTRAST, ImageFacts
from .splits import Split

# Above this share of images with another shape than annotated, the annotations belong to other images.
_MAX_OTHER_SHAPES = 0.1
# Above this share of images that have lost their contrast, their loading is wrong.
_MAX_LOST = 0.1
_MOST = 0.9
# Rounding to whole pixels when a copy is reduced, in pixels and as a share of the side.
_ROUNDING_PIXELS, _ROUNDING_SHARE = 1, 0.01


def check_images(split: Split, facts: dict[str, ImageFacts]) -> list[Finding]:
    """Check the images of a split, and their shapes against the annotations.

    Args:
        split: A split with paths.
        facts: Facts of the images by path.

    Returns:
        The findings.
    """
    findings = []
    unreadable = [path for path in split.paths if facts[path].problem]
    if unreadable:
        message = (
            f'{len(unreadable)} of {split.num_images} images cannot be read, such as {unreadable[0]} '
            f'({facts[unreadable[0]].problem}). Restore the files, or remove them from the annotations; images.csv '
            'lists them.'
        )
        findings.append(Finding('error', split.name, message))
    oddities = Counter(oddity for path in split.paths for oddity in facts[path].oddities)
    if oddities:
        number = sum(bool(facts[path].oddities) for path in split.paths)
        kinds = listed([f'{count} {oddity}' for oddity, count in oddities.most_common()], most=8)
        example = next(path for path in split.paths if facts[path].oddities)
        message = f'{number} of {split.num_images} images are odd: {kinds}; such as {example}. images.csv lists them.'
        findings.append(Finding('warning', split.name, message))
    lost = [path for path in split.paths if LOST_CONTRAST in facts[path].oddities]
    if len(lost) > _MAX_LOST * split.num_images:
        message = (
            f'{len(lost)} of {split.num_images} images have more than 8 bits a channel and reach the network nearly '
            f'without contrast, such as {lost[0]}. Set window of their LoadCheckedImage to the values that matter: '
            'train_pipeline(224, window=(0, 4095)).'
        )
        findings.append(Finding('error', split.name, message))
    shapes = _check_shapes(split, facts)
    return findings if shapes is None else [*findings, shapes]


def images_to_list(split: Split, facts: dict[str, ImageFacts]) -> list[tuple[str, str, int, int, str, str]]:
    """List the unreadable and the odd images of a split.

    Args:
        split: A split with paths.
        facts: Facts of the images by path.

    Returns:
        Rows of split, path, width, height, colour mode, and problem or oddities.
    """
    rows = []
    for path, annotated in zip(split.paths, split.annotated_sizes):
        image = facts[path]
        notes = [image.problem] if image.problem else list(image.oddities)
        if not image.problem and annotated and not _has_shape(image, annotated):
            notes.append('annotated as {:g} x {:g}'.format(*annotated))
        if notes:
            rows.append((split.name, path, image.width, image.height, image.mode, '; '.join(notes)))
    return rows


def _check_shapes(split: Split, facts: dict[str, ImageFacts]) -> Finding | None:
    """Find annotations of other images with the same names."""
    compared = [
        (facts[path], size, path)
        for path, size in zip(split.paths, split.annotated_sizes)
        if size and not facts[path].problem
    ]
    other = [(image, size, path) for image, size, path in compared if not _has_shape(image, size)]
    if not other:
        return None
    image, size, path = other[0]
    message = (
        f'{len(other)} of {len(compared)} images have another shape than annotated, such as {path}: '
        f'{image.width} x {image.height}, annotated as {size[0]:g} x {size[1]:g}.'
    )
    usual, count = Counter((image.width, image.height) for image, _, _ in compared).most_common(1)[0]
    if count > _MOST * len(compared):
        message += f' Nearly all are {usual[0]} x {usual[1]}: probably they were squashed to one size.'
        return Finding('warning', split.name, message)
    if len(other) <= _MAX_OTHER_SHAPES * len(compared):
        return Finding('warning', split.name, f'{message} They may be cropped or turned.')
    message += (
        ' The annotation file seems to be from another year or folder with the same file names. Use the one that '
        'belongs to these images.'
    )
    return Finding('error', split.name, message)


def _has_shape(image: ImageFacts, annotated: Sequence[float]) -> bool:
    """Whether the image has the annotated shape or that of a reduced copy, up to rounding."""
    shapes = [annotated, annotated[::-1]] if image.sides_swapped else [annotated]
    return any(
        abs(image.height - image.width * height / width) <= _ROUNDING_PIXELS + _ROUNDING_SHARE * image.height
        or abs(image.width - image.height * width / height) <= _ROUNDING_PIXELS + _ROUNDING_SHARE * image.width
        for width, height in shapes
    )
