"""Convert weights of the published KMCL code, or of a TResNet of ASL or MIIL, to this package's names."""

import argparse
from pathlib import Path
from typing import Optional

from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from kmcl_mm import host
from kmcl_mm.command_line import add_config_options, run_command
from kmcl_mm.config import load_config
from kmcl_mm.conversion import (
    Weights,
    convert,
    describe_use,
    format_conversion,
    model_of,
    read_checkpoint,
    save_conversion,
    weights_in,
)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', type=Path, metavar='IN', help='the checkpoint to convert')
    parser.add_argument('out', type=Path, metavar='OUT', nargs='?', help='the checkpoint to write')
    parser.add_argument(
        '--config', type=Path, help='the configuration whose model the weights are for (read off the weights)'
    )
    parser.add_argument(
        '--entry', help='where in the checkpoint the weights lie (wherever there are some; averaged ones first)'
    )
    parser.add_argument('--dry-run', action='store_true', help='print what would become of each weight, write nothing')
    add_config_options(parser)
    return parser


def build_model(config: Optional[Path], options: dict, weights: Weights) -> nn.Module:
    """The model of a configuration, or else the one that the weights belong to."""
    init_default_scope('mmpretrain')
    if config is None:
        return MODELS.build(model_of(weights))
    cfg = load_config(config, options)
    host.leave_out_pretrained_weights(cfg)
    return MODELS.build(cfg.model)


def main() -> None:
    parser = make_parser()
    args = parser.parse_args()
    if args.out is None and not args.dry_run:
        parser.error('OUT is needed, unless with --dry-run')
    if args.out is not None and args.out.resolve() == args.source.resolve():
        parser.error(f'OUT must be another file than IN: {args.out}')
    if args.cfg_options and args.config is None:
        parser.error('--cfg-options needs --config')
    weights = weights_in(read_checkpoint(args.source), args.source, args.entry)
    conversion = convert(weights, build_model(args.config, args.cfg_options, weights))
    print(format_conversion(weights, conversion))
    if args.dry_run:
        print('Nothing was written.')
        return
    save_conversion(weights, conversion, args.out)
    print(f'Written: {args.out}\n{describe_use(conversion, args.out)}')


if __name__ == '__main__':
    run_command(main)
