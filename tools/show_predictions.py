"""Print the average precision of every label, and draw test images with their predicted and true labels."""

import argparse
from pathlib import Path
from typing import List

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmengine.utils import track_iter_progress
from mmpretrain.apis import get_model
from mmpretrain.structures import DataSample, label_to_onehot

from kmcl_mm import host
from kmcl_mm.visualization import draw_prediction_grid


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='the configuration')
    parser.add_argument('checkpoint', help='the checkpoint')
    parser.add_argument('--out', type=Path, default=Path('predictions.png'), help='the picture to write (%(default)s)')
    parser.add_argument('--num-images', type=int, default=12, help='number of images in the picture (%(default)s)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='settings to override, KEY=VALUE'
    )
    args = parser.parse_args()
    if args.num_images < 1:
        parser.error(f'--num-images must be at least 1, but is {args.num_images}')
    return args


def build_evaluator(cfg: Config) -> Evaluator:
    """The configuration's average precision, label by label."""
    metrics = [cfg.test_evaluator] if isinstance(cfg.test_evaluator, dict) else cfg.test_evaluator
    found = [metric for metric in metrics if metric['type'].endswith('AveragePrecision')]
    if not found:
        raise ValueError(
            'Expected `test_evaluator` of the configuration to have an AveragePrecision, but there is none.'
        )
    return Evaluator([dict(found[0], average=None)])


def targets_of(samples: List[DataSample]) -> np.ndarray:
    """True labels (N, K); -1 for VOC's labels with difficult objects only."""
    targets = torch.stack([sample.gt_score.cpu() for sample in samples])
    for target, sample in zip(targets, samples):
        difficult = torch.tensor(sample.get('gt_label_difficult') or [], dtype=torch.long)
        target[difficult[target[difficult] == 0]] = -1
    return targets.numpy()


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.default_scope)
    host.leave_out_pretrained_weights(cfg)
    evaluator = build_evaluator(cfg)
    model = get_model(cfg, device='cuda' if torch.cuda.is_available() else 'cpu')
    load_checkpoint(model, args.checkpoint, map_location='cpu', strict=True)
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    class_names = loader.dataset.metainfo['classes']

    images, samples = [], []
    for batch in track_iter_progress((loader, len(loader))):
        with torch.inference_mode():
            predictions = model.test_step(batch)
        evaluator.process(predictions, batch)
        wanted = args.num_images - len(images)
        images += [image.permute(1, 2, 0).numpy()[..., ::-1] for image in batch['inputs'][:wanted]]
        samples += predictions[:wanted]
    average_precision = evaluator.evaluate(len(loader.dataset))['multi-label/AP_classwise']

    mean_average_precision = np.mean(average_precision)
    print('\n\nAverage precision of each label, % of 100:')
    for name, value in sorted(zip(class_names, average_precision), key=lambda item: -item[1]):
        print(f'    {name:20} {value:6.2f}  {"#" * round(value / 2.5)}')
    print(f'Mean average precision (mAP): {mean_average_precision:.2f}')
    draw_prediction_grid(
        images,
        scores=np.stack([sample.pred_score.cpu().numpy() for sample in samples]),
        predicted=np.stack([label_to_onehot(s.pred_label, len(class_names)).cpu().numpy() == 1 for s in samples]),
        targets=targets_of(samples),
        class_names=class_names,
        title=f'{len(images)} of {len(loader.dataset)} test images; mAP over all: {mean_average_precision:.1f} %',
        path=args.out,
    )
    print(f'Picture of {len(images)} test images: {args.out}')


if __name__ == '__main__':
    main()
