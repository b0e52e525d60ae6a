"""Check the data of a configuration before training: labels, images, and overlap of the splits."""

import argparse
import os
import sys
from pathlib import Path

from mmengine.registry import init_default_scope

import kmcl_mm  # noqa: F401  registers the data sets
from kmcl_mm.apps.command_line import add_config_argument, positive_integer, run_command
from kmcl_mm.apps.data_check import check_dataset
from kmcl_mm.apps.data_check.summary import format_summary, write_summary
from kmcl_mm.config import load_config
from kmcl_mm.files import check_writable


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='The exit status is 1 if there are errors, and 0 otherwise.'
    )
    add_config_argument(parser)
    parser.add_argument(
        '--out-dir', type=Path, help='folder of the CSV files and pictures (work_dirs/check_dataset/CONFIG)'
    )
    parser.add_argument(
        '--workers',
        type=positive_integer,
        default=os.cpu_count(),
        help='processes that decode images (one per core: %(default)s)',
    )
    return parser


def main() -> int:
    args = make_parser().parse_args()
    out_dir = args.out_dir or Path('work_dirs/check_dataset', args.config.stem)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    check_writable(out_dir / 'labels.csv')
    report = check_dataset(cfg, args.workers)
    print(format_summary(report), flush=True)
    write_summary(report, out_dir)
    print(f'Tables and pictures: {out_dir}')
    return 1 if report.num_errors else 0


if __name__ == '__main__':
    sys.exit(run_command(main))
