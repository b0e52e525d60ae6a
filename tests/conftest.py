"""Material that several tests share."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / 'shared'
_FULL = SHARED / 'golden/kmcl_reference.npz'
GOLDEN = _FULL if _FULL.is_file() else ROOT / 'tests/data/kmcl_reference_few.npz'
GOLDEN_CASES = json.loads(GOLDEN.with_suffix('.json').read_text())


class Golden:
    """Numbers of one case, printed by the reference implementation."""

    def __init__(self, case: str) -> None:
        self.settings = GOLDEN_CASES[case]
        self.tensors = {
            name.removeprefix(f'{case}/'): torch.from_numpy(np.asarray(value))
            for name, value in np.load(GOLDEN).items()
            if name.startswith(f'{case}/')
        }

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.tensors[name]


@pytest.fixture
def golden(request) -> Golden:
    return Golden(request.param)


def golden_cases(prefix: str):
    """Parametrize a test over the golden cases whose name begins so."""
    return pytest.mark.parametrize('golden', [case for case in GOLDEN_CASES if case.startswith(prefix)], indirect=True)


def random_batch(images=6, labels=5, dimensions=4, covariance='anisotropic', dtype=torch.float64, seed=0):
    """Embedding, logits, mean, variance and target of a batch in which some images share labels."""
    generator = torch.Generator().manual_seed(seed)
    shape = (images, labels) if covariance == 'isotropic' else (images, dimensions, labels)

    def draw(*size):
        return torch.randn(*size, generator=generator, dtype=dtype)

    target = (torch.rand(images, labels, generator=generator) < 0.4).to(dtype)
    return draw(images, dimensions), draw(images, labels), draw(*shape), 1 + draw(*shape).abs(), target


@pytest.fixture
def shared_data() -> Path:
    """Folder of real images; the test is skipped where it is not there."""
    folder = SHARED / 'data'
    if not folder.is_dir():
        pytest.skip('the real images in shared/data are not here')
    return folder


@pytest.fixture(scope='module')
def browser():
    """A headless Chromium; the test is skipped where there is none."""
    path = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    if path is None:
        pytest.skip('there is no Chromium here (apt-get install chromium)')
    with sync_playwright() as playwright:
        # No sandbox, since tests may run as root in a container; nothing that asks for more than the page.
        switches = 'no-sandbox disable-gpu disable-quic no-first-run disable-background-networking'
        switches += ' disable-component-update disable-sync'
        browser = playwright.chromium.launch(executable_path=path, args=[f'--{switch}' for switch in switches.split()])
        yield browser
        browser.close()
