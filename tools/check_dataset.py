"""Check the data of a configuration before training on it: labels, images, and what its splits have in common."""

import argparse
import os
import sys
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

import kmcl_mm  # noqa: F401  registers the data sets
from kmcl_mm.analysis import check_dataset
from kmcl_mm.analysis.report import format_report, write_report
from kmcl_mm.analysis.splits import configured_datasets


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='The exit status is 1 where training would be wrong, and 0 otherwise.'
    )
    parser.add_argument('config', type=Path, help='the configuration')
    parser.add_argument(
        '--out-dir', type=Path, help='folder of the CSV files and pictures (work_dirs/check_dataset/<config name>)'
    )
    parser.add_argument(
        '--workers', type=int, default=os.cpu_count(), help='processes that decode images (one a core: %(default)s)'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='settings to override, KEY=VALUE'
    )
    return parser


def load_config(path: Path, options: dict) -> Config:
    """The configuration, with settings on top."""
    if not path.is_file():
        raise ValueError(f'there is no configuration {path}')
    try:
        cfg = Config.fromfile(path)
        cfg.merge_from_dict(options)
    except Exception as error:  # a configuration is a program: it can fail in any way
        raise ValueError(f'the configuration {path} cannot be read: {error!r}') from error
    configured_datasets(cfg)
    return cfg


def main() -> int:
    parser = make_parser()
    args = parser.parse_args()
    if args.workers < 1:
        parser.error(f'--workers must be at least 1, but is {args.workers}')
    out_dir = args.out_dir or Path('work_dirs/check_dataset', args.config.stem)
    try:
        cfg = load_config(args.config, args.cfg_options)
    except ValueError as error:
        parser.error(str(error))
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    report = check_dataset(cfg, args.workers)
    write_report(report, out_dir)
    print(format_report(report))
    print(f'Tables and pictures: {out_dir}')
    return 1 if report.num_errors else 0


if __name__ == '__main__':
    sys.exit(main())
