"""Tables of the results in Markdown, written between marks of a page."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.voc07.gradients import Forces
from benchmarks.voc07.runs import Run
from benchmarks.voc07.steps import Cost
from kmcl_mm.evaluation.resampling import paired_difference
from kmcl_mm.evaluation.weighted_metrics import brier_scores, calibration_errors
from kmcl_mm.files import atomic_write

# What all forms are compared with: the plain head, and the one whose network is that of KMCL.
BASELINES = {'linear': 'asymmetric loss, linear', 'projected': 'asymmetric loss, projected'}
ASYMMETRIC_TERM = ('Terms', 'asymmetric')


def write_table(page: Path, name: str, table: str) -> None:
    """Put a table between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` of a page.

    Args:
        page: The page, in Markdown.
        name: The marks' name.
        table: The table.

    Raises:
        ValueError: The page has no such marks.
    """
    before, after = parts_around(page, name)
    with atomic_write(page) as unfinished:
        unfinished.write_text(f'{before}\n{table}\n{after}', encoding='utf-8')


def parts_around(page: Path, name: str) -> tuple[str, str]:
    """What a page has before and after a table, with the marks.

    Args:
        page: The page, in Markdown.
        name: The marks' name.

    Returns:
        The text to the mark where the table begins, and from the mark where it ends.

    Raises:
        ValueError: The page has no such marks.
    """
    begin, end = f'<!-- begin {name} -->', f'<!-- end {name} -->'
    found = re.fullmatch(f'(.*{re.escape(begin)}).*({re.escape(end)}.*)', page.read_text(encoding='utf-8'), re.DOTALL)
    if found is None:
        raise ValueError(f'Expected {page} to have the marks {begin} and {end}, but it has not. Put them in.')
    return found[1], found[2]


def comparison_table(runs: dict[tuple[float, str, int], Run], settings: dict[tuple[float, str], str]) -> str:
    """The forms with their mAP and its differences to those of the baselines.

    Args:
        runs: Runs by the share of the images, the form's name and the seed.
        settings: What was chosen for each share and form.

    Returns:
        The table.
    """
    resampled = {key: run.resampled() for key, run in runs.items()}
    rows = []
    for share, name in dict.fromkeys(key[:2] for key in runs):
        keys = [key for key in runs if key[:2] == (share, name)]
        differences = [_difference(resampled, keys, baseline) for baseline in BASELINES.values()]
        spread = _mean_and_spread([resampled[key][0] for key in keys])
        rows.append((f'{share:.0%}', name, len(keys), spread, *differences, settings[share, name]))
    against = [f'against {baseline} (95 %)' for baseline in BASELINES]
    return _markdown(('images', 'head and loss', 'seeds', 'mAP', *against, 'chosen'), rows)


def _difference(
    resampled: dict[tuple[float, str, int], np.ndarray], keys: list[tuple[float, str, int]], baseline: str
) -> str:
    """The difference of runs to those of a baseline with the same seeds; nothing where there are none."""
    others = {key: (key[0], baseline, key[2]) for key in keys}
    paired = [key for key, other in others.items() if other in resampled and other != key]
    if not paired:
        return ''
    mean, low, high = paired_difference([resampled[key] for key in paired], [resampled[others[key]] for key in paired])
    return f'{mean:+.2f} ({low:+.2f} to {high:+.2f})'


def memory_table(runs: dict[tuple[float, str, str, int], Run]) -> str:
    """The forms as they are, calibrated, and with the votes of training images.

    Args:
        runs: Runs by the share of the images, the form's name, the name of the scores and the seed.

    Returns:
        The table; differences are those to the same heads as they are.
    """
    names = dict(plain='as they are', calibrated='calibrated', voted='with the votes of training images')
    resampled = {key: run.resampled() for key, run in runs.items()}
    rows = []
    for share, name, kind in dict.fromkeys(key[:3] for key in runs):
        seeds = [key[3] for key in runs if key[:3] == (share, name, kind)]
        own, plain = ([resampled[share, name, each, seed] for seed in seeds] for each in (kind, 'plain'))
        mean, low, high = paired_difference(own, plain)
        own_runs = [runs[share, name, kind, seed] for seed in seeds]
        errors = [
            np.mean([metric(run.scores, run.target, np.ones((1, len(run.target)))) for run in own_runs])
            for metric in (calibration_errors, brier_scores)
        ]
        difference = '' if kind == 'plain' else f'{mean:+.2f} ({low:+.2f} to {high:+.2f})'
        spread = _mean_and_spread([result[0] for result in own])
        rows.append(
            (f'{share:.0%}', name, names[kind], len(seeds), spread, difference, *(f'{error:.4f}' for error in errors))
        )
    header = ('images', 'head and loss', 'scores', 'seeds', 'mAP', 'against them as they are (95 %)',
              'calibration error', 'Brier score')  # fmt: skip
    return _markdown(header, rows)


def ablation_table(runs: dict[tuple[str, str, int], Run]) -> str:
    """Settings changed alone, with the mAP on the validation images.

    Args:
        runs: Runs by group, setting and seed.

    Returns:
        The table; differences are those of the same seeds, which have the same images.
    """
    results = {key: run.mean_average_precision for key, run in runs.items()}
    rows = []
    for group, name in dict.fromkeys(key[:2] for key in results):
        own = {seed: result for (*setting, seed), result in results.items() if setting == [group, name]}
        differences = [result - results[(*ASYMMETRIC_TERM, seed)] for seed, result in own.items()]
        rows.append((group, name, len(own), _mean_and_spread([*own.values()]), _mean_and_spread(differences, '+')))
    return _markdown(('group', 'setting', 'seeds', 'mAP', 'against the asymmetric term alone'), rows)


def forces_table(forces: dict[tuple[str, str], Forces]) -> str:
    """Gradients, pairs and variances by form and moment."""
    header = ('form', 'moment', 'asymmetric', 'reconstruction', 'contrast', 'median log kernel', 'noticeable pairs',
              'median variance', 'value of the contrast')  # fmt: skip
    rows = [
        (*key, *(f'{length:.3g}' for length in force[:3]), f'{force.log_kernel:.3g}', f'{force.pairs:.0%}',
         f'{force.variance:.3g}', f'{force.contrast_value:.3f}')
        for key, force in forces.items()
    ]  # fmt: skip
    return _markdown(header, rows)


def steps_table(costs: dict[tuple[str, str], Cost]) -> str:
    """Time and memory of a step by part and form."""
    rows = [
        (*key, f'{1e3 * cost.seconds:.1f}', f'{cost.ratio:.2f}', f'{cost.megabytes:.0f}') for key, cost in costs.items()
    ]
    return _markdown(('trained', 'head and loss', 'ms', 'times the linear head', 'MB'), rows)


def _mean_and_spread(values: list[float], sign: str = '-') -> str:
    mean = f'{np.mean(values):{sign}.2f}'
    return f'{mean} ± {np.std(values, ddof=1):.2f}' if len(values) > 1 else mean


def _markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(str(cell) for cell in line) + ' |' for line in lines)
