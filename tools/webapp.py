"""Predict images on a page in the browser, which only this machine can open."""

import argparse
import signal
import sys
from pathlib import Path

from kmcl_mm.apps.command_line import add_model_arguments, needs_extra, run_command
from kmcl_mm.apps.inference import KMCLInferencer
from kmcl_mm.apps.inference.similar import fingerprint_of, load_index
from kmcl_mm.config import load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--index', help='file of tools/build_index.py, to show similar training images')
    parser.add_argument('--port', type=int, default=7860, help='port on 127.0.0.1 (%(default)s)')
    parser.add_argument('--max-upload-mb', type=float, default=20, help='largest upload in MB (%(default)s)')
    args = parser.parse_args()
    if not 1 <= args.port <= 65535:
        parser.error(f'--port must be in [1, 65535], but is {args.port}')
    if not args.max_upload_mb > 0:
        parser.error(f'--max-upload-mb must be above 0, but is {args.max_upload_mb}')
    return args


def main() -> None:
    args = parse_args()
    with needs_extra('webapp', ('gradio',)):
        from kmcl_mm.apps.webapp.server import running_page
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that uploaded files are removed
    inferencer = KMCLInferencer(load_config(args.config, args.cfg_options), args.checkpoint, args.device)
    index = None
    if args.index:
        fingerprint = fingerprint_of(inferencer.model.head, inferencer.config)
        index = load_index(args.index, inferencer.classes, fingerprint)
    title = f'{args.config.stem}, {Path(args.checkpoint).name}'
    with running_page(inferencer, index, args.port, args.max_upload_mb, title) as page:
        print(f'The page: {page.local_url}  (Ctrl+C ends it)', flush=True)
        page.block_thread()


if __name__ == '__main__':
    run_command(main)
