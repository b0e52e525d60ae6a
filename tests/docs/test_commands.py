"""Every command on the README, CONTRIBUTING.md and the pages is run.

With small data, or where ELSEWHERE says why not, by another test.

bash splits and expands the commands (pages.py), and each program runs in a process of its own (child.py) in a folder
that has what it reads (workplace.py), word by word as on the page but for the names in capitals.
"""

import glob
import importlib.util
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tensorboard.default import get_plugins
from tensorboard.program import TensorBoard
from torch.distributed.run import parse_args as parse_launch

from tests.apps.webapp.conftest import free_port
from tests.conftest import ROOT
from tests.docs.child import run_python
from tests.docs.pages import commands
from tests.docs.setup_arguments import setup_arguments
from tests.docs.workplace import best_checkpoint

# Programs that are not run here: why, and what runs them. Their arguments are parsed all the same, where they have any.
ELSEWHERE = {
    'torch.distributed.run': 'starts several processes; tests/test_tools.py runs the scripts on two',
    'benchmarks.loss': 'minutes and 8 GB; tests/test_benchmarks.py measures small cases',
    'benchmarks.step': 'minutes and 24 GB; tests/test_benchmarks.py measures small cases',
    'benchmarks.loader': 'minutes; tests/test_benchmarks.py measures small cases',
    'benchmarks.inference': 'minutes; tests/test_benchmarks.py measures small cases',
    'benchmarks.votes': 'minutes; tests/test_benchmarks.py measures a small case',
    'benchmarks.voc07': 'hours, and VOC; tests/test_voc07_benchmark.py runs its parts',
    'benchmarks.voc07.uncertainty': 'minutes and the features of VOC; tests/test_benchmarks.py runs its parts',
    'tests.fuzz': 'tests/fuzz/test_mutated_inputs.py tries the same inputs',
    'tests.kill_training': 'many minutes; tests/test_kill_training.py kills two trainings',
    'tests.soak': 'an hour',
    'tests.distributed_training': 'minutes; tests/modules/test_kmcl_loss_distributed.py runs its cases',
    'tests.metric_judges': 'tests/evaluation calls the same judges',
    'pytest': 'a test, which runs by itself',
    'examples/pytorch.py': 'tests/examples/test_examples.py runs it without MMPretrain',
    'examples/lightning.py': 'tests/examples/test_examples.py runs it without MMPretrain',
}
WITHOUT_ARGUMENTS = ('tests.distributed_training', 'tests.metric_judges')
# Other packages that a page installs, on the advice of kmcl_mm/host.py.
ADVISED = ('transformers<5',)
CONFIG = 'configs/kmcl_tresnet_m_custom.py'
PLACEHOLDERS = dict(
    CONFIG=CONFIG,
    DIR='work_dirs/resumed',
    N='2',
    FILE='weights.pth',
    FOLDER='photos',
    REPOSITORY=str(ROOT),
    RUN='kmcl_tresnet_m_custom',
)
COMMANDS = list(commands())


@pytest.fixture(scope='module')
def done() -> set[tuple[str, ...]]:
    """The commands that have run on a page before: they have left what they write."""
    return set()


@pytest.mark.parametrize('page', list(dict.fromkeys(command.page for command in COMMANDS)))
def test_the_commands_of_a_page(page, workplace, done):
    """In their order: one may need what another has written."""
    for command in COMMANDS:
        if command.page == page and command.words not in done:
            _run(command.words, workplace)
            done.add(command.words)


def _run(words: Sequence[str], folder: Path) -> None:
    program, *arguments = words
    if program == 'python':
        _run_python(_filled_in(arguments, folder), folder)
    elif program == 'pip':
        _check_requirement(arguments)
    elif program == 'make':
        subprocess.run(['make', '--dry-run', *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    elif program == 'git':
        subprocess.run([program, *_filled_in(arguments, folder)], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    elif program == 'tensorboard':
        TensorBoard(get_plugins()).configure(words)
    elif program == 'cd':
        assert (folder / arguments[0] / 'Makefile').is_file()
    else:
        assert words == ('source', '.venv/bin/activate') and 'VENV := .venv' in (ROOT / 'Makefile').read_text()


def _filled_in(words: Sequence[str], folder: Path) -> list[str]:
    """The words with names for those in capitals, and files for patterns."""
    known = dict(PLACEHOLDERS)
    if 'reference_to_kmcl.py' in words[0]:
        known.update(IN='published.pth', OUT='converted.pth')
    elif re.search(r'\b(CHECKPOINT|OUT)\b', ' '.join(words)):
        config = next((word for word in words if word.startswith('configs/')), CONFIG)
        known['CHECKPOINT'] = known['OUT'] = best_checkpoint(folder, config)
    pattern = r'(?<![A-Z_])(' + '|'.join(known) + r')(?![A-Z_])'
    words = [re.sub(pattern, lambda match: known[match[1]], word) for word in words]
    return [path for word in words for path in (sorted(glob.glob(word, root_dir=folder)) or [word])]


def _run_python(words: list[str], folder: Path) -> None:
    options: dict = {}
    if words[0] == 'tools/webapp.py':
        words, options = [*words, '--port', str(free_port())], dict(stop_after='The page: http://127.0.0.1')
    elif words[0] == '-c':
        compile(words[1], '-c', 'exec')
        return
    elif words[0] in ELSEWHERE:
        assert len(words) == 1 and (ROOT / words[0]).is_file()
        return
    elif words[:2] == ['-X', 'dev']:
        words = words[2:]
    elif words[0] == '-m' and words[1] in ELSEWHERE:
        assert importlib.util.find_spec(words[1])
        if words[1] in WITHOUT_ARGUMENTS:
            assert len(words) == 2
            return
        if words[1] == 'pytest':
            assert all((ROOT / word).exists() for word in words[2:] if not word.startswith('-'))
            return
        if words[1] == 'torch.distributed.run':
            launch = parse_launch(words[2:])
            words = [launch.training_script, *launch.training_script_args]
            assert (folder / words[1]).is_file()
        options = dict(parse_only=True)
    ended = run_python(words, folder, **options)
    assert ended.status == 0, f'{" ".join(words)}\n{ended.output[-5000:]}'
    if 'stop_after' in options:
        assert options['stop_after'] in ended.output


def _check_requirement(arguments: Sequence[str]) -> None:
    """`pip install` is for this package with extras that it has, which .ci/run installs, or what a message advises."""
    install, *editable, requirement = arguments
    assert install == 'install' and editable in ([], ['-e'])
    if requirement in ADVISED:
        assert f'pip install "{requirement}"' in (ROOT / 'kmcl_mm/host.py').read_text()
        return
    requirement = Requirement(re.sub(r'^\.', 'kmcl_mm', requirement) if editable else requirement)
    assert requirement.name == 'kmcl_mm' and requirement.extras <= set(setup_arguments()['extras_require'])


def test_what_is_run_elsewhere_is_on_a_page():
    """No excuse is left over."""
    commands_of_python = [command.words[1:] for command in COMMANDS if command.words[0] == 'python']
    assert set(ELSEWHERE) <= {words[words[0] == '-m'] for words in commands_of_python}
