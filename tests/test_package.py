import subprocess
import sys
import zipfile

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the tracked files, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    source.mkdir()
    names = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split('\0')):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '-w', folder, source],
        check=True,
    )
    (path,) = folder.glob('kmcl_mm-*.whl')
    return path


def test_the_wheel_carries_all_that_is_no_python(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ('configs', 'tools'):
        for path in (ROOT / folder).rglob('*.*'):
            if '__pycache__' not in path.parts:
                assert f'kmcl_mm/.mim/{path.relative_to(ROOT)}' in names
    assert {'kmcl_mm/.mim/model-index.yml', 'kmcl_mm/py.typed'} <= names
    for path in (ROOT / 'kmcl_mm/report').glob('*.*'):
        assert f'kmcl_mm/report/{path.name}' in names
    assert not any(name.startswith(('tests', 'configs', 'tools')) for name in names)


def test_configurations_are_found_away_from_a_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / 'site')
    script = """
import kmcl_mm
print(kmcl_mm.__file__)
print(kmcl_mm.get_config('kmcl_tresnet_l_coco').model.backbone.model_name)
"""
    output = subprocess.run(
        [sys.executable, '-c', script],
        cwd=tmp_path,
        env=dict(PYTHONPATH=str(tmp_path / 'site')),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(tmp_path / 'site/kmcl_mm') in output and 'tresnet_v2_l' in output


def test_the_core_leaves_the_host_alone(wheel):
    """An environment with the originals stays as it is: only the extra `host` brings the maintained family."""
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
    lines = [
        line.removeprefix('Requires-Dist: ')
        for line in archive.read(name).decode().splitlines()
        if line.startswith('Requires-Dist: ')
    ]
    core = {line.split('>')[0] for line in lines if 'extra ==' not in line}
    assert core == {'torch', 'torchvision', 'timm', 'pycocotools', 'pandas', 'pyarrow', 'numpy', 'packaging'}
    host = [line for line in lines if 'extra == "host"' in line]
    assert sorted(line.split('>=')[0] for line in host) == ['onedl-mmcv', 'onedl-mmengine', 'onedl-mmpretrain']
    assert not any('onedl' in line for line in lines if line not in host)


def test_importing_registers_everything():
    script = """
import kmcl_mm
from mmpretrain import registry
for kind, names in dict(MODELS='KMCLHead KMCLLoss ASLLoss FrozenTIMMBackbone',
                        HOOKS='BestWeightsHook AverageLossesHook CheckLabelsHook',
                        DATASETS='CocoMultiLabel VOCMultiLabel DigitScenes',
                        TRANSFORMS='LoadCheckedImage RandomColorCutout').items():
    for name in names.split():
        assert getattr(registry, kind).get(name).__module__.startswith('kmcl_mm.'), name
"""
    subprocess.run([sys.executable, '-c', script], check=True)


def test_progress_bars_of_the_host_are_seen_where_the_package_is_imported_first():
    script = 'import kmcl_mm; from mmengine.utils import track_iter_progress as track; list(track(([1], 1)))'
    output = subprocess.run([sys.executable, '-c', script], check=True, capture_output=True, text=True).stdout
    assert '1/1' in output and 'ETA' in output


def test_the_functions_are_usable_with_torch_alone():
    """No module of the folder imports more than torch, the standard library and its neighbours."""
    script = """
import sys, types
from importlib.abc import MetaPathFinder
class Refuse(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split('.')[0] in ('mmengine', 'mmcv', 'mmpretrain', 'timm', 'pycocotools', 'cv2'):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
package = types.ModuleType('kmcl_mm')
package.__path__ = [sys.argv[1]]
sys.modules['kmcl_mm'] = package
import kmcl_mm.functional
"""
    subprocess.run([sys.executable, '-c', script, str(ROOT / 'kmcl_mm')], check=True)
