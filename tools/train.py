"""Train a model from a configuration, on GPUs or without one."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import RUNNERS

from kmcl_mm.apps.command_line import add_config_argument, add_launcher_options, run_command, set_loader_defaults
from kmcl_mm.config import load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_argument(parser)
    parser.add_argument('--work-dir', help='folder of logs and checkpoints (work_dirs/CONFIG)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, or from the newest whole one in the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='train with mixed precision')
    parser.add_argument('--no-validate', action='store_true', help='do not validate during training')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    parser.add_argument('--no-persistent-workers', action='store_true', help='start data workers anew in each epoch')
    add_launcher_options(parser)
    return parser.parse_args()


def apply_options(cfg: Config, args: argparse.Namespace) -> None:
    """Put the command line's options, all but ``--cfg-options``, into the configuration."""
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or os.path.join('work_dirs', Path(args.config).stem)
    if args.resume is not None:
        cfg.resume, cfg.load_from = True, None if args.resume == 'auto' else args.resume
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.auto_scale_lr:
        cfg.auto_scale_lr = dict(cfg.get('auto_scale_lr') or {}, enable=True)
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            set_loader_defaults(loader, args.no_pin_memory, persistent_workers=not args.no_persistent_workers)


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config)
    apply_options(cfg, args)
    RUNNERS.build(load_config(cfg, args.cfg_options)).train()


if __name__ == '__main__':
    run_command(main)
