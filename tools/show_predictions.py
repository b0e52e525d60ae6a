"""Print the average precision of every label, and draw test images with their predicted and true labels."""

import argparse
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from mmpretrain.apis import get_model

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
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.default_scope)
    model = get_model(cfg, pretrained=args.checkpoint, device='cuda' if torch.cuda.is_available() else 'cpu')
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    class_names = loader.dataset.metainfo['classes']
    metric = next(metric for metric in cfg.test_evaluator if metric['type'].endswith('AveragePrecision'))
    evaluator = Evaluator([dict(metric, average=None)])

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
        np.stack([sample.pred_score.cpu().numpy() for sample in samples]),
        np.stack([sample.gt_score.cpu().numpy() for sample in samples]),
        class_names,
        threshold=model.head.thr or 0.5,
        title=f'{len(images)} of {len(loader.dataset)} test images; mAP over all: {mean_average_precision:.1f} %',
        path=args.out,
    )
    print(f'Picture of {len(images)} test images: {args.out}')


if __name__ == '__main__':
    main()
