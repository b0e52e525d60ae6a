"""The commands and programs on the README, CONTRIBUTING.md and the pages of the site."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

CONTRIBUTING = ROOT / 'CONTRIBUTING.md'
PAGES = [ROOT / 'README.md', CONTRIBUTING, *sorted((ROOT / 'docs').rglob('*.md'))]
_BLOCK = re.compile(r'^```([^\n]*)\n(.*?)^```', flags=re.DOTALL | re.MULTILINE)
# A command within a sentence: more than the name of a program or a file.
_INLINE = re.compile(r'(?<!`)`((?:python|pip|make|tools/\w+\.sh)\s[^`]+)`(?!`)')
# What bash starts instead of the programs: it writes down the words that it is given.
_RECORDER = '#!/bin/bash\nprintf "%s\\0" "${0##*/}" "$@" >> "$RECORD"; printf "\\n" >> "$RECORD"\n'
_PROGRAMS = ('python', 'pip', 'make', 'git', 'tensorboard', 'cd', 'source')


class Command(NamedTuple):
    """A command on a page, in words as bash gives them to a program; patterns of files stand as they are."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f'{self.page}: {" ".join(self.words)}'


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [text for name, text in _BLOCK.findall(page.read_text()) if name == language]


def commands() -> Iterator[Command]:
    """Every command of every page, each once a page; the shell scripts of tools/ as what they start."""
    for page in PAGES:
        inline = [' '.join(text.split()) for text in _INLINE.findall(_BLOCK.sub('', page.read_text()))]
        for words in dict.fromkeys(_started_by('\n'.join([*blocks(page, 'bash'), *inline]))):
            yield Command(str(page.relative_to(ROOT)), words)


def _started_by(script: str) -> list[tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        for name in _PROGRAMS:
            path = Path(folder, name)
            path.write_text(_RECORDER)
            path.chmod(0o755)
        record = Path(folder, 'record')
        record.touch()
        # `cd` and `source` are bash's own, unless they are functions.
        functions = '\n'.join(f'{name}() {{ {folder}/{name} "$@"; }}' for name in ('cd', 'source'))
        environment = dict(PATH=f'{folder}{os.pathsep}{os.environ["PATH"]}', RECORD=str(record))
        subprocess.run(['bash', '-c', f'set -euf\n{functions}\n{script}'], cwd=ROOT, env=environment, check=True)
        return [tuple(line.split('\0')) for line in record.read_text().split('\0\n')[:-1]]
