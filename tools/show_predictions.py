"""Draw test images with their predicted and true labels, and print the average precision of every label."""

import argparse
from pathlib import Path

import numpy as np
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample, label_to_onehot

from kmcl_mm.apps.command_line import add_model_arguments, positive_integer, run_command
from kmcl_mm.apps.inference import load_classifier, predict
from kmcl_mm.apps.inference.decision_rule import describe_rule, thresholds_of
from kmcl_mm.apps.pictures import draw_prediction_grid
from kmcl_mm.checks import UNKNOWN
from kmcl_mm.config import load_config
from kmcl_mm.engine import KMCLRunner
from kmcl_mm.evaluation import PerLabelAP
from kmcl_mm.evaluation.samples import scores_and_target, stack
from kmcl_mm.files import check_writable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--out', type=Path, default=Path('predictions.png'), help='the picture to write (%(default)s)')
    parser.add_argument(
        '--num-images', type=positive_integer, default=12, help='number of images in the picture (%(default)s)'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_writable(args.out)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    loader = KMCLRunner.build_dataloader(cfg.test_dataloader, seed=0)
    class_names = loader.dataset.metainfo['classes']
    model, _ = load_classifier(cfg, args.checkpoint, args.device, class_names)
    evaluator = Evaluator([PerLabelAP()])
    evaluator.dataset_meta = loader.dataset.metainfo

    images: list[np.ndarray] = []
    samples: list[DataSample] = []
    for batch, predictions in predict(model, loader):
        evaluator.process(predictions, batch)
        wanted = args.num_images - len(images)
        images += [image.permute(1, 2, 0).numpy()[..., ::-1] for image in batch['inputs'][:wanted]]
        samples += predictions[:wanted]
    mean_average_precision = evaluator.evaluate(len(loader.dataset))['per-label/mAP']

    scores, targets = stack([scores_and_target(sample.to_dict(), difficult=UNKNOWN) for sample in samples])
    draw_prediction_grid(
        images,
        scores=scores.numpy(),
        predicted=np.stack([label_to_onehot(s.pred_label, len(class_names)).cpu().numpy() == 1 for s in samples]),
        targets=targets.numpy(),
        class_names=class_names,
        title=f'{len(images)} of {len(loader.dataset)} test images; mAP over all: {mean_average_precision:.1f} %',
        path=args.out,
    )
    print(describe_rule(thresholds_of(model, class_names), model.head.topk))
    print(f'Picture of {len(images)} test images: {args.out}')


if __name__ == '__main__':
    run_command(main)
