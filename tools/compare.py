"""Compare two checkpoints on the same test images: differences in average precision, with intervals of 95 %."""

import argparse
from pathlib import Path

from kmcl_mm.apps.command_line import add_config_options, add_device_option, positive_integer, run_command
from kmcl_mm.apps.comparison import compare, draw_differences, find_run, predict_test_images
from kmcl_mm.config import load_config
from kmcl_mm.files import check_writable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ('a', 'b'):
        parser.add_argument(
            name,
            metavar=name.upper(),
            type=Path,
            help='folder of a training (--work-dir of tools/train.py), or a checkpoint in one',
        )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('comparison.png'),
        help='picture to write, and a CSV of the same name (%(default)s)',
    )
    parser.add_argument(
        '--resamplings', type=positive_integer, default=1000, help='resamplings of the images (%(default)s)'
    )
    add_config_options(parser)
    add_device_option(parser)
    args = parser.parse_args()
    if args.out.suffix.lower() not in ('.png', '.pdf', '.svg', '.jpg'):
        parser.error(f'--out must end in .png, .pdf, .svg or .jpg, but is {args.out}')
    return args


def main() -> None:
    args = parse_args()
    table = args.out.with_suffix('.csv')
    check_writable(args.out)
    check_writable(table)
    runs = [find_run(path) for path in (args.a, args.b)]
    predictions = []
    for name, (config, checkpoint) in zip('AB', runs):
        print(f'{name}: configuration {config}, checkpoint {checkpoint}. Test images:')
        predictions.append(predict_test_images(load_config(config, args.cfg_options), checkpoint, args.device))
    if predictions[0].is_calibrated != predictions[1].is_calibrated:
        calibrated, other = ('A', 'B') if predictions[0].is_calibrated else ('B', 'A')
        print(f'{calibrated} is calibrated and {other} is not: a part of the difference may be due to that.')
    comparison = compare(predictions[0], predictions[1], args.resamplings)
    comparison.write_csv(table)
    draw_differences(comparison, (str(runs[0][1]), str(runs[1][1])), args.out)
    print(f'\n{comparison.table()}\n\nTable: {table}\nPicture: {args.out}\n{comparison.verdict()}')


if __name__ == '__main__':
    run_command(main)
