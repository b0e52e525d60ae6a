import argparse
import io
import os
import runpy
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from mmengine.registry import Registry
from torch.utils.data import DataLoader, Dataset

from kmcl_mm.apps.command_line import add_config_options, needs_extra, run_command
from kmcl_mm.checks import check_at_least
from kmcl_mm.errors import UnreadableImageError
from tests.conftest import ROOT

TOOLS = (
    'browse_dataset',
    'build_index',
    'calibrate',
    'check_dataset',
    'deploy/export',
    'predict',
    'show_predictions',
    'test',
    'train',
    'webapp',
)
# What a tool takes after the configuration.
OTHERS = {
    'browse_dataset': [],
    'check_dataset': [],
    'train': [],
    'build_index': ['some.pth', 'out.npz'],
    'deploy/export': ['some.pth', 'out.onnx'],
    'predict': ['some.pth', 'some.jpg'],
}


def refused():
    check_at_least('number', 0, 1)


def test_what_the_package_refuses_is_a_message(capsys):
    with pytest.raises(SystemExit) as stopped:
        run_command(refused)
    assert stopped.value.code == 2
    assert 'error: Expected argument `number` to be at least 1, but got 0' in capsys.readouterr().err


def test_the_host_may_wrap_it(capsys):
    things = Registry('things')

    @things.register_module()
    class Thing:
        def __init__(self):
            refused()

    with pytest.raises(SystemExit):
        run_command(lambda: things.build(dict(type='Thing')))
    assert '`number` to be at least 1' in capsys.readouterr().err


@pytest.mark.parametrize('mistake', [lambda: int('x'), lambda: check_at_least('number', 'x', 1)])
def test_other_errors_keep_their_traceback(mistake):
    with pytest.raises((ValueError, TypeError)):
        run_command(mistake)


def fail_in_a_worker():
    with ProcessPoolExecutor(1, mp_context=get_context('fork')) as pool:
        pool.submit(int, 'x').result()


def test_an_error_of_a_worker_process_keeps_its_traceback():
    with pytest.raises(ValueError, match='invalid literal'):
        run_command(fail_in_a_worker)


class Unreadable(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise UnreadableImageError('Expected a.jpg to be an image')


@pytest.mark.parametrize('workers', [0, 1])
def test_an_image_that_a_data_worker_cannot_read(workers, capsys):
    with pytest.raises(SystemExit):
        run_command(lambda: list(DataLoader(Unreadable(), num_workers=workers)))
    assert capsys.readouterr().err.endswith('error: Expected a.jpg to be an image\n')


def test_what_a_tool_returns():
    assert run_command(lambda: 3) == 3


@pytest.mark.parametrize('stream', ['stdout', 'stderr'])
def test_names_that_a_terminal_cannot_show_are_printed_as_escapes(stream, monkeypatch):
    """A label, and a file whose name is not UTF-8."""
    printed = io.BytesIO()
    monkeypatch.setattr(sys, stream, io.TextIOWrapper(printed, encoding='ascii', write_through=True))
    run_command(lambda: print('Straße', '\udce4.jpg', file=getattr(sys, stream)))
    assert printed.getvalue() == rb'Stra\xdfe \udce4.jpg' + os.linesep.encode()


def test_a_missing_extra_is_named():
    with pytest.raises(SystemExit) as stopped, needs_extra('webapp', ['gradio']):
        raise ModuleNotFoundError("No module named 'gradio'", name='gradio.blocks')
    assert stopped.value.code == 'No module named \'gradio\'. Install:\n    pip install "kmcl_mm[webapp]"'
    with pytest.raises(ModuleNotFoundError), needs_extra('webapp', ['gradio']):
        raise ModuleNotFoundError("No module named 'numpy'", name='numpy')


@pytest.mark.parametrize('tool', TOOLS)
def test_every_tool_refuses_a_misspelt_setting(tool, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    config = str(ROOT / 'configs/kmcl_tresnet_m_digits.py')
    options = [*OTHERS.get(tool, ['some.pth']), '--cfg-options', 'modle.head.thr=0.5']
    monkeypatch.setattr(sys, 'argv', [f'{tool}.py', config, *options])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / f'tools/{tool}.py'), run_name='__main__')
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert 'Unknown setting modle.head.thr in' in message and 'Did you mean model?' in message


@pytest.mark.parametrize('tool', TOOLS)
def test_every_tool_names_a_missing_configuration(tool, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [f'{tool}.py', 'nowhere.py', *OTHERS.get(tool, ['some.pth'])])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / f'tools/{tool}.py'), run_name='__main__')
    assert stopped.value.code == 2
    assert 'There is no configuration nowhere.py' in capsys.readouterr().err


@pytest.mark.parametrize('setting', ['name', 'name=(1,2', "name={'a':(1,2)}"])
def test_a_setting_that_cannot_be_read_is_a_message(capsys, setting):
    parser = argparse.ArgumentParser()
    add_config_options(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'other=1', setting])
    assert 'expected --cfg-options KEY=VALUE, ' in (message := capsys.readouterr().err)
    assert f'but got other=1 {setting}' in message
