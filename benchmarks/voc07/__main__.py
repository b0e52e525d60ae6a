"""KMCL against the asymmetric loss on PASCAL VOC 2007: python -m benchmarks.voc07 --data-root VOC2007 --checkpoint FILE

Six parts: `gradients` (what each loss does to the features), `ablations` (single settings changed), `frozen` (all
forms on frozen features of EfficientNet-Lite0, with all, a quarter and a tenth of the images), `memory` (what
calibration and the votes of training images bring to three of them), `fine-tuned` (trained end to end) and `steps`
(what a training step costs). Learning rates and weight decays are chosen on the images of `val` by heads or networks
that were trained on those of `train`; the test images are looked at once for each form, share and seed. What has been
run is kept in the work directory and not run again, a training that was cut off goes on. Writes its tables into
docs/results.md.

On two cores `gradients`, `ablations` and `frozen` take about two hours, `memory` half an hour, `fine-tuned` for each
form about two hours with all images and one with a tenth, and `steps` five minutes.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from benchmarks.voc07.fine_tuned import CONFIGS, EPOCHS, choose_rates, run_fine_tuned
from benchmarks.voc07.frozen import choose_schedules, run_ablations, run_frozen
from benchmarks.voc07.gradients import measure_forces
from benchmarks.voc07.memory import run_memory
from benchmarks.voc07.runs import Run
from benchmarks.voc07.steps import measure_steps
from benchmarks.voc07.tables import (
    ablation_table,
    comparison_table,
    forces_table,
    memory_table,
    parts_around,
    steps_table,
    write_table,
)
from kmcl_mm.apps.command_line import run_command

PAGE = Path(__file__).parents[2] / 'docs/results.md'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog='See the head of the file for what the parts are.'
    )
    parser.add_argument('--data-root', type=Path, required=True, help='folder VOC2007 with JPEGImages/ and so on')
    parser.add_argument(
        '--checkpoint', type=Path, required=True, help="timm's tf_efficientnet_lite0, trained on ImageNet"
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/voc07'), help='what is kept (%(default)s)')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=[*PARTS], help='what to run (all)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2, 3, 4], help='of the heads')
    parser.add_argument('--ablation-seeds', nargs='+', type=int, default=[0, 1, 2], help='of the ablations')
    parser.add_argument(
        '--shares', nargs='+', type=float, choices=EPOCHS, default=[*EPOCHS], help='of the images, for whole networks'
    )
    parser.add_argument('--forms', nargs='+', choices=CONFIGS, default=[*CONFIGS], help='of whole networks (all)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.data_root, args.checkpoint = args.data_root.resolve(), args.checkpoint.resolve()
    MMLogger.get_instance('voc07', log_level='WARNING')
    for part in args.parts:
        parts_around(PAGE, part)
    for part in args.parts:
        write_table(PAGE, part, PARTS[part](args))
        print(f'The table of the part {part} is written into {PAGE}', flush=True)


def gradients(args: argparse.Namespace) -> str:
    return forces_table(_printed(measure_forces(args)))


def ablations(args: argparse.Namespace) -> str:
    return ablation_table(_printed(run_ablations(args)))


def frozen(args: argparse.Namespace) -> str:
    chosen = choose_schedules(args)
    runs = _printed(run_frozen(args, chosen))
    settings = {
        key: f'{cfg.param_scheduler.eta_max:g}, {cfg.optim_wrapper.optimizer.weight_decay:g}'
        for key, cfg in chosen.items()
    }
    return comparison_table(runs, settings)


def memory(args: argparse.Namespace) -> str:
    return memory_table(_printed(run_memory(args)))


def fine_tuned(args: argparse.Namespace) -> str:
    chosen = choose_rates(args)
    runs = _printed(run_fine_tuned(args, chosen))
    return comparison_table(runs, {key: f'{rate:g}' for key, rate in chosen.items()})


def steps(args: argparse.Namespace) -> str:
    return steps_table(_printed(measure_steps()))


def _printed(results: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """The results, each printed when it is there."""
    kept = {}
    for key, result in results:
        shown = f'mAP {result.mean_average_precision:.2f}' if isinstance(result, Run) else result
        print(*key, shown, sep=', ', flush=True)
        kept[key] = result
    return kept


PARTS = {
    'gradients': gradients,
    'ablations': ablations,
    'frozen': frozen,
    'memory': memory,
    'fine-tuned': fine_tuned,
    'steps': steps,
}


if __name__ == '__main__':
    run_command(main)
