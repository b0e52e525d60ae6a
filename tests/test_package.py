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


def test_the_wheel_carries_configs_tools_and_the_index_of_models(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ('configs', 'tools'):
        for path in (ROOT / folder).rglob('*.*'):
            if '__pycache__' not in path.parts:
                assert f'kmcl_mm/.mim/{path.relative_to(ROOT)}' in names
    assert 'kmcl_mm/.mim/model-index.yml' in names
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
