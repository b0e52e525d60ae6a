"""Export a checkpoint to ONNX or to PyTorch's exported program, with labels, thresholds and preprocessing inside."""

import argparse
from pathlib import Path

from mmengine.config import Config, DictAction

from kmcl_mm.inference import load_classifier
from kmcl_mm.inference.export import ENDINGS, export, metadata_of
from kmcl_mm.inference.labels import label_names


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='the configuration')
    parser.add_argument('checkpoint', help='the checkpoint')
    parser.add_argument('out', type=Path, help=f'the file to write, ending in {" or ".join(ENDINGS)}')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='settings to override, KEY=VALUE'
    )
    args = parser.parse_args()
    if args.out.suffix not in ENDINGS:
        parser.error(f'OUT must end in {" or ".join(ENDINGS)}, but is {args.out}')
    return args


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    model, checkpoint = load_classifier(cfg, args.checkpoint)
    metadata = metadata_of(model.cpu(), cfg, label_names(checkpoint, cfg, model.head))
    export(model, metadata, args.out)
    size = f'{metadata["width"]} x {metadata["height"]} px'
    print(f'{len(metadata["labels"])} labels at {size}, {args.out.stat().st_size / 2**20:.1f} MiB: {args.out}')


if __name__ == '__main__':
    main()
