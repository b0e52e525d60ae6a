"""The links of the README, CONTRIBUTING.md and the pages lead somewhere in the repository too."""

import re

import pytest

from tests.conftest import ROOT
from tests.docs.pages import PAGES


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file(page):
    for target in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        if not target.startswith(('https://', '#')):
            assert (page.parent / target.partition('#')[0]).is_file(), target


def test_every_page_is_linked_in_the_readme():
    """The reference is on the site alone."""
    linked = set(re.findall(r'\]\((docs/\w+\.md)\)', (ROOT / 'README.md').read_text()))
    pages = {f'docs/{page.name}' for page in PAGES if page.parent == ROOT / 'docs'}
    assert linked == pages - {'docs/index.md'}
