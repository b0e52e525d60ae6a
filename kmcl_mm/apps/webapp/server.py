"""Serving of the page to this machine only."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import gradio as gr
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ..inference import KMCLInferencer
from ..inference.similar import ImageIndex
from .page import Page, make_blocks
from .style import CSS, THEME

ADDRESS = '127.0.0.1'
_HOSTS = (ADDRESS, 'localhost')
_FILE_ROUTES = ('/gradio_api/file=', '/gradio_api/file/', '/gradio_api/proxy=')


@contextmanager
def running_page(
    inferencer: KMCLInferencer,
    index: ImageIndex | None = None,
    port: int = 7860,
    max_upload_mb: float = 20,
    title: str = 'kmcl_mm',
) -> Iterator[gr.Blocks]:
    """Serve the page on 127.0.0.1 within a context.

    Uploaded files are in a temporary folder, which is removed at the end. GRADIO_* environment variables, which could
    open the page to others, have no effect.

    Args:
        inferencer: The classifier.
        index: The training images, or None to show no similar ones.
        port: The port.
        max_upload_mb: Largest upload in MB (2^20 bytes).
        title: Title of the page.

    Yields:
        Gradio's running blocks; ``local_url`` is their address.

    Raises:
        OSError: The port is taken.
    """
    with tempfile.TemporaryDirectory(prefix='kmcl_webapp_') as folder, _gradio_environment(folder):
        blocks = make_blocks(Page(inferencer, index), title)
        try:
            _launch(blocks, folder, port, max_upload_mb)
            yield blocks
        finally:
            blocks.close(verbose=False)


def _launch(blocks: gr.Blocks, folder: str, port: int, max_upload_mb: float) -> None:
    middleware = [
        # Against DNS rebinding: another site whose name points to this address could read the answers.
        Middleware(TrustedHostMiddleware, allowed_hosts=list(_HOSTS)),
        Middleware(OwnPageOnly, folder=folder),
    ]
    try:
        blocks.launch(
            server_name=ADDRESS,
            server_port=port,
            max_file_size=int(max_upload_mb * 2**20),
            app_kwargs=dict(middleware=middleware, openapi_url=None),
            css=CSS,
            theme=THEME,
            footer_links=[],
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
        )
    except OSError as error:
        raise OSError(
            f'The page cannot be served on port {port} of {ADDRESS}: {error}. Use another port above 1023 (--port).'
        ) from error


class OwnPageOnly:
    """Middleware that refuses requests of other sites, and requests for files that were not uploaded.

    Args:
        app: The application that answers all other requests.
        folder: Folder of the uploaded files.
    """

    def __init__(self, app: ASGIApp, folder: str) -> None:
        self._app, self._folder = app, Path(folder).resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it with status 403."""
        if scope['type'] == 'http' and not (self._is_own(Headers(scope=scope)) and self._is_uploaded(scope['path'])):
            await PlainTextResponse('Refused.', status_code=403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_own(self, headers: Headers) -> bool:
        """Whether the request is not sent by a page of another site."""
        origin = headers.get('origin')
        return origin is None or urlsplit(origin).netloc == headers.get('host')

    def _is_uploaded(self, path: str) -> bool:
        """Whether the path is no file, or an uploaded one."""
        for route in _FILE_ROUTES:
            if path.startswith(route):
                return Path(unquote(path.removeprefix(route))).resolve().is_relative_to(self._folder)
        return True


@contextmanager
def _gradio_environment(folder: str) -> Iterator[None]:
    """Set the environment variables of Gradio for a page that sends nothing elsewhere."""
    before = {name: value for name, value in os.environ.items() if name.startswith('GRADIO_')}
    own = dict(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED='False')
    for name in before:
        del os.environ[name]
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            del os.environ[name]
        os.environ.update(before)
