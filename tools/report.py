"""Write a report on a training as one HTML page: curves, labels, pairs of labels, a map of the images, mistakes."""

import argparse
from pathlib import Path

from kmcl_mm.apps.command_line import add_config_options, add_device_option, needs_extra, positive_integer, run_command
from kmcl_mm.config import load_config
from kmcl_mm.files import check_writable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', type=Path, help='the folder of the training (--work-dir of tools/train.py)')
    parser.add_argument('--checkpoint', type=Path, help='the checkpoint (the newest best_*.pth in WORK_DIR)')
    parser.add_argument('--out', type=Path, help='the page to write (report.html in WORK_DIR)')
    parser.add_argument(
        '--max-images', type=positive_integer, default=1000, help='images in the map, at the most (%(default)s)'
    )
    add_config_options(parser)
    add_device_option(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with needs_extra('report', ('bokeh', 'jinja2', 'sklearn')):
        from kmcl_mm.apps.report.html import write_report
    from kmcl_mm.apps.report.predictions import evaluate
    from kmcl_mm.apps.report.work_dir import find_best_checkpoint, find_config

    config = find_config(args.work_dir)
    checkpoint = args.checkpoint or find_best_checkpoint(args.work_dir)
    out = args.out or args.work_dir / 'report.html'
    check_writable(out)
    cfg = load_config(config, args.cfg_options)
    print(f'Configuration {config}, checkpoint {checkpoint}. Test images:')
    evaluation = evaluate(cfg, checkpoint, args.max_images, args.device)
    print('Drawing the page')
    write_report(config.stem, checkpoint, args.work_dir, evaluation, out)
    print(f'Report of {out.stat().st_size / 1e6:.1f} MB: {out}\nOpen it in a browser; it needs no network.')


if __name__ == '__main__':
    run_command(main)
