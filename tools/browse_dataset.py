"""Draw augmented samples of a configuration's data set, each with its original and its labels."""

import argparse
from pathlib import Path

import mmcv
import numpy as np
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmpretrain.registry import DATASETS

from kmcl_mm.apps.command_line import add_config_argument, positive_integer, run_command
from kmcl_mm.apps.pictures import draw_sample_grid
from kmcl_mm.config import load_config
from kmcl_mm.datasets.wrappers import check_nesting
from kmcl_mm.files import check_writable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_argument(parser)
    parser.add_argument('--out', type=Path, default=Path('samples.png'), help='the picture to write (%(default)s)')
    parser.add_argument(
        '--num-images', type=positive_integer, default=9, help='number of samples in the picture (%(default)s)'
    )
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train', help='(%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the draw and of the augmentation (%(default)s)')
    return parser.parse_args()


def original_of(info: dict) -> np.ndarray | None:
    """The image in its file (H, W, 3) in RGB, if there is a file."""
    return mmcv.imread(info['img_path'], channel_order='rgb') if info.get('img_path') else None


def main() -> None:
    args = parse_args()
    check_writable(args.out)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset_cfg = cfg[f'{args.split}_dataloader'].dataset
    check_nesting(dataset_cfg)
    dataset = DATASETS.build(dataset_cfg)
    class_names = dataset.metainfo['classes']

    set_random_seed(args.seed)
    indices = np.random.permutation(len(dataset))[: args.num_images].tolist()
    items = [dataset[index] for index in indices]
    infos = [dataset.get_data_info(index) for index in indices]
    draw_sample_grid(
        samples=[item['inputs'].permute(1, 2, 0).numpy()[..., ::-1] for item in items],
        originals=[original_of(info) for info in infos],
        labels=[[class_names[label] for label in info['gt_label']] for info in infos],
        title=f'{len(items)} of {len(dataset)} {args.split} samples of {type(dataset).__name__}',
        path=args.out,
    )
    print(f'Picture of {len(items)} {args.split} samples: {args.out}')


if __name__ == '__main__':
    run_command(main)
