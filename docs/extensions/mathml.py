"""Formulas as MathML, which browsers draw themselves: no script, no font and no network."""

import re
from html import escape

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from sphinx.util import logging

_CLOSE = r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>'
_log = logging.getLogger(__name__)


def _mathml(node, display):
    try:
        found = convert(node.astext(), display=display)
    except Exception as error:  # whatever the converter stumbles over is a mistake in a formula
        _log.warning("formula that cannot be drawn: %s (%r)", node.astext(), error, location=node)
        return f"<code>{escape(node.astext())}</code>"
    # Bars of a norm neither grow nor stand apart, and functions stand beside their brackets.
    return re.sub(r"<mo>(&#x0007C;|&#x02016;|\||[a-z]{3,})</mo>", _CLOSE, found)


def _visit_inline(translator, node):
    translator.body.append(_mathml(node, "inline"))
    raise SkipNode


def _visit_block(translator, node):
    translator.body.append(f'<div class="formula">{_mathml(node, "block")}</div>\n')
    raise SkipNode


def setup(app):
    """Register the renderer that ``html_math_renderer`` names."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
