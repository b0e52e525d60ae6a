"""Settings of the site: `make docs` builds it into docs/_build/html."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'docs/extensions')]

from sphinx.ext.napoleon import Config, GoogleDocstring  # noqa: E402

from kmcl_mm import __version__  # noqa: E402

project = 'kmcl_mm'
release = __version__

extensions = [
    'myst_parser',  # the pages are Markdown, which reads well in the repository too
    'sphinx.ext.autodoc',  # the reference is the docstrings
    'sphinx.ext.viewcode',
    'matplotlib.sphinxext.plot_directive',  # figures are drawn when the site is built, by docs/figures/*.py
    'sphinx_copybutton',
    'mathml',  # docs/extensions: equations without a script from the network
]
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = f'kmcl_mm {release}'
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_static_path = ['static']
html_css_files = ['site.css']

myst_enable_extensions = ['dollarmath']
myst_heading_anchors = 3

autodoc_member_order = 'bysource'
autodoc_typehints_format = 'short'

plot_formats = ['svg']
plot_html_show_formats = False
plot_html_show_source_link = False

# With -n Sphinx asks that every name leads somewhere. Names of other packages would need their sites, and so a network.
nitpick_ignore_regex = [('py:.*', r'(?!kmcl_mm\b).*')]


def leave_out(app, what, name, member, skip, options):
    """Leave out the fields of named tuples, which their docstrings describe."""
    return True if type(member).__name__ == '_tuplegetter' else None


def read_docstring(app, what, name, member, options, lines):
    """Let Napoleon read a docstring in Google's style.

    As the extension does, whose other half stops at private methods that MMCV caches random numbers for.
    """
    lines[:] = GoogleDocstring(lines, Config(napoleon_use_rtype=False), app, what, name, member, options).lines()


def setup(app):
    app.connect('autodoc-skip-member', leave_out)
    app.connect('autodoc-process-docstring', read_docstring)
