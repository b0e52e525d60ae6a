"""Make the scores of a checkpoint probabilities, let the training images vote, and fit a threshold for each label.

All is fitted on the validation images and stored in a copy of the checkpoint, which every other tool then uses. What it
changes is printed for test images that chose nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor

from kmcl_mm.apps.calibration.described_images import DescribedImages, describe
from kmcl_mm.apps.calibration.fitting import reduction_cost
from kmcl_mm.apps.calibration.gains import as_table, gains, label_table
from kmcl_mm.apps.calibration.loaders import check_apart, evaluation_loader, training_loader
from kmcl_mm.apps.calibration.prediction_rule import (
    PARTS,
    PredictionRule,
    Wanted,
    check_taken_thresholds,
    check_thresholds,
    fit_rule,
    judge_by_others,
    take_over,
    taken_over,
)
from kmcl_mm.apps.command_line import add_model_arguments, positive_integer, run_command
from kmcl_mm.apps.inference import load_classifier
from kmcl_mm.apps.inference.decision_rule import label_names, thresholds_of
from kmcl_mm.config import load_config
from kmcl_mm.engine.fitted import THRESHOLDS_KEY, save_fitted
from kmcl_mm.files import check_writable
from kmcl_mm.functional.thresholds import GOALS
from kmcl_mm.modules.calibration import Calibration, calibrate

# With fewer images of a label than this, what is fitted for it would differ much on other images.
FEW_IMAGES = 20


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_model_arguments(parser)
    parser.add_argument(
        '--parts',
        nargs='+',
        choices=PARTS,
        default=[*PARTS],
        help='what to fit: votes of the training images (memory, with calibration alone), probabilities (calibration), '
        'thresholds (all three); with thresholds alone an earlier calibration is kept',
    )
    parser.add_argument('--goal', choices=GOALS, default='f1', help='what the thresholds are for (%(default)s)')
    parser.add_argument('--wished', type=float, help='precision or recall to reach on the validation images, in (0, 1]')
    parser.add_argument('--max-images', type=positive_integer, help='training images that vote, at the most (all)')
    parser.add_argument(
        '--max-megabytes', type=float, default=64, help='size of the memory, at the most, in MB (%(default)g)'
    )
    parser.add_argument(
        '--like',
        type=Path,
        metavar='CALIBRATED',
        help='take all numbers over from this checkpoint, of the same training on fewer images, and fit nothing',
    )
    parser.add_argument('--out', type=Path, help='the checkpoint to write (CHECKPOINT with _calibrated in its name)')
    args = parser.parse_args()
    if args.goal != 'f1' and args.wished is None:
        parser.error(f'--goal {args.goal} needs --wished, the {args.goal} to reach, such as --wished 0.9')
    if args.wished is not None and args.goal == 'f1':
        parser.error('--wished is for --goal precision or recall, but the goal is f1')
    if args.wished is not None and not 0 < args.wished <= 1:
        parser.error(f'--wished must be in (0, 1], but is {args.wished}')
    if 'memory' in args.parts and 'calibration' not in args.parts:
        parser.error('--parts memory needs calibration, whose regression weighs the votes: --parts memory calibration')
    if args.like and 'calibration' not in args.parts:
        parser.error('--like takes a calibration over: add calibration to --parts')
    if args.like and args.goal != 'f1':
        parser.error(f'--like takes thresholds over and fits none, so that --goal {args.goal} has no effect')
    if not args.max_megabytes > 0:
        parser.error(f'--max-megabytes must be above 0, but is {args.max_megabytes}')
    if args.out is None:
        path = Path(args.checkpoint)
        ending = '_thresholds' if args.parts == ['thresholds'] else '_calibrated'
        args.out = path.with_name(f'{path.stem.removesuffix(ending)}{ending}{path.suffix}')
    return args


def describe_all(
    args: argparse.Namespace, cfg: Config, model: BaseModel, checkpoint: dict[str, Any]
) -> dict[str, DescribedImages]:
    """The images that are needed: 'test' only where they are not those of validation, or nothing is fitted on these."""
    validation, test = ((cfg.get(f'{name}_dataloader') or {}).get('dataset') for name in ('val', 'test'))
    needed = ['test'] if args.like else ['val'] if validation == test else ['val', 'test']
    loaders = {name: evaluation_loader(cfg, f'{name}_dataloader', checkpoint, args.checkpoint) for name in needed}
    if len(needed) > 1:
        check_apart(loaders['val'], loaders['test'], 'test_dataloader', 'validation images, on which all is fitted')
    if 'memory' in args.parts:
        training = training_loader(cfg, checkpoint, args.checkpoint, args.max_images)
        for name, loader in loaders.items():
            check_apart(training, loader, f'{name}_dataloader', 'training images, which would vote on themselves')
        loaders = {'training': training, **loaders}
    images = {}
    for name, loader in loaders.items():
        print(f'{dict(val="Validation").get(name, name.capitalize())} images:')
        images[name], skipped = describe(model, loader)
        for image in skipped:
            print(f'Skipped {image.source}: {image.reason}', file=sys.stderr)
    return images


def rule_of(model: BaseModel, names: Sequence[str]) -> PredictionRule:
    """How a checkpoint predicts."""
    thresholds = thresholds_of(model, names)
    values = None if thresholds is None else torch.tensor(thresholds.tolist(), dtype=torch.float64)
    calibration = getattr(model.head, 'calibration', None)
    # Described images are on the CPU, wherever the model is.
    return PredictionRule(None if calibration is None else calibration.cpu(), values, model.head.topk)


def has_thresholds(checkpoint: dict[str, Any]) -> bool:
    """Whether thresholds were fitted for a checkpoint."""
    return bool((checkpoint.get('meta') or {}).get(THRESHOLDS_KEY))


def load_other(path: Path, wanted: Wanted, cfg: Config, names: Sequence[str]) -> PredictionRule:
    """The rule of the checkpoint whose numbers are taken over."""
    model, checkpoint = load_classifier(cfg, path, 'cpu', names)
    rule = rule_of(model, names)
    taken_over(wanted, rule)
    check_taken_thresholds(wanted, path, has_thresholds(checkpoint))
    return rule


def main() -> None:
    args = parse_args()
    check_writable(args.out)
    cfg = load_config(args.config, args.cfg_options)
    model, checkpoint = load_classifier(cfg, args.checkpoint, args.device)
    names = label_names(checkpoint, args.checkpoint, cfg, model.head)
    before = rule_of(model, names)
    wanted = Wanted(args.parts, args.goal, args.wished, args.max_megabytes)
    check_thresholds(wanted, before, args.checkpoint, has_thresholds(checkpoint))
    other = load_other(args.like, wanted, cfg, names) if args.like else None

    calibrate(model.head, None)
    images = describe_all(args, cfg, model, checkpoint)
    training = images.get('training')
    if other is not None:
        rule = take_over(wanted, before, training, other)
        where, apart = f'Taken over from {args.like}', ', which must not be those that it was fitted on'
    else:
        print('Fitting:')
        rule = fit_rule(wanted, before, training, images['val'])
        where, apart = f'Fitted on {len(images["val"])} images', ', which chose nothing of it'
    if 'test' in images:
        test = images['test']
        after = rule.judge(test)
    else:
        test = images['val']
        after = judge_by_others(wanted, before, training, test)
        where += ', which are the test images too: here each half is judged by what was fitted on the other half'
        apart = ''
    stored = rule.thresholds if 'thresholds' in args.parts else None
    save_fitted(checkpoint, names, args.out, stored, rule.calibration)

    if training is not None and rule.calibration is not None:
        print_memory(rule.calibration, training, images.get('val'))
    print(f'\n{where}. On {len(test)} test images{apart}:\n')
    print(as_table(gains(test, before.judge(test), after)))
    if stored is not None:
        print(f'\n{label_table(names, test, before.judge(test), after)}')
    if 'val' in images:
        name_few(names, images['val'].target)
    print(f'Checkpoint: {args.out}')


def print_memory(calibration: Calibration, training: DescribedImages, validation: DescribedImages | None) -> None:
    """How the training images vote, and what that takes."""
    state = calibration.state()
    vectors = [memory['vectors'] for memory in state['memories']]
    projections = [memory['projection'] for memory in state['memories'] if memory['projection'] is not None]
    size = sum(tensor.nbytes for tensor in (*vectors, *projections, state['target']))
    votes = ', '.join(
        f'{min(memory["neighbours"], len(training))} at temperature {memory["temperature"]:g}'
        for memory in state['memories']
    )
    print(f'Memory of {len(training):,} training images, {size / 1e6:.1f} MB. Neighbours that vote: {votes}.')
    widths = [vector.shape[1] for vector in vectors]
    all_widths = [images.shape[1] for images in training.descriptions]
    if widths != all_widths and validation is not None:
        cost = reduction_cost(calibration, training, validation)
        print(
            f'Of {all_widths} dimensions {widths} are kept, which changes the mAP of validation images by {-cost:+.2f}.'
        )


def name_few(names: Sequence[str], target: Tensor) -> None:
    """Name the labels for which little is known."""
    counts = (target == 1).sum(dim=0).tolist()
    few = [name for name, count in zip(names, counts) if 0 < count < FEW_IMAGES]
    absent = [name for name, count in zip(names, counts) if not count]
    if few:
        print(f'Uncertain, since fewer than {FEW_IMAGES} validation images have the label: {", ".join(few)}.')
    if absent:
        print(f'With unchanged thresholds, since no validation image has the label: {", ".join(absent)}.')


if __name__ == '__main__':
    run_command(main)
