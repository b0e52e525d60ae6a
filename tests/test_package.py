import ast
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import kmcl_mm
from tests.conftest import ROOT

# Distributions that provide a name of another spelling.
DISTRIBUTIONS = dict(cv2='opencv-python', PIL='pillow', pytorch_lightning='pytorch-lightning', sklearn='scikit-learn')
HOST = {'mmengine', 'mmcv', 'mmpretrain'}
# What may need more than the plugin, by the path from the root.
EXTRAS = {
    'kmcl_mm/apps/inference/export.py': 'deploy',
    'kmcl_mm/apps/report': 'report',
    'kmcl_mm/apps/webapp': 'webapp',
    'kmcl_mm/datasets/digit_scenes.py': 'demo',
}
STOREY_1 = ('functional', 'modules', 'checks.py', 'errors.py', 'files.py', 'version.py')


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of the tracked files, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp('source') / 'kmcl_mm'
    names = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split('\0')):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '-w', folder, source],
        check=True,
    )
    (path,) = folder.glob('kmcl_mm-*.whl')
    return path


@pytest.fixture(scope='module')
def requirements(wheel):
    """Requirements by extra; '' for those without one."""
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
    found = {}
    for line in archive.read(name).decode().splitlines():
        if line.startswith('Requires-Dist: '):
            requirement = Requirement(line.removeprefix('Requires-Dist: '))
            extra = re.search(r'extra == "(\w+)"', str(requirement.marker))
            found.setdefault(extra[1] if extra else '', []).append(requirement)
    return found


