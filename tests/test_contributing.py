"""The worked examples of CONTRIBUTING.md, put where they say into a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

BLOCKS = re.findall(r'^```python\n# (\S+)\n(.+?)^```$', (ROOT / 'CONTRIBUTING.md').read_text(), re.M | re.S)


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp('checkout')
    for name in ('kmcl_mm', 'configs', 'tests'):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'pyproject.toml'):
        shutil.copy(ROOT / name, folder)
    for name, code in BLOCKS:
        with (folder / name).open('a') as file:
            file.write(f'# {name}\n{code}')
    return folder


def test_each_is_one_file_and_one_test():
    names = [name for name, _ in BLOCKS if name != 'kmcl_mm/datasets/__init__.py']
    assert [name.startswith('tests/') for name in names] == [False, True] * 3


def test_the_examples_pass_their_tests(checkout):
    tests = [name for name, _ in BLOCKS if name.startswith('tests/')]
    chosen = 'named_files or spherical or resnet50 or head_comment or layers'
    result = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', *tests, 'tests/test_config.py', 'tests/test_layers.py', '-k', chosen],
        cwd=checkout,
        env=dict(os.environ, PYTHONPATH=str(checkout)),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
