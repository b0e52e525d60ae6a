"""Convert weights of the published KMCL code, or of a TResNet of ASL or MIIL, into a checkpoint of this package."""

import argparse
from pathlib import Path

from mmengine.config import Config
from torch import nn

from kmcl_mm.apps.command_line import add_config_options, run_command
from kmcl_mm.apps.model_building import build_model
from kmcl_mm.config import load_config
from kmcl_mm.conversion import (
    Weights,
    convert,
    describe_use,
    format_conversion,
    model_of,
    save_conversion,
    weights_in,
)
from kmcl_mm.engine import load_checkpoint


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', type=Path, metavar='IN', help='the checkpoint to convert')
    parser.add_argument('out', type=Path, metavar='OUT', nargs='?', help='the checkpoint to write')
    parser.add_argument(
        '--config', type=Path, help='the configuration of the model (told by the shapes of the weights)'
    )
    parser.add_argument('--entry', help='entry of the checkpoint that has the weights (any; averaged weights first)')
    parser.add_argument('--dry-run', action='store_true', help='print the conversion of each weight, write nothing')
    add_config_options(parser)
    return parser


def model_for(weights: Weights, config: Path | None, options: dict) -> nn.Module:
    """The model of a configuration, or else the one that the weights fit."""
    return build_model(Config(dict(model=model_of(weights))) if config is None else load_config(config, options))


def main() -> None:
    parser = make_parser()
    args = parser.parse_args()
    if args.out is None and not args.dry_run:
        parser.error('OUT is needed, unless with --dry-run')
    if args.out is not None and args.out.resolve() == args.source.resolve():
        parser.error(f'OUT must be another file than IN: {args.out}')
    if args.cfg_options and args.config is None:
        parser.error('--cfg-options needs --config')
    weights = weights_in(load_checkpoint(args.source), args.source, args.entry)
    conversion = convert(weights, model_for(weights, args.config, args.cfg_options))
    if not args.dry_run:
        save_conversion(weights, conversion, args.out)
    print(format_conversion(weights, conversion))
    print('Nothing was written.' if args.dry_run else f'Written: {args.out}\n{describe_use(conversion, args.out)}')


if __name__ == '__main__':
    run_command(main)
