"""The results of the checks as text, CSV files and pictures."""

import csv
from collections.abc import Sequence
from pathlib import Path

from ...files import atomic_write
from ..pictures import draw_cooccurrence, draw_label_counts
from .dataset_check import DatasetReport
from .image_checks import images_to_list


def format_summary(report: DatasetReport) -> str:
    """Format the tables of splits and labels, the findings, and the result.

    Args:
        report: The results of the checks.

    Returns:
        Lines of text.
    """
    findings = [f'{finding.severity:7}  {finding.split}: {finding.message}' for finding in report.findings]
    warnings = len(report.findings) - report.num_errors
    result = f'{_number(report.num_errors, "error")}, {_number(warnings, "warning")}: '
    result += 'do not train yet.' if report.num_errors else 'check these.' if warnings else 'no problems found.'
    drawn = [split.name for split in report.splits if not split.paths]
    note = f'The images of {", ".join(drawn)} are drawn, so there are no files to check.' if drawn else ''
    tables = [_format_table(rows) for rows in (_split_rows(report), _label_rows(report))]
    parts = [tables[0], note, tables[1], '\n'.join(findings), result]
    return '\n\n'.join(part for part in parts if part)


def write_summary(report: DatasetReport, folder: Path) -> None:
    """Write labels.csv, findings.csv, duplicates.csv, images.csv, label_counts.png and cooccurrence.png.

    Each file is written atomically. If no split could be built there are no pictures, and those of an earlier check are
    removed.

    Args:
        report: The results of the checks.
        folder: The folder, which is made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    findings = [(finding.severity, finding.split, finding.message) for finding in report.findings]
    _write_csv(folder / 'findings.csv', [('severity', 'split', 'message'), *findings])
    _write_csv(folder / 'labels.csv', _label_rows(report))
    images = [row for split in report.splits for row in images_to_list(split, report.facts)]
    _write_csv(folder / 'images.csv', [('split', 'image', 'width', 'height', 'mode', 'what'), *images])
    copies = [
        (split, copy.path, other, copy.other_path, copy.kind, f'{copy.similarity:.3f}')
        for (split, other), found in report.copies.items()
        for copy in found
    ]
    header = ('split', 'image', 'other_split', 'other_image', 'kind', 'similarity')
    _write_csv(folder / 'duplicates.csv', [header, *copies])
    _draw_pictures(report, folder)


def _split_rows(report: DatasetReport) -> list[Sequence]:
    rows: list[Sequence] = [
        ('split', 'images', 'labels per image', 'fewest', 'most', 'no label', 'unreadable', 'odd', 'duplicates')
    ]
    for split in report.splits:
        counts = report.counts[split.name]
        numbers = counts.labels_per_image
        row = [
            split.name,
            split.num_images,
            f'{numbers.mean():.2f}',
            numbers.min(),
            numbers.max(),
            counts.without_label,
        ]
        if not split.paths:
            rows.append((*row, 'drawn', '-', '-'))
            continue
        facts = [report.facts[path] for path in split.paths]
        unreadable, odd = sum(bool(image.problem) for image in facts), sum(bool(image.oddities) for image in facts)
        rows.append((*row, unreadable, odd, len(report.copies[split.name, split.name])))
    return rows if report.splits else []


def _label_rows(report: DatasetReport) -> list[Sequence]:
    """Images with each label in each split, and their share in percent."""
    names = list(dict.fromkeys(name for split in report.splits for name in split.classes))
    columns = [['label', *names]]
    for split in report.splits:
        counts = report.counts[split.name]
        positives, shares = (dict(zip(split.classes, values)) for values in (counts.positives, counts.shares))
        columns.append([split.name, *(positives.get(name, '') for name in names)])
        columns.append(
            [f'% of {split.name}', *(f'{shares[name]:.2%}'[:-1] if name in shares else '' for name in names)]
        )
    return list(zip(*columns)) if names else []


def _format_table(rows: Sequence[Sequence]) -> str:
    """Align columns of text, the first on the left, the others on the right."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows)]
    lines = []
    for name, *cells in rows:
        cells = [f'{cell!s:>{width}}' for cell, width in zip(cells, widths[1:])]
        lines.append('  '.join([f'{name:{widths[0]}}', *cells]))
    return '\n'.join(lines)


def _number(count: int, noun: str) -> str:
    return f'{count} {noun}' if count == 1 else f'{count} {noun}s'


def _write_csv(path: Path, rows: Sequence[Sequence]) -> None:
    # A path may have bytes that are not UTF-8.
    with atomic_write(path) as temporary:
        with temporary.open('w', newline='', encoding='utf-8', errors='backslashreplace') as file:
            csv.writer(file).writerows(rows)


def _draw_pictures(report: DatasetReport, folder: Path) -> None:
    """Shares of the labels in the splits with the classes of the first, and co-occurrence in the first."""
    counts_png, cooccurrence_png = folder / 'label_counts.png', folder / 'cooccurrence.png'
    if not report.splits:
        counts_png.unlink(missing_ok=True)
        cooccurrence_png.unlink(missing_ok=True)
        return
    first = report.splits[0]
    alike = [split for split in report.splits if split.classes == first.classes]
    draw_label_counts(
        {split.name: report.counts[split.name].shares for split in alike},
        {split.name: report.counts[split.name].positives for split in alike},
        first.classes,
        counts_png,
    )
    draw_cooccurrence(report.counts[first.name].together, first.classes, first.name, cooccurrence_png)
