"""Predict the labels of images: write them as a table, draw them, and print them."""

import argparse
import sys
from pathlib import Path

from mmcv.transforms import LoadImageFromFile
from mmengine.utils import track_iter_progress

from kmcl_mm.apps.command_line import add_model_arguments, positive_integer, run_command
from kmcl_mm.apps.inference import KMCLInferencer, Predictions
from kmcl_mm.apps.inference.prediction_table import ENDINGS, write_predictions
from kmcl_mm.apps.pictures import draw_sample_grid
from kmcl_mm.config import load_config
from kmcl_mm.files import check_writable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('inputs', nargs='+', help="images, folders, or patterns such as 'photos/*.jpg'")
    parser.add_argument('--out', type=Path, help=f'the table to write, ending in {", ".join(ENDINGS)}')
    parser.add_argument('--show-dir', type=Path, help='folder for a picture of each image with its labels')
    rule = parser.add_mutually_exclusive_group()
    rule.add_argument('--thr', type=float, help="score from which a label is predicted (the checkpoint's thresholds)")
    rule.add_argument('--topk', type=positive_integer, help='predict this many labels per image instead')
    parser.add_argument('--embedding', action='store_true', help='write the embeddings into the table as well')
    parser.add_argument(
        '--batch-size', type=positive_integer, default=32, help='images that the network gets at once (%(default)s)'
    )
    args = parser.parse_args()
    if args.out and args.out.suffix not in ENDINGS:
        parser.error(f'--out must end in one of {", ".join(ENDINGS)}, but is {args.out}')
    if args.embedding and not args.out:
        parser.error('--embedding needs --out, the table to write them into')
    return args


def picture_path(folder: Path, number: int, source: str) -> Path:
    """Where the picture of an image goes, numbered in the order of the predictions."""
    return folder / f'{number:05d}_{Path(source).stem}.png'


def draw(predictions: Predictions, load: LoadImageFromFile, folder: Path) -> None:
    """Draw each image with its labels, with a progress bar."""
    for number, prediction in enumerate(track_iter_progress(predictions.images)):
        path = picture_path(folder, number, prediction.source)
        labels = [f'{name} {score:.0%}' for name, score in prediction.labels.items()]
        image = load(dict(img_path=prediction.source))['img'][..., ::-1]
        draw_sample_grid([image], [None], [labels], Path(prediction.source).name, path)
    print()


def main() -> None:
    args = parse_args()
    for path in (args.out, args.show_dir and picture_path(args.show_dir, 0, '')):
        if path:
            check_writable(path)
    cfg = load_config(args.config, args.cfg_options)
    inferencer = KMCLInferencer(cfg, args.checkpoint, args.device)
    predictions = inferencer(
        args.inputs, batch_size=args.batch_size, thr=args.thr, topk=args.topk, with_embedding=args.embedding
    )
    if args.out:
        write_predictions(predictions, inferencer.classes, args.out)
    if args.show_dir:
        draw(predictions, inferencer.pipeline.load, args.show_dir)
    for prediction in predictions.images:
        labels = ', '.join(f'{name} {score:.0%}' for name, score in prediction.labels.items())
        print(f'{prediction.source}: {labels or "no label"}')
    for skipped in predictions.skipped:
        print(f'Skipped {skipped.source}: {skipped.reason}', file=sys.stderr)
    if args.out:
        print(f'Table of {len(predictions.images)} images: {args.out}')
    if args.show_dir:
        print(f'{len(predictions.images)} pictures: {args.show_dir}')
    if not predictions.images:
        raise SystemExit('None of the images could be read.')


if __name__ == '__main__':
    run_command(main)
