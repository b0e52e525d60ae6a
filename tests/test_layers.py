"""Who may import whom: each part of the package knows the parts below it, and no part knows one beside it."""

import ast
import sys
from graphlib import TopologicalSorter
from importlib.util import resolve_name

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / 'kmcl_mm'
MAY_IMPORT = dict(
    version=set(),
    errors=set(),
    files=set(),
    functional=set(),
    host={'files'},
    config={'host'},
    command_line={'errors'},
    models={'functional'},
    datasets={'errors', 'functional'},
    evaluation={'files', 'functional'},
    engine={'errors', 'files', 'functional'},
    visualization={'files'},
    analysis={'datasets', 'errors', 'files', 'functional', 'visualization'},
    conversion={'engine', 'errors', 'files', 'models'},
    inference={'config', 'conversion', 'datasets', 'files', 'functional', 'host'},
    webapp={'inference'},
    report={'analysis', 'evaluation', 'files', 'functional', 'inference'},
    zoo={'config', 'conversion', 'host'},
    __init__={'config', 'datasets', 'engine', 'evaluation', 'host', 'models', 'version', 'zoo'},
)
# The only part that stays usable without the host.
TORCH_ALONE = {'torch', *sys.stdlib_module_names}


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imports_of(path):
    """Full names of what a file imports, wherever in it the statement stands."""
    package = '.'.join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = resolve_name('.' * node.level + (node.module or ''), package) if node.level else node.module
            yield from ([name] if node.module else (f'{name}.{alias.name}' for alias in node.names))


def files_of(part):
    return [path for path in sorted(PACKAGE.rglob('*.py')) if part_of(path) == part]


def test_every_part_has_its_place():
    assert {part_of(path) for path in PACKAGE.rglob('*.py')} == set(MAY_IMPORT)
    list(TopologicalSorter(MAY_IMPORT).static_order())  # raises where two parts know each other


@pytest.mark.parametrize('part', MAY_IMPORT)
def test_a_part_knows_only_those_below_it(part):
    for path in files_of(part):
        names = [name.split('.') for name in imports_of(path)]
        known = {name[1] for name in names if name[0] == 'kmcl_mm' and len(name) > 1} - {part}
        assert known <= MAY_IMPORT[part], f'{path.relative_to(ROOT)} imports {sorted(known - MAY_IMPORT[part])}'
        assert not {name[0] for name in names} & {'tools', 'tests', 'benchmarks', 'configs'}, path


@pytest.mark.parametrize('path', files_of('functional'), ids=lambda path: path.stem)
def test_the_mathematics_knows_torch_alone(path):
    assert {name.split('.')[0] for name in imports_of(path)} <= TORCH_ALONE | {'kmcl_mm'}


def test_the_host_alone_knows_that_there_are_two_families():
    knowing = {part_of(path) for path in PACKAGE.rglob('*.py') if 'onedl' in path.read_text()}
    assert knowing == {'host'}
