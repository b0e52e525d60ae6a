"""Test a checkpoint with a configuration, on GPUs or without one."""

import argparse
import os
from pathlib import Path

import mmengine
from mmengine.config import Config
from mmengine.evaluator import DumpResults
from mmengine.registry import RUNNERS

from kmcl_mm.apps.command_line import (
    add_config_argument,
    add_launcher_options,
    positive_integer,
    run_command,
    set_loader_defaults,
)
from kmcl_mm.config import leave_out_pretrained_weights, load_config
from kmcl_mm.datasets.wrappers import pipeline_of, with_pipeline
from kmcl_mm.evaluation.bootstrapped import Bootstrapped, groups_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_argument(parser)
    parser.add_argument('checkpoint', help='the checkpoint')
    parser.add_argument('--work-dir', help='folder of the log (work_dirs/CONFIG)')
    parser.add_argument('--out', help='file to write, ending in .pkl, .json or .yaml')
    parser.add_argument('--out-item', choices=('metrics', 'pred'), help='write metrics, or predictions (pred)')
    parser.add_argument('--amp', action='store_true', help='test with mixed precision')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='folder for pictures of predictions')
    parser.add_argument('--interval', type=int, default=1, help='show every n-th image (%(default)s)')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds for each image (%(default)s)')
    parser.add_argument(
        '--tta', action='store_true', help='average views of each image: tta_model and tta_pipeline, or a flip'
    )
    parser.add_argument(
        '--bootstrap',
        type=positive_integer,
        metavar='N',
        help='add an interval of 95 %% to each metric, from N resamplings of the images (1000, say)',
    )
    add_launcher_options(parser)
    args = parser.parse_args()
    if args.out_item and not args.out:
        parser.error('--out-item needs --out, the file to write')
    if args.out and args.out_item != 'metrics' and Path(args.out).suffix not in ('.pkl', '.pickle'):
        parser.error(f'--out of predictions must end in .pkl or .pickle, but is {args.out}; see --out-item')
    return args


def apply_options(cfg: Config, args: argparse.Namespace) -> None:
    """Put the command line's options, all but ``--cfg-options``, into the configuration."""
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or os.path.join('work_dirs', Path(args.config).stem)
    cfg.load_from = args.checkpoint
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir:
        cfg.default_hooks.visualization = dict(
            type='VisualizationHook',
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval,
        )
    set_loader_defaults(cfg.test_dataloader, args.no_pin_memory)


def use_views(cfg: Config) -> None:
    """Test with the views of ``tta_pipeline``, merged by ``tta_model``; each image and its mirror image by default."""
    *transforms, pack = pipeline_of(cfg.test_dataloader.dataset)
    flips = [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)]
    views = cfg.get('tta_pipeline', [*transforms, dict(type='TestTimeAug', transforms=[flips, [pack]])])
    cfg.model = dict(cfg.get('tta_model', dict(type='MultiLabelTTA')), module=cfg.model)
    cfg.test_dataloader.dataset = with_pipeline(cfg.test_dataloader.dataset, views)
    cfg.test_dataloader.collate_fn = dict(type='pseudo_collate')


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config)
    apply_options(cfg, args)
    cfg = load_config(cfg, args.cfg_options)
    leave_out_pretrained_weights(cfg)
    if args.tta:
        use_views(cfg)
    if args.bootstrap:
        # Images in the order of the data set, as their patients are.
        cfg.test_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
    runner = RUNNERS.build(cfg)
    if args.bootstrap:
        groups = groups_of(runner.test_dataloader.dataset)
        evaluator = runner.test_evaluator
        evaluator.metrics = [Bootstrapped(metric, args.bootstrap, groups=groups) for metric in evaluator.metrics]
    if args.out and args.out_item != 'metrics':
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    metrics = runner.test()
    if args.out and args.out_item == 'metrics':
        mmengine.dump(metrics, args.out)


if __name__ == '__main__':
    run_command(main)
