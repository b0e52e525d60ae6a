"""What the running page answers over HTTP, to itself and to others."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import torch

from kmcl_mm.apps.webapp.server import running_page
from tests.apps.webapp.conftest import free_port
from tests.attacks import ATTACKS
from tests.conftest import ROOT
from tests.test_tools import run

API = 'gradio_api'


@pytest.fixture
def client(served):
    with httpx.Client(base_url=served.local_url, timeout=30) as client:
        yield client


@pytest.fixture
def looked_up(monkeypatch):
    """Names and addresses of all machines that this process connects to from here on."""
    hosts, look_up = [], socket.getaddrinfo
    monkeypatch.setattr(
        socket, 'getaddrinfo', lambda host, *args, **kw: hosts.append(host) or look_up(host, *args, **kw)
    )
    return hosts


def upload(client, path):
    """Upload a file; the answer has its path on the server."""
    return client.post(f'{API}/upload', files=dict(files=(path.name, path.read_bytes())))


def predict(client, file):
    """What the page's event of a dropped image gives for this file, as the page itself asks for it."""
    config = client.get('config').json()
    (image,) = (component['id'] for component in config['components'] if component['type'] == 'image')
    (number,) = (event['id'] for event in config['dependencies'] if event['targets'] == [[image, 'change']])
    body = dict(data=[file, None], fn_index=number, session_hash='test')
    client.post(f'{API}/queue/join', json=body).raise_for_status()
    with client.stream('GET', f'{API}/queue/data', params=dict(session_hash='test')) as answer:
        for line in answer.iter_lines():
            message = json.loads(line.removeprefix('data: ')) if line.startswith('data: ') else {}
            if message.get('msg') == 'process_completed':
                return message


def file_data(path, **more):
    return dict(path=str(path), meta=dict(_type='gradio.FileData'), **more)


def test_an_uploaded_image_is_predicted(client, photo):
    (path,) = upload(client, photo).json()
    assert client.get(f'{API}/file={path}').content == photo.read_bytes()
    message = predict(client, file_data(path))
    assert message['success'] and 'labels predicted' in message['output']['data'][2]


@pytest.mark.parametrize('route', ['file=', 'file/'])
@pytest.mark.parametrize(
    'as_sent', [str, lambda path: str(path).replace('/', '%2F'), lambda path: f'/proc/self/root{path}']
)
def test_no_file_of_this_machine_is_served(route, as_sent, client, served, checkpoint, photo):
    (uploaded,) = upload(client, photo).json()
    folder = Path(uploaded).parent
    for path in (
        Path('/etc/passwd'),
        checkpoint,
        ROOT / 'README.md',
        Path(f'{folder}/../../../../../../../etc/passwd'),
    ):
        answer = client.get(f'{API}/{route}{as_sent(path)}')
        assert answer.status_code in (403, 404), (path, answer.text[:200])
    assert served.allowed_paths == []


@pytest.mark.parametrize('path', ['README.md', 'tools/webapp.py', '../../../etc/passwd', '~/.bashrc'])
def test_nor_one_by_a_relative_path(path, client):
    assert client.get(f'{API}/file={path}').status_code in (403, 404)


def test_a_link_among_the_uploads_leads_nowhere(client, photo):
    (uploaded,) = upload(client, photo).json()
    link = Path(uploaded).with_name('link.png')
    link.symlink_to('/etc/passwd')
    assert client.get(f'{API}/file={link}').status_code == 403


@pytest.mark.parametrize('address', ['http://example.com/cat.png', 'https://example.com/cat.png', 'ftp://example.com/'])
def test_nothing_is_fetched_from_elsewhere(address, client, looked_up):
    assert client.get(f'{API}/file={address}').status_code == 403
    assert client.get(f'{API}/proxy={address}').status_code == 403
    assert not predict(client, file_data(address))['success']
    assert not predict(client, file_data('x.png', url=address))['success']
    assert set(looked_up) <= {'127.0.0.1'}


@pytest.mark.parametrize('with_meta', [True, False])
@pytest.mark.parametrize('path', ['/etc/passwd', 'README.md', None])
def test_a_client_cannot_name_a_file_of_this_machine(path, with_meta, client, photo, monkeypatch):
    """An image outside the uploads, so that it would be predicted if it were read."""
    monkeypatch.setattr('kmcl_mm.apps.webapp.page.Page.predict', lambda *_: pytest.fail('it was read'))
    file = file_data(path or photo)
    if not with_meta:
        del file['meta']
    message = predict(client, file)
    assert not message['success'] and 'root:' not in json.dumps(message)


def test_an_image_within_the_request_is_not_taken_either(client):
    message = predict(client, file_data('x.png', url='data:image/png;base64,aGVsbG8='))
    assert not message['success']


