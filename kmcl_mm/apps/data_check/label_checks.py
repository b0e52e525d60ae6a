"""Checks of the labels of a split, and of labels between splits."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from mmengine.config import Config

from ...errors import listed
from .findings import Finding
from .label_counts import LabelCounts
from .shift import differing_labels, find_shift
from .splits import Split


def check_labels(splits: Sequence[Split], counts: dict[str, LabelCounts]) -> list[Finding]:
    """Check the labels of all splits.

    Args:
        splits: The splits.
        counts: The counts of each, by its name.

    Returns:
        The findings.
    """
    findings = [finding for split in splits for finding in _check_alone(split, counts[split.name])]
    differing = _check_classes(splits)
    if differing:
        return findings + differing
    findings += _check_occurrence(splits, counts) + _check_first_label(splits, counts)
    train = next((split for split in splits if split.name == 'train'), None)
    for other in splits:
        if train is not None and other is not train:
            findings += _compare(train, other, counts)
    return findings


def check_number_of_outputs(cfg: Config, split: Split) -> list[Finding]:
    """Check that head and preprocessor have an output for each label.

    Args:
        cfg: The configuration.
        split: One of its splits.

    Returns:
        An error for each part that has another number.
    """
    findings = []
    number = len(split.classes)
    parts = {'model.head': (cfg.get('model') or {}).get('head'), 'data_preprocessor': cfg.get('data_preprocessor')}
    for name, part in parts.items():
        found = (part or {}).get('num_classes', number)
        if found != number:
            message = f'`num_classes` of `{name}` is {found}, but there are {number} labels. Set it to {number}.'
            findings.append(Finding('error', split.name, message))
    return findings


def _check_alone(split: Split, counts: LabelCounts) -> list[Finding]:
    """Indices out of range, duplicate names, images without a label."""
    findings = []
    number = len(split.classes)
    wrong = [
        (image, index) for image, indices in enumerate(split.labels) for index in indices if not 0 <= index < number
    ]
    if wrong:
        image, index = wrong[0]
        example = split.paths[image] if split.paths else f'image {image}'
        message = (
            f'{len({image for image, _ in wrong})} of {split.num_images} images have a label index outside '
            f'0 .. {number - 1}, such as {index} in {example}.'
        )
        if counts.positives[0] == 0 and {index for _, index in wrong} == {number}:
            message += (
                f' The labels look one-based: {number} occurs and 0 ({split.classes[0]}) never does. Subtract 1 from '
                'all labels.'
            )
        else:
            message += ' Number the labels from 0 in the order of the class names.'
        findings.append(Finding('error', split.name, message))
    twice = sorted(name for name, times in Counter(split.classes).items() if times > 1)
    if twice:
        findings.append(
            Finding(
                'error',
                split.name,
                f'Duplicate class names: {listed(twice)}. Give each label a different name.',
            )
        )
    if counts.without_label > split.num_images / 2:
        findings.append(
            Finding(
                'warning',
                split.name,
                f'{counts.without_label} of {split.num_images} images have no label. If that is unexpected, check that '
                'the class names are those of the annotations.',
            )
        )
    return findings


def _check_classes(splits: Sequence[Split]) -> list[Finding]:
    first, *others = splits
    findings = []
    for other in others:
        if other.classes == first.classes:
            continue
        if sorted(other.classes) == sorted(first.classes):
            position = next(k for k, pair in enumerate(zip(first.classes, other.classes)) if pair[0] != pair[1])
            what = (
                f'the same class names in another order; label {position} is {first.classes[position]} in '
                f'{first.name} and {other.classes[position]} in {other.name}'
            )
        else:
            only = [sorted(set(a.classes) - set(b.classes)) for a, b in ((first, other), (other, first))]
            what = (
                f'other class names: only in {first.name} {listed(only[0]) or "none"}; only in {other.name} '
                f'{listed(only[1]) or "none"}'
            )
        message = f'The splits have {what}. Give all of them the same metainfo=dict(classes=(...)).'
        findings.append(Finding('error', f'{first.name}, {other.name}', message))
    return findings


def _check_occurrence(splits: Sequence[Split], counts: dict[str, LabelCounts]) -> list[Finding]:
    """Labels that never occur in a split."""
    findings = []
    occurs = {split.name: counts[split.name].positives > 0 for split in splits}
    for split in splits:
        absent = ~occurs[split.name]
        evaluated = np.zeros_like(absent)
        if split.name == 'train':
            evaluated = np.any([mask for name, mask in occurs.items() if name != 'train'], axis=0)
        untrained, unused = (
            [split.classes[k] for k in np.flatnonzero(mask)] for mask in (absent & evaluated, absent & ~evaluated)
        )
        if untrained:
            message = (
                f'{len(untrained)} of {len(absent)} labels never occur, but do in the evaluated data: they cannot be '
                f'learnt. Check the annotations of {listed(untrained)}.'
            )
            findings.append(Finding('error', split.name, message))
        if unused:
            message = (
                f'{len(unused)} of {len(absent)} labels never occur: {listed(unused)}. Check the annotations, or '
                'remove them from the classes of all splits; MMPretrain counts their average precision as 0.'
            )
            findings.append(Finding('warning', split.name, message))
    return findings


def _check_first_label(splits: Sequence[Split], counts: dict[str, LabelCounts]) -> list[Finding]:
    """One-based labels with an extra class, so that no index is out of range."""
    occurs = np.any([counts[split.name].positives > 0 for split in splits], axis=0)
    if len(occurs) < 3 or occurs[0] or not occurs[1:].all():
        return []
    message = (
        f'Label 0 ({splits[0].classes[0]}) never occurs in any split while all {len(occurs) - 1} others do. If the '
        'labels are one-based and num_classes was raised to fit, subtract 1 from all labels. A background class is not '
        'needed: an image without a label has none.'
    )
    return [Finding('warning', ', '.join(split.name for split in splits), message)]


def _compare(train: Split, other: Split, counts: dict[str, LabelCounts]) -> list[Finding]:
    """Label frequencies of two splits that are shifted or very different."""
    pair = f'{train.name}, {other.name}'
    a, b = counts[train.name], counts[other.name]
    shift = find_shift(a, b)
    if shift:
        sources = (np.arange(len(other.classes)) - shift) % len(other.classes)
        k = int(np.argmax(np.minimum(b.shares, a.shares[sources])))
        source = sources[k]
        message = (
            f'The labels of {other.name} look shifted by {shift:+d} against those of {train.name}: only with this '
            f'shift do their frequencies agree. {other.classes[k]} is in {b.shares[k]:.1%} of the images of '
            f'{other.name}, {train.classes[source]} in {a.shares[source]:.1%} of those of {train.name}. Check the '
            'category ids of both annotation files, and that both start from the same number.'
        )
        return [Finding('error', pair, message)]
    labels = differing_labels(a, b)
    if not len(labels):
        return []
    examples = [f'{train.classes[k]} ({a.shares[k]:.1%} and {b.shares[k]:.1%} of the images)' for k in labels]
    message = (
        f'{len(labels)} labels are at least three times as frequent in one split as in the other: '
        f'{listed(examples, 3)}. Check that both have the same source and the same annotation rules.'
    )
    return [Finding('warning', pair, message)]
