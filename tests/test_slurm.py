"""The scripts for Slurm, with an `srun` that prints its arguments and the port."""

import os
import re
import subprocess

import pytest

from tests.conftest import ROOT


@pytest.fixture
def start(tmp_path):
    (tmp_path / 'srun').write_text('#!/bin/sh\necho "MASTER_PORT=$MASTER_PORT $@"\n')
    (tmp_path / 'srun').chmod(0o755)

    def run(script, *words, **environment):
        environment = dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', **environment)
        return subprocess.run(
            [f'tools/{script}', *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        ).stdout

    return run


@pytest.mark.parametrize(
    'script, last, expected',
    [
        ('slurm_train.sh', 'out', 'tools/train.py a b.py --work-dir=out --launcher=slurm --amp'),
        ('slurm_test.sh', 'best.pth', 'tools/test.py a b.py best.pth --launcher=slurm --amp'),
    ],
)
def test_what_is_started(start, script, last, expected):
    sizes = dict(GPUS='8', GPUS_PER_NODE='4', SRUN_ARGS='--qos=x')
    output = start(script, 'part', 'job', 'a b.py', last, '--amp', **sizes)
    assert '--partition=part' in output and '--gres=gpu:4' in output and '--ntasks=8' in output and '--qos=x' in output
    assert expected in output


@pytest.mark.parametrize('script', ['slurm_train.sh', 'slurm_test.sh'])
def test_two_jobs_on_a_node_do_not_meet(start, script):
    ports = {re.match(r'MASTER_PORT=(\d+) ', start(script, 'p', 'j', 'c.py', 'x'))[1] for _ in range(5)}
    assert len(ports) > 1 and all(20000 <= int(port) < 40000 for port in ports)
    assert start(script, 'p', 'j', 'c.py', 'x', PORT='29501').startswith('MASTER_PORT=29501 ')
