"""Export a checkpoint to ONNX or PyTorch's exported program, with its labels, thresholds and preprocessing."""

import argparse
from pathlib import Path

from kmcl_mm.apps.command_line import add_model_arguments, run_command
from kmcl_mm.apps.inference import load_classifier
from kmcl_mm.apps.inference.decision_rule import label_names
from kmcl_mm.apps.inference.export import ENDINGS, export, metadata_of
from kmcl_mm.config import load_config
from kmcl_mm.files import check_writable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('out', type=Path, help=f'the file to write, ending in {" or ".join(ENDINGS)}')
    args = parser.parse_args()
    if args.out.suffix not in ENDINGS:
        parser.error(f'OUT must end in {" or ".join(ENDINGS)}, but is {args.out}')
    return args


def main() -> None:
    args = parse_args()
    check_writable(args.out)
    cfg = load_config(args.config, args.cfg_options)
    model, checkpoint = load_classifier(cfg, args.checkpoint, args.device)
    metadata = metadata_of(model, cfg, label_names(checkpoint, args.checkpoint, cfg, model.head))
    batch_size = export(model, metadata, args.out)
    size = f'{metadata["width"]} x {metadata["height"]} px'
    print(f'{len(metadata["labels"])} labels at {size}, {args.out.stat().st_size / 2**20:.1f} MiB: {args.out}')
    if batch_size:
        print('The file takes one image at a time: exported for any number it would give other scores, or not at all.')


if __name__ == '__main__':
    run_command(main)
