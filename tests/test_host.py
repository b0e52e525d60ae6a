import re
import sys
from importlib import metadata

import pytest

import kmcl_mm
from kmcl_mm import host

ORIGINAL = {'mmengine': '0.10.7', 'mmcv-lite': '2.2.0', 'mmpretrain': '1.2.0'}
MAINTAINED = {'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmpretrain': '1.3.6'}


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these distributions are installed and no others."""

    def pretend(distributions):

        def version(name):
            if name not in distributions:
                raise metadata.PackageNotFoundError(name)
            return distributions[name]

        monkeypatch.setattr(metadata, 'version', version)
        host.problem.cache_clear()

    yield pretend
    monkeypatch.undo()
    host.problem.cache_clear()


@pytest.mark.parametrize(
    'distributions',
    [
        ORIGINAL,
        MAINTAINED,
        dict(ORIGINAL, **{'mmcv': '2.2.0'}),
        {**ORIGINAL, 'mmengine': '0.11.0rc1'},
        {'mmengine-lite': '0.10.7', 'mmcv': '2.1.0', 'mmpretrain': '1.2.0'},
        {**MAINTAINED, 'onedl-mmengine': '0.12.0.post1'},
        dict(MAINTAINED, numpy='2.0', transformers='4.57.0'),
    ],
)
def test_a_whole_family_is_accepted(installed, distributions):
    installed(distributions)
    host.check()
    assert host.is_wanted()


@pytest.mark.parametrize(
    'distributions, message',
    [
        ({}, r'needs mmengine, mmcv, mmpretrain\. Install:\n    pip install.* "kmcl_mm\[host\]"$'),
        ({'onedl-mmengine': '0.10.12'}, r'needs mmcv, mmpretrain\. Install:\n    pip install.*\[host\]"$'),
        (
            {'mmengine': '0.10.7', 'mmcv': '2.1.0'},
            r'needs mmpretrain\. Install:\n    pip install.* "mmpretrain>=1.2.0,<2"',
        ),
        (
            {'mmengine': '0.10.7', 'mmpretrain': '1.2.0'},
            r'needs mmcv\. Install:\n    pip install.*"mmcv-lite>=2.0.0,<3"',
        ),
        (
            dict(ORIGINAL, mmengine='0.10.4'),
            r'needs mmengine >= 0.10.7, < 1, but 0.10.4 is installed\. Install:\n    pip .*"mmengine>=0.10.7,<1"',
        ),
        (dict(MAINTAINED, **{'onedl-mmcv': '2.3.4'}), r'needs onedl-mmcv >= 2.3.5, < 3, but 2.3.4.*\n.*\[host\]'),
        (dict(MAINTAINED, **{'onedl-mmpretrain': '2.0'}), r'needs onedl-mmpretrain >= 1.3.6, < 2, but 2.0 is'),
        (dict(ORIGINAL, mmengine='1.0.0'), r'needs mmengine >= 0.10.7, < 1, but 1.0.0 is installed'),
        ({**ORIGINAL, 'mmcv-lite': '3.0.0'}, r'needs mmcv-lite >= 2.0.0, < 3, but 3.0.0 is installed'),
        (
            dict(ORIGINAL, **MAINTAINED),
            r'two families.*Keep one:\n    pip uninstall -y (?=.*mmcv-lite)(?=.*onedl-mmcv).*\n    pip install',
        ),
        (dict(MAINTAINED, mmcv='2.2.0'), r'two families.*mmcv .*onedl-mmcv'),
    ],
)
def test_what_is_wrong_comes_with_the_command_that_fixes_it(installed, monkeypatch, distributions, message):
    installed(distributions)
    with pytest.raises(ImportError, match=f'(?s){message}'):
        host.check()
    # Asked for what needs the host, the package says the same.
    with pytest.raises(ImportError, match=f'(?s){message}'):
        kmcl_mm.get_model
    # A program that uses the host gets the message at once, another one the method.
    assert host.is_wanted()
    monkeypatch.delitem(sys.modules, 'mmengine')
    assert not host.is_wanted()


def test_an_installed_mmcv_is_not_overwritten(installed):
    """Both of its distributions bring the same files."""
    installed({'mmengine': '0.10.7', 'mmcv': '2.1.0'})
    assert 'mmcv' not in host.problem().replace('kmcl_mm', '')


def test_all_packages_of_both_families_are_uninstalled_by_one_command(installed):
    installed({**ORIGINAL, **MAINTAINED, 'mmcv': '2.2.0'})
    (names,) = re.findall('pip uninstall -y (.*)', host.problem())
    assert set(names.split()) == {*ORIGINAL, *MAINTAINED, 'mmcv'}


def test_without_its_packages_the_host_is_not_wanted(monkeypatch):
    monkeypatch.setattr(host, 'find_spec', lambda name: None if name == 'mmpretrain' else 'somewhere')
    assert not host.is_wanted()


def test_an_mmpretrain_without_what_the_plugin_needs(installed, monkeypatch):
    """Who has it for other work may want nothing but the losses of kmcl_mm."""
    installed(MAINTAINED)
    monkeypatch.setattr(host, 'find_spec', lambda name: None if name == 'pandas' else 'somewhere')
    monkeypatch.delitem(sys.modules, 'mmengine', raising=False)
    with pytest.raises(ImportError, match=r'needs pandas\. Install:\n    pip install "kmcl_mm\[plugin\]"'):
        host.check()
    assert not host.is_wanted()


@pytest.mark.parametrize('kind', [ImportError, TypeError])
@pytest.mark.parametrize(
    'version, message',
    [
        ('5.0.0', r'does not work with transformers 5\.0\.0: no chunking\. Install:\n    pip install "transformers<5"'),
        ('4.57.0', '^no'),
    ],
)
def test_a_transformers_that_is_too_new_for_mmpretrain(installed, monkeypatch, version, message, kind):
    def fail(name):
        if name == 'mmpretrain.models':
            raise kind('no chunking')

    installed({**MAINTAINED, 'transformers': version})
    monkeypatch.setattr('importlib.import_module', fail)
    with pytest.raises((ImportError, kind), match=message):
        host.import_quietly()
