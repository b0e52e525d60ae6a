"""Equations as MathML, which browsers draw by themselves.

Sphinx's own ways need MathJax, which its pages load from the network, or a LaTeX installation. Docutils, which Sphinx
stands on, translates LaTeX to MathML: the site reads offline, without a script and without another package.
"""

import re

from docutils.nodes import Node, SkipNode
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer; Sphinx uses it because it is the only one."""
    app.add_html_math_renderer('mathml', inline_renderers=(_visit_inline, None), block_renderers=(_visit_block, None))
    return dict(parallel_read_safe=True, parallel_write_safe=True)


def _visit_inline(translator, node: Node) -> None:
    translator.body.append(_mathml(node, as_block=False))
    raise SkipNode


def _visit_block(translator, node: Node) -> None:
    translator.body.append(f'<div class="math">{_mathml(node, as_block=True)}</div>')
    raise SkipNode


def _mathml(node: Node, as_block: bool) -> str:
    """The equation of a node; one that cannot be translated is a warning, which ends the build."""
    source = node.astext()
    if re.search(r'\\[dt]?frac\s*\d', source):
        logger.warning(
            'Docutils takes \\frac12 for 12 over what follows: write \\frac{1}{2} in %s', source, location=node
        )
    try:
        return str(tex2mathml(source, as_block=as_block))
    except MathError as error:
        logger.warning('%s in %s', error, source, location=node)
        return ''