def test_the_wheel_carries_all_that_is_no_python(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert len(set(names)) == len(names)
    for folder in ('configs', 'tools'):
        for path in (ROOT / folder).rglob('*.*'):
            if '__pycache__' not in path.parts:
                assert f'kmcl_mm/.mim/{path.relative_to(ROOT)}' in names
    assert {'kmcl_mm/.mim/model-index.yml', 'kmcl_mm/py.typed'} <= set(names)
    for path in (ROOT / 'kmcl_mm/apps/report').glob('*.*'):
        assert f'kmcl_mm/apps/report/{path.name}' in names
    assert not any(name.startswith(('tests', 'configs', 'tools', 'examples')) for name in names)


def test_configurations_are_found_away_from_a_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / 'site')
    script = """
import kmcl_mm, mmpretrain
print(kmcl_mm.__file__)
print(kmcl_mm.get_config('kmcl_tresnet_l_coco').model.backbone.model_name)
print(mmpretrain.list_models('kmcl_tresnet_m_digits'))
"""
    output = subprocess.run(
        [sys.executable, '-c', script],
        cwd=tmp_path,
        env=dict(PYTHONPATH=str(tmp_path / 'site')),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(tmp_path / 'site/kmcl_mm') in output and 'tresnet_v2_l' in output and 'kmcl_tresnet_m_digits' in output


def test_an_editable_install_has_links(source):
    """Where MIM looks, into the checkout."""
    script = """
import sys
from unittest import mock
with mock.patch('setuptools.setup') as setup:
    sys.path.insert(0, '.')
    import setup as module
from setuptools import Distribution
command = module.BuildWithMim(Distribution(dict(name='kmcl_mm', packages=['kmcl_mm'])))
command.finalize_options()
command.editable_mode = True
command.run()
command.run()
"""
    subprocess.run([sys.executable, '-c', script], cwd=source, check=True)
    mim = source / 'kmcl_mm/.mim'
    assert sorted(path.name for path in mim.iterdir()) == ['configs', 'model-index.yml', 'tools']
    for path in mim.iterdir():
        assert path.is_symlink() and path.resolve() == (source / path.name).resolve()


def test_an_sdist_has_what_the_wheel_needs_once(source, wheel, tmp_path):
    """Also from a checkout with the links of an editable install."""
    mim = source / 'kmcl_mm/.mim'
    mim.mkdir(exist_ok=True)
    for name in ('configs', 'tools'):
        if not (mim / name).exists():
            (mim / name).symlink_to(source / name)
    build = 'import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])'
    subprocess.run([sys.executable, '-c', build, 'build_sdist', tmp_path], cwd=source, check=True, capture_output=True)
    (path,) = tmp_path.glob('*.tar.gz')
    with tarfile.open(path) as archive:
        names = archive.getnames()
        assert len(set(names)) == len(names) and not any('.mim' in name or '/tests' in name for name in names)
        archive.extractall(tmp_path, filter='data')
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    subprocess.run([sys.executable, '-c', build, 'build_wheel', tmp_path], cwd=folder, check=True, capture_output=True)
    (path,) = tmp_path.glob('*.whl')
    assert sorted(zipfile.ZipFile(path).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_without_extras_it_needs_torch_alone(requirements):
    assert [requirement.name for requirement in requirements['']] == ['torch']


def test_the_family_is_an_extra_of_its_own(requirements):
    """An environment with the originals stays as it is."""
    host_limits = kmcl_mm.host._MAINTAINED
    plugin, host = ({requirement.name for requirement in requirements[extra]} for extra in ('plugin', 'host'))
    assert host - plugin == {'onedl-mmcv', 'onedl-mmengine', 'onedl-mmpretrain'} and plugin < host
    for extra, found in requirements.items():
        assert extra == 'host' or not any('onedl' in requirement.name for requirement in found)
    for requirement in requirements['host']:
        if requirement.name.startswith('onedl'):
            # What the package itself demands when it is imported.
            _, lowest, too_new = host_limits[requirement.name.removeprefix('onedl-')]
            assert requirement.specifier == SpecifierSet(f'>={lowest},<{too_new}')


def third_party(folder):
    """Each file with the packages that it imports, but for the standard library, MMPretrain's family and this one."""
    for path in sorted((ROOT / folder).rglob('*.py')):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split('.')[0])
        names -= {*sys.stdlib_module_names, 'kmcl_mm'}
        if folder == 'examples':
            names -= {other.stem for other in path.parent.glob('*.py')}
        yield path.relative_to(ROOT), {DISTRIBUTIONS.get(name, name) for name in names}


def test_what_is_imported_is_declared(requirements):
    declared = {extra: {requirement.name for requirement in found} for extra, found in requirements.items()}
    for folder in ('kmcl_mm', 'tools', 'examples'):
        for path, names in third_party(folder):
            if '.mim' in path.parts:
                continue
            extras = {'', 'examples'} if folder == 'examples' else {''}
            if folder != 'examples' and not (folder == 'kmcl_mm' and path.parts[1] in STOREY_1):
                extras |= {'plugin'}
                names = names - HOST
            extras |= {extra for start, extra in EXTRAS.items() if path.is_relative_to(Path(start))}
            known = set().union(*(declared[extra] for extra in extras))
            assert names <= known, f'{path} imports {sorted(names - known)}'


def test_importing_registers_everything():
    script = """
import kmcl_mm
from mmpretrain import registry
for kind, names in dict(MODELS='KMCLHead KMCLLoss ASLLoss FrozenTIMMBackbone MultiLabelTTA',
                        HOOKS='BestWeightsHook AverageLossesHook CheckLabelsHook',
                        METRICS='Bootstrapped MultiLabelF1 MultiLabelTorchMetrics PartialLabelAP PerLabelAP',
                        RUNNERS='KMCLRunner',
                        DATASETS='CocoMultiLabel VOCMultiLabel DigitScenes',
                        TRANSFORMS='LoadCheckedImage RandomColorCutout').items():
    for name in names.split():
        assert getattr(registry, kind).get(name).__module__.startswith('kmcl_mm.'), name
"""
    subprocess.run([sys.executable, '-c', script], check=True)


def test_progress_bars_of_mmengine_are_seen_where_the_package_is_imported_first():
    script = 'import kmcl_mm; from mmengine.utils import track_iter_progress as track; list(track(([1], 1)))'
    output = subprocess.run([sys.executable, '-c', script], check=True, capture_output=True, text=True).stdout
    assert '1/1' in output and 'ETA' in output
