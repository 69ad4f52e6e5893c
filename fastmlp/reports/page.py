"""The page of a report: markup, style and a few lines of script in one file.

All texts are escaped by the template engine, figures have no text that is not, and the policy in
the head of the page lets a browser run and load nothing else.
"""

import base64
import hashlib
import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..exceptions import InputError
from .blocks import Page, Picture
from .svg import draw

# The first lines of a page, by which it is known; its template begins with them.
MARK = "<!doctype html>\n<!-- a report of fastmlp -->"
_FOLDER = Path(__file__).parent / "templates"


def require_jinja() -> Any:
    """Return the template engine, or refuse a report without it.

    Raises
    ------
    InputError
        When it is missing; the message says how to install it.
    """
    try:
        return importlib.import_module("jinja2")
    except ModuleNotFoundError:
        raise InputError(
            "a report needs the package jinja2: pip install 'fastmlp[report]'"
        ) from None


def is_report(path: Path) -> bool:
    """Tell whether a file is a page that this module has written."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MARK)) == MARK.encode()
    except OSError:
        return False


def render(page: Page) -> str:
    """Write a page as HTML.

    Parameters
    ----------
    page : Page

    Returns
    -------
    str
    """
    jinja2 = require_jinja()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_keep_together,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((_FOLDER / name).read_text("utf-8") for name in ("page.css", "page.js"))
    drawings = _Drawings()
    markup = importlib.import_module("markupsafe").Markup
    return str(
        environment.get_template("page.html").render(
            page=page,
            style=markup(style),
            script=markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
            draw=lambda picture: markup(drawings.draw(picture)),
            today=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )


def _keep_together(value: Any) -> Any:
    """Let no line end between a number and its percent sign."""
    return value.replace(" %", "\N{NO-BREAK SPACE}%") if type(value) is str else value


class _Drawings:
    """Draws pictures, each with names of its own within the page."""

    def __init__(self) -> None:
        self._count = 0

    def draw(self, picture: Picture) -> str:
        self._count += 1
        return draw(
            picture.figure, picture.names, f"f{self._count}", picture.title, picture.describe
        )


def _hash(text: str) -> str:
    """Return the name of a style or a script in a policy of the page's content."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
