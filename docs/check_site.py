"""Check a built site without a network: ``python docs/check_site.py docs/_build/html``.

Every link to a file of the site and every anchor exists, and no page loads anything from elsewhere.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Elements that load what they name, with the attribute that names it.
_LOADS = {
    "img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src",
    "audio": "src", "embed": "src", "object": "data", "image": "href", "use": "href",
}  # fmt: skip
_LOADING_RELATIONS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "manifest"}
_IN_STYLE_SHEETS = re.compile(r"""(?:url\(|@import\s+(?!url))\s*["']?([^"')\s]+)""")


class _Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loads = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in _LOADS and _LOADS[tag] in given:
            self.loads.append(given[_LOADS[tag]])
        if tag == "link" and _LOADING_RELATIONS & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))
        if "style" in given:
            self.loads += _IN_STYLE_SHEETS.findall(given["style"])

    handle_startendtag = handle_starttag


def faults(folder):
    """What is wrong with a site.

    Parameters
    ----------
    folder : Path
        With the built pages.

    Returns
    -------
    list of str
        One line for each fault.
    """
    # Below _static are the theme's own templates.
    paths = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]
    pages = {path.resolve(): _Page(path.read_text()) for path in paths}
    found = [] if pages else [f"{folder}: no pages"]
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        found += [f"{name}: loads {url}" for url in page.loads if _is_elsewhere(url)]
        for url in (*page.links, *page.loads):
            if not _is_elsewhere(url) and (fault := _fault(url, path, pages)):
                found.append(f"{name}: {fault}")
    for path in sorted(folder.rglob("*.css")):
        for url in _IN_STYLE_SHEETS.findall(path.read_text()):
            if _is_elsewhere(url):
                found.append(f"{path.relative_to(folder)}: loads {url}")
    return found


def _is_elsewhere(url):
    """Whether a URL leads to another machine; what is part of the page itself does not."""
    parts = urlsplit(url)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def _fault(url, page, pages):
    """What is wrong with a link within the site; None if nothing is."""
    parts = urlsplit(url)
    if parts.scheme == "data":
        return None
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return f"no file {url}"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return f"no anchor {url}"
    return None


def main():
    """Print the faults of the site whose folder the command line names."""
    found = faults(Path(sys.argv[1]))
    for line in found:
        print(line, file=sys.stderr)
    print(f"{len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
