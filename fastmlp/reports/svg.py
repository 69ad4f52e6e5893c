"""Figures of matplotlib as SVG within a page, in the page's own colours and letters.

matplotlib draws with colours that only stand for those of the page, and without any text of a
table: :class:`Names` gives it words to measure instead, which are replaced in the finished picture.
So no name can be taken for a formula or for markup, and none needs a font that is missing.
"""

import io
import re
from typing import Any
from xml.etree import ElementTree

from .texts import shown

# What stands for colours of the page: text, grid, paper, and the colours of series.
INK, GRID, PAPER = "#000001", "#000002", "#000003"
SERIES = ("#000011", "#000012", "#000013", "#000014", "#000015", "#000016")
_COLORS = {
    "#000000": "currentColor",
    INK: "currentColor",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
    **{color: f"var(--c{i + 1})" for i, color in enumerate(SERIES)},
}
_KEPT_ATTRIBUTES = {
    "clip-path", "d", "fill", "fill-opacity", "font-size", "height", "href", "id", "opacity",
    "points", "r", "stroke", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap",
    "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor", "transform", "width", "x",
    "y",
}  # fmt: skip
_NAMESPACE = re.compile(r"\{[^}]*\}")
_LONG_NUMBER = re.compile(r"(\.\d\d)\d+")


class Names:
    """Texts of a table that stand in a figure.

    Attributes
    ----------
    texts : dict of str to str
        The text for each word that was given in its place.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def word(self, text: object, limit: int = 24) -> str:
        """Return a word of about the width of a text, cut to `limit` characters.

        The word is the only one of its kind, and has neither a dollar sign nor a backslash.
        """
        whole = shown(text, limit)
        word = f"§{len(self.texts)}§".ljust(len(whole), "n")
        self.texts[word] = whole
        return word


def draw(figure: Any, names: Names, prefix: str, title: str, describe: str) -> str:
    """Write a figure as an element ``svg`` of a page.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    names : Names
        What its words stand for.
    prefix : str
        What the names of its elements begin with; another one for each figure of a page.
    title, describe : str
        For those who do not see the figure.

    Returns
    -------
    str
        Markup without scripts, styles or links to anything outside of it.
    """
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fastmlp"}):
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    root = ElementTree.fromstring(file.getvalue())
    _clean(root, names.texts, prefix)
    for name in ("width", "height"):
        del root.attrib[name]
    root.attrib |= {
        "role": "img", "aria-labelledby": f"{prefix}-title {prefix}-desc", "fill": "currentColor",
        "stroke-linejoin": "round", "stroke-linecap": "butt",
    }  # fmt: skip
    for place, (tag, text) in enumerate((("title", title), ("desc", describe))):
        element = ElementTree.Element(tag, {"id": f"{prefix}-{tag}"})
        element.text = text
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _clean(root: Any, texts: dict[str, str], prefix: str) -> None:
    """Rename the elements of a picture, and put the colours of the page and the texts in."""
    box = root.get("viewBox")
    for element in root.iter():
        element.tag = _NAMESPACE.sub("", element.tag)
        for child in list(element):
            if _NAMESPACE.sub("", child.tag) in ("metadata", "style"):
                element.remove(child)
        attributes = {_NAMESPACE.sub("", name): v for name, v in element.attrib.items()}
        attributes |= _declarations(attributes.pop("style", ""))
        element.attrib.clear()
        for name, value in attributes.items():
            if name in _KEPT_ATTRIBUTES:
                element.set(name, _value(name, value, prefix))
        if element.text is not None:
            found = texts.get(element.text.strip())
            element.text = found if found is not None else element.text.strip() or None
        element.tail = None
    root.set("viewBox", box)
    _forget_ids(root)


def _declarations(style: str) -> dict[str, str]:
    """Return the declarations of a style as attributes; a font has its size alone."""
    found = {}
    for declaration in filter(None, map(str.strip, style.split(";"))):
        name, _, value = declaration.partition(":")
        if name == "font":
            name, value = "font-size", re.search(r"[\d.]+px", value)[0]  # type: ignore[index]
        found[name.strip()] = value.strip()
    return found


def _value(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return f"{prefix}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    if name == "clip-path":
        return value.replace("url(#", f"url(#{prefix}-")
    if name in ("fill", "stroke"):
        return _COLORS.get(value, value)
    return _LONG_NUMBER.sub(r"\1", value) if name in ("d", "x", "y", "transform") else value


def _forget_ids(root: Any) -> None:
    """Remove the names of elements that nothing refers to."""
    used = set()
    for element in root.iter():
        used.add(element.get("href", "").removeprefix("#"))
        used.add(element.get("clip-path", "").removeprefix("url(#").removesuffix(")"))
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
