"""Embed the training images of a configuration, for tools/webapp.py to show those that are similar to an image."""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config, DictAction

from kmcl_mm.inference import KMCLInferencer
from kmcl_mm.inference.indexing import build_index
from kmcl_mm.inference.similar import ENDING


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='the configuration')
    parser.add_argument('checkpoint', help='the checkpoint')
    parser.add_argument('out', type=Path, help=f'the index to write, ending in {ENDING}')
    parser.add_argument('--num-images', type=int, help='take this many images, drawn with a fixed seed (all)')
    parser.add_argument('--batch-size', type=int, default=32, help='images that the network gets at once (%(default)s)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='settings to override, KEY=VALUE'
    )
    args = parser.parse_args()
    if args.out.suffix != ENDING:
        parser.error(f'OUT must end in {ENDING}, but is {args.out}')
    for name in ('num_images', 'batch_size'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, but is {value}')
    return args


def main() -> None:
    args = parse_args()
    try:
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options)
        inferencer = KMCLInferencer(cfg, args.checkpoint, batch_size=args.batch_size)
        index, skipped = build_index(inferencer, cfg, args.num_images)
        index.save(args.out)
    except (ValueError, OSError, RuntimeError) as error:
        raise SystemExit(str(error)) from error
    for image in skipped:
        print(f'Skipped {image.source}: {image.reason}', file=sys.stderr)
    print(f'Index of {len(index)} images: {args.out}')


if __name__ == '__main__':
    main()
