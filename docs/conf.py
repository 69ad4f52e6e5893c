"""How Sphinx builds the site: ``python -m sphinx -W --keep-going docs docs/_build/html``.

Everything that a page needs is a file of the site, so that it works without a network.
"""

import ast
import re
import shutil
import sys
from functools import cache
from pathlib import Path

import fastmlp

_DOCS = Path(__file__).parent
sys.path[:0] = [str(_DOCS), str(_DOCS / "extensions")]

project = "fastmlp"
author = "The fastmlp developers"
version = release = fastmlp.__version__
copyright = f"2026, {author}"

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    # In the folder extensions:
    "from_code",
    "gallery",
    "mathml",
]

exclude_patterns = ["_build"]
templates_path = ["_templates"]
root_doc = "index"
nitpicky = True
# Types of other packages are named in docstrings; their sites are not asked.
nitpick_ignore_regex = [
    (r"py:.*", r"(sklearn|numpy|np|pandas|scipy|matplotlib|onnx|skops|collections)(\..*)?"),
    (r"py:.*", r"(_io|typing|enum|pathlib|abc|builtins)\..*"),
]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

# Pages of names that are no longer public would stay otherwise.
shutil.rmtree(_DOCS / "api", ignore_errors=True)
autosummary_generate = True
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"
autodoc_inherit_docstrings = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
html_math_renderer = "mathml"
highlight_language = "none"
smartquotes = False  # what is quoted is often typed into a shell
copybutton_exclude = ".linenos, .gp, .go"

html_title = "fastmlp"
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "fastmlp"},
    "navbar_align": "left",
    "header_links_before_dropdown": 9,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# Only these have pages below them.
_WITHOUT_SIDEBAR = (
    "index", "getting-started", "tutorial", "differences", "options", "tables", "gpu", "speed",
    "internals",
)  # fmt: skip
html_sidebars = {page: [] for page in _WITHOUT_SIDEBAR}


def _skip(app, what, name, member, skip, options):
    """Leave out what scikit-learn adds to every estimator."""
    added = name == "set_output" or name.endswith(("_request", "_metadata_routing"))
    return True if added else None


def _escape_shapes(app, what, name, obj, options, lines):
    """Escape names such as those of shapes (n_features_in_,), which would be links."""
    lines[:] = [re.sub(r"(?<=\()(\w+)_(?=[,)])", r"\1\_", line) for line in lines]


def _add_anchor(app, what, name, obj, options, lines):
    """Give a function an anchor with its own module's name, to which the pages of sources link."""
    home = f"{obj.__module__}.{obj.__qualname__}" if what == "function" else name
    if home != name:
        lines += ["", ".. raw:: html", "", f'   <span id="{home}"></span>', ""]


@cache
def _private_names():
    """What the package defines, alone and with its module, public or not."""
    found = set()
    package = Path(fastmlp.__file__).parent
    for path in package.rglob("*.py"):
        module = ".".join(("fastmlp", *path.relative_to(package).with_suffix("").parts))
        found.add(module)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found |= {node.name, f"{module}.{node.name}"}
    return found


def _name_without_page(app, env, node, contnode):
    """A reference to something private is its name; it has to exist all the same."""
    return contnode if node.get("reftarget") in _private_names() else None


def setup(app):
    """Register what Sphinx is to do with docstrings and references."""
    app.connect("missing-reference", _name_without_page)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _escape_shapes, priority=100)
    app.connect("autodoc-process-docstring", _add_anchor, priority=900)  # after numpydoc
