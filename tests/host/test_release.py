from importlib import metadata

import pytest

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

    return pretend


@pytest.mark.parametrize(
    'distributions',
    [
        ORIGINAL,
        MAINTAINED,
        dict(ORIGINAL, **{'mmcv': '2.2.0'}),
        {**ORIGINAL, 'mmengine': '0.11.0rc1'},
        {'mmengine-lite': '0.10.7', 'mmcv': '2.1.0', 'mmpretrain': '1.2.0'},
        dict(MAINTAINED, numpy='2.0'),
    ],
)
def test_a_whole_family_is_accepted(installed, distributions):
    installed(distributions)
    host.check()


@pytest.mark.parametrize(
    'distributions, message',
    [
        ({}, r'not installed: mmengine, mmcv, mmpretrain.*\n.*pip install.*onedl-mmpretrain'),
        ({'onedl-mmengine': '0.10.12'}, r'not installed: mmcv, mmpretrain\..*\n.*pip install.*onedl-mmcv'),
        ({'mmengine': '0.10.7', 'mmcv': '2.1.0'}, r'not installed: mmpretrain\..*\n.*pip install.* mmpretrain==1.2.0'),
        (
            dict(ORIGINAL, mmengine='0.10.4'),
            r'mmengine 0.10.7 or later, but 0.10.4.*\n.*pip install.* mmengine==0.10.7',
        ),
        (dict(MAINTAINED, **{'onedl-mmcv': '2.3.4'}), r'onedl-mmcv 2.3.5 or later, but 2.3.4.*\n.*onedl-mmcv>=2.3.5'),
        (
            dict(ORIGINAL, **MAINTAINED),
            r'two families.*pip uninstall -y (?=.*mmcv-lite)(?=.*onedl-mmcv).*\n.*pip install',
        ),
        (dict(MAINTAINED, mmcv='2.2.0'), r'two families.*mmcv .*onedl-mmcv'),
    ],
)
def test_what_is_wrong_comes_with_the_command_that_mends_it(installed, distributions, message):
    installed(distributions)
    with pytest.raises(ImportError, match=f'(?s){message}'):
        host.check()


def test_broken_multimodal_models_are_left_out(installed, monkeypatch):
    from mmpretrain.utils import dependency

    for version, expected in (('4.57.0', 'as it was'), ('5.0.0', False)):
        monkeypatch.setattr(dependency, 'WITH_MULTIMODAL', 'as it was')
        installed({'transformers': version})
        host.leave_out_broken_multimodal_models()
        assert dependency.WITH_MULTIMODAL == expected