def test_large_uploads_are_refused(client, tmp_path):
    path = tmp_path / 'large.jpg'
    path.write_bytes(bytes(600_000))
    answer = upload(client, path)
    assert answer.status_code == 413 and 'exceeded maximum allowed size of 524288 bytes' in answer.text
    path.write_bytes(bytes(500_000))
    assert upload(client, path).status_code == 200


def test_other_sites_are_refused(client, photo):
    assert client.get('config', headers=dict(host='evil.example:7860')).status_code == 400
    assert client.get('config', headers=dict(origin='http://evil.example')).status_code == 403
    files = dict(files=('photo.jpg', photo.read_bytes()))
    assert client.post(f'{API}/upload', files=files, headers=dict(origin='null')).status_code == 403
    own = str(client.base_url).rstrip('/')
    assert client.get('config', headers=dict(origin=own)).status_code == 200


def test_it_listens_on_this_machine_alone(served):
    assert served.local_url.startswith('http://127.0.0.1:') and served.share_url is None
    with socket.socket() as other:
        other.settimeout(5)
        # Another address of this machine, on which a server bound to all of them would answer.
        assert other.connect_ex(('127.0.0.2', served.server_port)) != 0


def test_a_port_that_is_taken_is_named(served, inferencer):
    with pytest.raises(OSError, match=rf'port {served.server_port} .*\(--port\)'):
        with running_page(inferencer, port=served.server_port):
            pytest.fail('it was served')


def test_there_is_no_documented_interface(client):
    info = client.get(f'{API}/info').json()
    assert info == dict(named_endpoints={}, unnamed_endpoints={})
    for path in ('docs', 'redoc', 'openapi.json', 'monitoring', f'{API}/mcp/sse'):
        assert client.get(path).status_code in (403, 404), path


def test_uploads_and_settings_of_the_environment_are_gone_at_the_end(
    inferencer, photo, monkeypatch, tmp_path, looked_up
):
    monkeypatch.setenv('GRADIO_ALLOWED_PATHS', '/')
    monkeypatch.setenv('GRADIO_SHARE', 'True')
    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path / 'elsewhere'))
    before = dict(os.environ)
    with running_page(inferencer, port=free_port()) as blocks:
        with httpx.Client(base_url=blocks.local_url) as client:
            (path,) = upload(client, photo).json()
            assert Path(path).is_file() and client.get(f'{API}/file=/etc/passwd').status_code == 403
        assert set(looked_up) == {'127.0.0.1'}
        assert blocks.share_url is None and not (tmp_path / 'elsewhere').exists()
    assert not Path(path).exists() and not Path(path).parents[1].exists()
    assert dict(os.environ) == before


def test_old_uploads_are_removed_while_the_page_runs(inferencer, photo, monkeypatch):
    monkeypatch.setattr('kmcl_mm.apps.webapp.page._DELETE_CACHE', (1, 1))
    with running_page(inferencer, port=free_port()) as blocks, httpx.Client(base_url=blocks.local_url) as client:
        (path,) = upload(client, photo).json()
        deadline = time.monotonic() + 30
        while Path(path).exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not Path(path).exists()


def test_the_tool_serves_until_it_is_ended(training_cfg, checkpoint, index, tmp_path, photo):
    config, index_path, port = tmp_path / 'small.py', tmp_path / 'index.npz', free_port()
    training_cfg.dump(config)
    index.save(index_path)
    command = [sys.executable, 'tools/webapp.py', config, checkpoint, '--index', index_path, '--port', port]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', TMPDIR=str(tmp_path))
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            lines = []
            while not any(line.startswith('The page: ') for line in lines):
                lines.append(process.stdout.readline())
                assert lines[-1], ''.join(lines)
            assert f'http://127.0.0.1:{port}/' in lines[-1]
            with httpx.Client(base_url=f'http://127.0.0.1:{port}') as client:
                (path,) = upload(client, photo).json()
                assert Path(path).is_file() and tmp_path in Path(path).parents
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert not Path(path).exists() and not list(tmp_path.glob('kmcl_webapp_*'))


def test_the_tool_refuses_files_that_run_code(training_cfg, checkpoint, tmp_path):
    import numpy as np

    config, bad, bad_index = tmp_path / 'small.py', tmp_path / 'bad.pth', tmp_path / 'bad.npz'
    training_cfg.dump(config)
    torch.save(dict(state_dict={}, meta={}, extra=ATTACKS[1]), bad)
    output = run(sys.executable, 'tools/webapp.py', config, bad, expect=2)
    assert 'could run code' in output and 'Traceback' not in output
    np.savez(bad_index, names=np.array([ATTACKS[1]], dtype=object))
    output = run(sys.executable, 'tools/webapp.py', config, checkpoint, '--index', bad_index, expect=2)
    assert 'cannot be read as an index of similar images' in output and 'Traceback' not in output
    assert not (ROOT / 'pwned').exists()
