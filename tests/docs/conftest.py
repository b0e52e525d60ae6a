"""The folder in which commands and programs of the pages run."""

from pathlib import Path

import pytest

from tests.docs.workplace import furnish


@pytest.fixture(scope='session')
def workplace(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('workplace')
    furnish(folder)
    return folder
