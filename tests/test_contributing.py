"""The worked examples of CONTRIBUTING.md, put where they say into a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / 'CONTRIBUTING.md').read_text()
BLOCKS = re.findall(r'^```(?:python|yaml)\n# (\S+)\n(.+?)^```$', PAGE, re.M | re.S)
# A row for docs/configs.md, below the last one of another backbone.
(ROW,) = re.findall(r'^```markdown\n(.+\n)```$', PAGE, re.M)
ROW_ABOVE = re.compile(r'^\| `kmcl_convnext-tiny_coco` .*\n', re.M)


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp('checkout')
    # ruff tells the checkout's own imports by the folders that are there.
    for name in ('kmcl_mm', 'configs', 'benchmarks', 'docs', 'tests'):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    for name in ('setup.py', 'pyproject.toml', 'model-index.yml'):
        shutil.copy(ROOT / name, folder)
    for name, code in BLOCKS:
        with (folder / name).open('a') as file:
            file.write(f'# {name}\n{code}')
    page = folder / 'docs/configs.md'
    page.write_text(ROW_ABOVE.sub(lambda above: above[0] + ROW, page.read_text()))
    return folder


def run(checkout, *words):
    result = subprocess.run(
        [sys.executable, '-m', *words],
        cwd=checkout,
        env=dict(os.environ, PYTHONPATH=str(checkout)),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_is_one_file_and_one_test():
    lists = ('kmcl_mm/datasets/__init__.py', 'configs/metafile.yml')
    names = [name for name, _ in BLOCKS if name not in lists]
    assert [name.startswith('tests/') for name in names] == [False, True] * 3


def test_the_examples_pass_their_tests(checkout):
    tests = [name for name, _ in BLOCKS if name.startswith('tests/')]
    chosen = 'named_files or spherical or resnet50 or head_comment or layers or row or in_the_index'
    others = [
        'tests/test_config.py',
        'tests/test_layers.py',
        'tests/test_model_index.py',
        'tests/docs/test_configs_page.py',
    ]
    run(checkout, 'pytest', '-q', *tests, *others, '-k', chosen)


@pytest.mark.parametrize('words', [('check',), ('format', '--check')], ids=' '.join)
def test_the_examples_have_the_style(checkout, words):
    pytest.importorskip('ruff', reason='ruff, of the extra [lint], is not installed')
    run(checkout, 'ruff', *words, 'kmcl_mm', 'configs', 'tests')
