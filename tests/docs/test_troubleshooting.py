"""The page of error messages quotes what the package says."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

PAGE = ROOT / 'docs/troubleshooting.md'
# A quotation: a line in a block quote, in one or two backticks.
QUOTED = re.findall(r'^> (?:`` ?(.+?) ?``|`(.+?)`)$', PAGE.read_text(), flags=re.MULTILINE)
MESSAGES = [double or single for double, single in QUOTED]


def text_of(node: ast.AST) -> str | None:
    """The text of a string or f-string in the source, … for each value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return ''.join(part.value if isinstance(part, ast.Constant) else '…' for part in node.values)
    return None


def texts() -> Iterator[str]:
    for folder in ('kmcl_mm', 'tools'):
        for path in (ROOT / folder).rglob('*.py'):
            yield from filter(None, map(text_of, ast.walk(ast.parse(path.read_text()))))


TEXTS = list(texts())


def is_quoted_from(message: str, text: str) -> bool:
    """… in a message stands for one value, and at its end for what follows."""
    pattern = '.+'.join(re.escape(part) for part in message.split('…'))
    return re.search(pattern, text) is not None


def test_each_quotation_of_the_page_is_seen():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith('>')]
    assert len(MESSAGES) == len(lines) > 20


@pytest.mark.parametrize('message', MESSAGES)
def test_the_source_has_the_message(message):
    assert any(is_quoted_from(message, text) for text in TEXTS)
    # A quotation of nothing but common words would be found anywhere.
    assert max(len(part) for part in message.split('…')) > 15


def test_a_message_that_nobody_raises_is_not_found():
    assert not any(is_quoted_from('Expected … to be a teapot, but got …', text) for text in TEXTS)
