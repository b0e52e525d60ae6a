"""The examples run with torch and timm, where MMPretrain is not to be had."""

import os
import re
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT

EXAMPLES = ROOT / 'examples'
WITHOUT_MMPRETRAIN = """
import runpy, sys
for name in ('mmengine', 'mmcv', 'mmpretrain'):
    sys.modules[name] = None  # it cannot be imported
sys.argv = sys.argv[1:]
sys.path[0] = sys.argv[0].rpartition('/')[0]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.parametrize('name', ['pytorch.py', 'lightning.py'])
def test_the_example_trains(name):
    words = [str(EXAMPLES / name), '--epochs', '1', '--device', 'cpu']
    result = subprocess.run(
        [sys.executable, '-c', WITHOUT_MMPRETRAIN, *words],
        cwd=ROOT,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    *_, precision = re.findall(r'epoch 1.*: mAP (\d+\.\d) %', result.stdout)
    # After one of five epochs; that of random scores is 23 %.
    assert 50 < float(precision) <= 100


@pytest.mark.parametrize('name', ['pytorch.py', 'lightning.py'])
def test_an_example_is_short(name):
    assert len((EXAMPLES / name).read_text(encoding='utf-8').splitlines()) <= 70


def test_the_targets_are_the_digits_of_the_scene(monkeypatch):
    """Each place is either empty or the picture of a digit that the target has."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from digits import SIDE, load_digits, scenes

    images, target = scenes('test', 20).tensors
    assert images.shape == (20, 3, 2 * SIDE, 2 * SIDE) and target.sum(dim=1).min() >= 1
    digits = load_digits()
    samples = torch.from_numpy(digits.images[1347:]).float().unsqueeze(1) / 8 - 1
    samples = torch.nn.functional.interpolate(samples, size=SIDE, mode='bilinear')[:, 0]
    for image, labels in zip(images[:, 0], target):
        found = set()
        for row, column in ((0, 0), (0, SIDE), (SIDE, 0), (SIDE, SIDE)):
            place = image[row : row + SIDE, column : column + SIDE]
            if place.max() > -1:
                (matches,) = ((samples - place).abs().amax(dim=(1, 2)) == 0).nonzero(as_tuple=True)
                found.add(int(digits.target[1347 + matches[0]]))
        assert found == set(labels.nonzero().flatten().tolist())
