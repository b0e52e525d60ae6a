"""Curves in TensorBoard, by the line of the documentation."""

import re
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import ROOT
from tests.test_tools import run, scalars, small_config  # noqa: F401


def test_the_line_of_the_documentation_gives_all_curves(small_config, tmp_path):  # noqa: F811
    (line,) = re.findall(r'^visualizer = .*Tensorboard.*$', (ROOT / 'docs/report.md').read_text(), re.MULTILINE)
    config = tmp_path / 'with_tensorboard.py'
    base = small_config(**{'train_cfg.max_epochs': 1})
    config.write_text(f"_base_ = './{base.name}'\n{line}\n")
    run(sys.executable, 'tools/train.py', config, '--work-dir', tmp_path / 'run')

    (events,) = (tmp_path / 'run').glob('*/vis_data/events.out.tfevents.*')
    found = EventAccumulator(str(events))
    found.Reload()
    losses, validations = scalars(tmp_path / 'run')
    for name in ('loss_asl', 'loss_reconstruction', 'loss_contrastive'):
        curve = {event.step: event.value for event in found.Scalars(name)}
        assert curve.keys() == {line['step'] for line in losses} and len(curve) == 3
        for line in losses:
            assert abs(curve[line['step']] - line[name]) <= 1e-4 * abs(line[name])
    (event,) = found.Scalars('multi-label/mAP')
    assert abs(event.value - validations[0]['multi-label/mAP']) < 1e-3

    run(sys.executable, 'tools/report.py', tmp_path / 'run')
    page = (tmp_path / 'run/report.html').read_text()
    assert all(f'"{name}"' in page for name in ('loss_asl', 'loss_reconstruction', 'loss_contrastive', 'mAP'))
