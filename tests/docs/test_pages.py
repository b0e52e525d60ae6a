"""What the tests of the pages read off them."""

import pytest

from tests.docs.pages import PAGES, blocks


def test_a_block_after_one_of_another_language_is_read(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('```{eval-rst}\n.. plot::\n```\nText\n```bash\nmake demo\n```\n```\nplain\n```\n')
    assert blocks(page, 'bash') == ['make demo\n'] and blocks(page, '') == ['plain\n']


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize('language', ['bash', 'python'])
def test_every_block_of_a_page_is_read(page, language):
    assert len(blocks(page, language)) == page.read_text().splitlines().count(f'```{language}')
