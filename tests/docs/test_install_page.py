"""The table of docs/install.md against setup.py."""

import re

from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.docs.setup_arguments import setup_arguments

PAGE = (ROOT / 'docs/install.md').read_text(encoding='utf-8')
# Extra -> what it brings.
ROWS = {
    name.strip('`'): set(re.findall(r'`([\w-]+)`', cell))
    for name, cell in re.findall(r'^\| (none|`\w+`) \| [^|]+ \| ([^|]+) \|$', PAGE, re.MULTILINE)
}
ARGUMENTS = setup_arguments()
EXTRAS = {'none': ARGUMENTS['install_requires'], **ARGUMENTS['extras_require']}


def distributions(extra):
    """What a row of the table names, and for another extra what its row names."""
    names = ROWS[extra]
    others = (names & set(ROWS)) - {extra}
    return set().union(names - others, *map(distributions, others))


def test_every_extra_has_a_row():
    assert set(ROWS) == set(EXTRAS)


def test_a_row_names_what_the_extra_brings():
    for extra, requirements in EXTRAS.items():
        assert distributions(extra) == {Requirement(text).name for text in requirements}, extra
