"""Who may import whom: three storeys, each of which knows those below it only."""

import ast
import sys
from graphlib import TopologicalSorter
from importlib.util import resolve_name

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / 'kmcl_mm'
# From the ground up: the method in torch alone; the plugin; programs over a data set or a checkpoint. A part is a file
# or a folder, of which those in apps/ count each.
STOREYS = [
    {'checks', 'errors', 'files', 'functional', 'modules', 'version'},
    {'config', 'config_options', 'conversion', 'datasets', 'engine', 'evaluation', 'host', 'models'},
    {
        'apps.calibration',
        'apps.command_line',
        'apps.comparison',
        'apps.data_check',
        'apps.inference',
        'apps.model_building',
        'apps.models_by_name',
        'apps.pictures',
        'apps.report',
        'apps.webapp',
    },
]
# What a part knows of its own storey.
NEIGHBOURS = {
    'functional': {'checks'},
    'modules': {'checks', 'functional'},
    'config': {'config_options'},
    'engine': {'conversion', 'datasets'},
    'apps.calibration': {'apps.inference'},
    'apps.comparison': {'apps.inference', 'apps.pictures', 'apps.report'},
    'apps.data_check': {'apps.pictures'},
    'apps.inference': {'apps.model_building'},
    'apps.models_by_name': {'apps.model_building'},
    'apps.report': {'apps.data_check', 'apps.inference'},
    'apps.webapp': {'apps.inference'},
}
# The package itself offers the first storey, registers the second one, and knows the third one by name only.
DOOR = '__init__'
STANDARD = set(sys.stdlib_module_names)
FILES = sorted(PACKAGE.rglob('*.py'))


def part_of(path):
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return '.'.join(parts[:2]) if parts[0] == 'apps' and parts[1] != '__init__' else parts[0]


def imports_of(path):
    """Full names of what a file imports, wherever in it the statement stands."""
    package = '.'.join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = resolve_name('.' * node.level + (node.module or ''), package) if node.level else node.module
            # `from .. import checks` names a part; `from ..checks import x` has it already.
            is_part = name in ('kmcl_mm', 'kmcl_mm.apps')
            yield from (f'{name}.{alias.name}' for alias in node.names) if is_part else [name]


def parts_known_by(path):
    names = [name.split('.') for name in imports_of(path)]
    own = [name[1:] for name in names if name[0] == 'kmcl_mm']
    return {'.'.join(name[:2]) if name[0] == 'apps' else name[0] for name in own} - {part_of(path)}


def files_of(*parts):
    return [path for path in FILES if part_of(path) in parts]


def test_every_part_has_its_storey():
    parts = [part for storey in STOREYS for part in storey]
    assert {part_of(path) for path in FILES} == {*parts, DOOR, 'apps'} and len(parts) == len(set(parts))
    # The folder itself holds nothing that would have to be imported.
    assert not list(imports_of(PACKAGE / 'apps/__init__.py'))


def test_neighbours_are_of_one_storey_and_do_not_know_each_other():
    for part, known in NEIGHBOURS.items():
        assert any({part, *known} <= storey for storey in STOREYS), part
    list(TopologicalSorter(NEIGHBOURS).static_order())  # raises where two parts know each other


def test_no_neighbour_is_listed_in_vain():
    for part, known in NEIGHBOURS.items():
        assert known <= set().union(*map(parts_known_by, files_of(part))), part


@pytest.mark.parametrize('part', [part for storey in STOREYS for part in sorted(storey)])
def test_a_part_knows_only_the_storeys_below_it(part):
    (number,) = (number for number, storey in enumerate(STOREYS) if part in storey)
    allowed = set().union(*STOREYS[:number]) | NEIGHBOURS.get(part, set())
    for path in files_of(part):
        unknown = parts_known_by(path) - allowed
        assert not unknown, f'{path.relative_to(ROOT)} imports {sorted(unknown)}'
        assert not {name.split('.')[0] for name in imports_of(path)} & {'tools', 'tests', 'benchmarks', 'configs'}, path


@pytest.mark.parametrize('part', sorted(STOREYS[0]))
def test_the_method_knows_torch_alone(part):
    for path in files_of(part):
        assert {name.split('.')[0] for name in imports_of(path)} <= {'torch', 'kmcl_mm', *STANDARD}, path


def test_the_package_knows_its_programs_by_name_only():
    """In a table that is looked at when somebody asks for one of them."""
    path = PACKAGE / '__init__.py'
    assert parts_known_by(path) <= STOREYS[0] | STOREYS[1]
    tables = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign)]
    (table,) = (ast.literal_eval(node.value) for node in tables if node.targets[0].id == '_PLACES')
    assert {place for place in table.values() if place not in STOREYS[1]} <= STOREYS[2]
    assert path.read_text().count('apps') == sum(place.startswith('apps.') for place in table.values())
    below = [other for other in files_of(*STOREYS[0], *STOREYS[1]) if 'apps.' in other.read_text()]
    assert not below


def test_the_host_alone_knows_that_there_are_two_families():
    assert {part_of(path) for path in FILES if 'onedl' in path.read_text()} == {'host'}
