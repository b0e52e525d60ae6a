"""Index the training images of a configuration, so that tools/webapp.py can show similar ones."""

import argparse
import sys
from pathlib import Path

from kmcl_mm.apps.command_line import add_model_arguments, positive_integer, run_command
from kmcl_mm.apps.inference import KMCLInferencer
from kmcl_mm.apps.inference.indexing import build_index
from kmcl_mm.apps.inference.similar import ENDING
from kmcl_mm.config import load_config
from kmcl_mm.files import check_writable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('out', type=Path, help=f'the index to write, ending in {ENDING}')
    parser.add_argument(
        '--num-images', type=positive_integer, help='take this many images, drawn with a fixed seed (all)'
    )
    parser.add_argument(
        '--batch-size', type=positive_integer, default=32, help='images that the network gets at once (%(default)s)'
    )
    args = parser.parse_args()
    if args.out.suffix != ENDING:
        parser.error(f'OUT must end in {ENDING}, but is {args.out}')
    return args


def main() -> None:
    args = parse_args()
    check_writable(args.out)
    inferencer = KMCLInferencer(load_config(args.config, args.cfg_options), args.checkpoint, args.device)
    index, skipped = build_index(inferencer, args.num_images, args.batch_size)
    index.save(args.out)
    for image in skipped:
        print(f'Skipped {image.source}: {image.reason}', file=sys.stderr)
    print(f'Index of {len(index)} images: {args.out}')


if __name__ == '__main__':
    run_command(main)
