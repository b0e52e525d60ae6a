"""Fit a threshold for each label on validation images, store them in a copy of the checkpoint, and print what they
change on the test images."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils.data import DataLoader

from kmcl_mm.apps.command_line import add_model_arguments, run_command
from kmcl_mm.apps.inference import load_classifier, predict
from kmcl_mm.apps.inference.decision_rule import thresholds_of
from kmcl_mm.config import load_config
from kmcl_mm.engine import KMCLRunner
from kmcl_mm.engine.checkpoint_labels import check_same_labels
from kmcl_mm.engine.fitted_thresholds_hook import save_with_thresholds
from kmcl_mm.evaluation import MultiLabelF1
from kmcl_mm.evaluation.multilabel_f1 import precision_recall_f1_of_labels
from kmcl_mm.evaluation.samples import scores_and_target, stack
from kmcl_mm.files import check_writable
from kmcl_mm.functional.thresholds import GOALS, fit_thresholds

# With fewer images of a label than this, its threshold would differ much on other images.
FEW_IMAGES = 20


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--goal', choices=GOALS, default='f1', help='what the thresholds are for (%(default)s)')
    parser.add_argument('--wished', type=float, help='precision or recall to reach on the validation images, in (0, 1]')
    parser.add_argument('--out', type=Path, help='the checkpoint to write (CHECKPOINT with _thresholds in its name)')
    args = parser.parse_args()
    if args.goal != 'f1' and args.wished is None:
        parser.error(f'--goal {args.goal} needs --wished, the {args.goal} to reach, such as --wished 0.9')
    if args.wished is not None and (args.goal == 'f1' or not 0 < args.wished <= 1):
        parser.error(f'--wished is for --goal precision or recall and must be in (0, 1], but is {args.wished}')
    if args.out is None:
        path = Path(args.checkpoint)
        args.out = path.with_name(f'{path.stem.removesuffix("_thresholds")}_thresholds{path.suffix}')
    return args


def scores_and_targets(model: BaseModel, loader: DataLoader) -> tuple[Tensor, Tensor]:
    """Scores (N, K) and targets (N, K) of a loader's images; labels with only difficult objects count as absent."""
    return stack(
        [scores_and_target(s.to_dict(), difficult=0) for _, samples in predict(model, loader) for s in samples]
    )


def halves(dataset: BaseDataset, scores: Tensor, target: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The images in two halves, drawn with a fixed seed; images of one patient stay together."""
    groups = [dataset.get_data_info(index).get('patient_id') or index for index in range(len(dataset))]
    number_of_group = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    in_first = torch.randperm(len(number_of_group), generator=torch.Generator().manual_seed(0)) % 2 == 0
    chosen = in_first[[number_of_group[group] for group in groups]]
    return (scores[chosen], target[chosen]), (scores[~chosen], target[~chosen])


def print_change(classes: Sequence[str], before: Tensor, after: Tensor, scores: Tensor, target: Tensor) -> None:
    """Precision, recall and F1 of each label and on average at two sets of thresholds (K,)."""
    width = max(map(len, classes))
    print(f'{"":{width}}  threshold      precision         recall             F1')
    columns = zip(
        classes,
        before.tolist(),
        after.tolist(),
        *(column.tolist() for column in precision_recall_f1_of_labels(scores >= before, target)),
        *(column.tolist() for column in precision_recall_f1_of_labels(scores >= after, target)),
    )
    for name, old, new, *values in columns:
        changes = '   '.join(f'{values[part]:5.1f} > {values[part + 3]:5.1f}' for part in range(3))
        print(f'{name:{width}}  {old:.2f} > {new:.3f}   {changes}')
    old, new = (MultiLabelF1(thr=thr.tolist(), topk=None).calculate(scores, target) for thr in (before, after))
    print('\nOn average:  ' + ',  '.join(f'{name} {old[name]:.2f} > {new[name]:.2f}' for name in old))


def main() -> None:
    args = parse_args()
    check_writable(args.out)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    loader = KMCLRunner.build_dataloader(cfg.val_dataloader, seed=0)
    classes = loader.dataset.metainfo['classes']
    model, checkpoint = load_classifier(cfg, args.checkpoint, args.device, classes)
    current = thresholds_of(model, classes)
    if current is None:
        raise SystemExit('The head predicts its highest labels (topk), not by thresholds. Set model.head.thr.')
    print('Validation images:')
    validation = scores_and_targets(model, loader)
    if cfg.val_dataloader.dataset == cfg.test_dataloader.dataset:
        validation, test = halves(loader.dataset, *validation)
        print('They are also the test images, so the thresholds are fitted on one half and tested on the other.')
    else:
        print('Test images:')
        test_loader = KMCLRunner.build_dataloader(cfg.test_dataloader, seed=0)
        check_same_labels(checkpoint, args.checkpoint, test_loader.dataset.metainfo['classes'])
        test = scores_and_targets(model, test_loader)
    before = torch.tensor(current.tolist(), dtype=torch.float64)
    thresholds = fit_thresholds(*validation, default=before, goal=args.goal, wished=args.wished)
    save_with_thresholds(checkpoint, classes, thresholds, args.out)

    wish = args.goal if args.wished is None else f'{args.goal} {args.wished:g}'
    print(
        f'\nFitted for {wish} on {len(validation[0])} images. On {len(test[0])} others, before > after, in percent:\n'
    )
    print_change(classes, before, thresholds, *test)
    few = [name for name, number in zip(classes, (validation[1] == 1).sum(dim=0)) if 0 < number < FEW_IMAGES]
    if few:
        print(f'Uncertain, since fewer than {FEW_IMAGES} validation images have the label: {", ".join(few)}.')
    absent = [name for name, present in zip(classes, (validation[1] == 1).any(dim=0)) if not present]
    if absent:
        print(f'Unchanged, since no validation image has the label: {", ".join(absent)}.')
    print(f'Checkpoint with the thresholds: {args.out}')


if __name__ == '__main__':
    run_command(main)
