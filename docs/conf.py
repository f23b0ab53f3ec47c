"""How Sphinx builds these pages; CONTRIBUTING.md has the command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pallets_sphinx_themes import get_version

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "flask-whop"
author = "the flask-whop authors"
copyright = "2026 the flask-whop authors"  # noqa: A001  # Sphinx's name for it
release, version = get_version("flask-whop")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "pallets_sphinx_themes",
    "whop_reference",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["extensions", "monitoring"]
# The theme's own domains resolve no links of Markdown.
suppress_warnings = ["myst.domains"]

myst_enable_extensions = [
    "attrs_block",
    "attrs_inline",
    "colon_fence",
    "deflist",
    "fieldlist",
]
myst_heading_anchors = 3

smartquotes_action = "qe"  # a double hyphen begins an option
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
# What other libraries define has no page here, and a build needs no network to say so.
# Neither have type variables, and the pages of events are not autodoc's.
_VARIABLES = "E|EventT|EventT_co|EventT_contra|ReceiverT|ResultT"
nitpick_ignore_regex = [
    (r"py:.*", r"(?!flask_whop\.).*"),
    (r"py:.*", rf"flask_whop\..*\.({_VARIABLES}|_\w+)"),
    (r"py:.*", r"flask_whop\.events\.\w+(\.\w+)?"),
]

# Links to other projects' pages are only made where there is a network to look them up.
intersphinx_mapping = (
    {
        "python": ("https://docs.python.org/3/", None),
        "flask": ("https://flask.palletsprojects.com/", None),
        "blinker": ("https://blinker.readthedocs.io/", None),
    }
    if "READTHEDOCS" in os.environ
    else {}
)
linkcheck_retries = 2
linkcheck_timeout = 20
linkcheck_anchors = False

html_theme = "flask"
html_title = "flask-whop"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_extra_path = ["_extra"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {
    "index": ["navigation.html", "searchbox.html"],
    "**": ["navigation.html", "localtoc.html", "relations.html", "searchbox.html"],
}
templates_path = ["_templates"]
