"""What setup.py says about the package."""

import runpy
from typing import Any
from unittest import mock

from tests.conftest import ROOT


def setup_arguments() -> dict[str, Any]:
    """The arguments of setup.py's ``setup(...)``."""
    with mock.patch('setuptools.setup') as setup:
        runpy.run_path(str(ROOT / 'setup.py'))
    return setup.call_args.kwargs
