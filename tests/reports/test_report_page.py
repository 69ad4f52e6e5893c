"""The page of a report: what a browser makes of it, and what names from a table can do in it."""

import re
from html.parser import HTMLParser

import browser
import pytest

from fastmlp.reports.page import MARK, is_report
from fastmlp.reports.svg import Names

# Everything that a browser could load or run.
LOADS = {"img", "iframe", "object", "embed", "link", "video", "audio", "source", "base", "form",
         "input", "image", "feimage", "foreignobject", "animate", "set"}  # fmt: skip


class Elements(HTMLParser):
    """Collects the elements and the texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.found, self.texts, self._open = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._open = tag

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self._open not in ("style", "script"):
            self.texts.append(data)


def test_names_are_texts_and_nothing_else(hostile_page):
    text = hostile_page.read_text("utf-8")
    page = Elements(text)
    tags = [tag for tag, _ in page.found]
    assert tags.count("script") == tags.count("style") == 1
    assert not LOADS & set(tags)
    for _, attributes in page.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action", "xlink:href"):
            assert attributes.get(name, "#").startswith("#")
        assert "url(" not in attributes.get("fill", "")
    whole = "".join(page.texts)
    assert "<script>document.title='hit'</script>" in whole and "{{ 7 * 7 }}" in whole
    assert "$x^2$ \\frac{1}{2}" in whole
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e]", text)
    assert "\\u202egnp.exe \\x1b[31m red" in whole
    assert "§" not in whole


def test_ids_are_unique_and_references_lead_somewhere(hostile_page):
    page = Elements(hostile_page.read_text("utf-8"))
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids)) > 20
    for _, attributes in page.found:
        used = [attributes.get("href", "")[1:], attributes.get("clip-path", "")[5:-1]]
        used += attributes.get("aria-labelledby", "").split()
        assert set(filter(None, used)) <= set(ids)


def test_every_figure_has_a_title_and_a_description(hostile_page):
    text = hostile_page.read_text("utf-8")
    figures = re.findall(r"<svg .*?</svg>", text, re.DOTALL)
    assert len(figures) > 8
    for figure in figures:
        assert 'role="img"' in figure
        assert all(
            re.search(rf"<{tag} id=[^>]*>[^<]+</{tag}>", figure) for tag in ("title", "desc")
        )
        # All colours are those of the page.
        colors = set(re.findall(r'(?:fill|stroke)="([^"]*)"', figure))
        assert all(re.fullmatch(r"none|currentColor|var\(--\w+\)", color) for color in colors)


def test_words_in_figures_are_no_formulas():
    names = Names()
    words = [names.word(text) for text in ("$a$", "a\\b", "", "x" * 100)]
    assert len(set(words)) == 4 and not set("$\\") & set("".join(words))
    assert [len(names.texts[word]) for word in words] == [3, 3, 0, 24]


def test_a_page_is_known_by_its_first_line(hostile_page, tmp_path):
    assert is_report(hostile_page) and hostile_page.read_text("utf-8").startswith(MARK)
    other = tmp_path / "other.html"
    other.write_text("<!doctype html>\n<p>mine")
    assert not is_report(other) and not is_report(tmp_path / "missing.html")


# WCAG's ratio of contrast between two colours, such as "rgb(1, 2, 3)".
CONTRAST = """
(() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((x) => {
      x /= 255;
      return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (top, below) => {
    const [r, g, b, a = 1] = top.match(/[\\d.]+/g).map(Number);
    const back = below.match(/[\\d.]+/g).map(Number);
    return `rgb(${[r, g, b].map((x, i) => a * x + (1 - a) * back[i]).join(", ")})`;
  };
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const found = [];
  for (const element of document.querySelectorAll("p, li, th, td, small, a, caption, h1, h2, h3")) {
    let back = paper;
    const chain = [];
    for (let at = element; at !== document.body; at = at.parentElement) chain.unshift(at);
    for (const one of chain) back = over(getComputedStyle(one).backgroundColor, back);
    found.push(ratio(getComputedStyle(element).color, back));
  }
  for (const text of document.querySelectorAll("svg text")) {
    found.push(ratio(getComputedStyle(text).fill, paper));
  }
  return Math.min(...found);
})()
"""


@pytest.fixture(scope="module")
def chromium():
    if browser.find() is None:
        pytest.skip("needs Chromium")
    with browser.Browser() as opened:
        yield opened


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_page(chromium, hostile_page, width, scheme):
    chromium.open(hostile_page, width, scheme=scheme)
    title = chromium.run("document.title")
    assert title.startswith("Predicting") and "</title><script>" in title
    asked = [e["params"] for e in chromium.events if e["method"] == "Network.requestWillBeSent"]
    assert [one["request"]["url"] for one in asked] == [hostile_page.as_uri()]
    silent = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}
    assert not [event for event in chromium.events if event["method"] in silent]
    assert chromium.run("document.documentElement.scrollWidth") == width
    # What is wider than the window scrolls by itself; figures are never wider.
    widest = "Math.max(...[...document.querySelectorAll('svg')].map((x) => x.scrollWidth))"
    assert 200 < chromium.run(widest) <= width
    assert chromium.run(CONTRAST) >= 4.5
    paper = chromium.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_click_sorts_a_table(chromium, hostile_page):
    chromium.open(hostile_page)
    column = "[...document.querySelector('table.sorts').tBodies[0].rows].map((r) => %s)"
    rows = column % "Number(r.cells[1].dataset.key)"
    click = "document.querySelectorAll('table.sorts th button')[1].click()"
    chromium.run(click)
    falling = chromium.run(rows)
    chromium.run(click)
    assert chromium.run(rows) == sorted(falling) == falling[::-1]
    head = "document.querySelectorAll('table.sorts th')[1].getAttribute('aria-sort')"
    assert chromium.run(head) == "ascending"


def test_the_page_prints(chromium, hostile_page, tmp_path):
    chromium.open(hostile_page, scheme="dark")
    chromium.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    chromium.ask("Emulation.setEmulatedMedia", media="print")
    paper = "getComputedStyle(document.documentElement).getPropertyValue('--paper')"
    assert chromium.run(paper).strip() == "#ffffff"
    assert chromium.run("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_a_policy_forbids_all_but_the_own_style_and_script(chromium, hostile_page, tmp_path):
    """It holds where something else got into the page."""
    other = tmp_path / "changed.html"
    text = hostile_page.read_text("utf-8")
    more = "<script>document.title='hit'</script><img src='other.png'><p style='color:red'>x</p>"
    other.write_text(text.replace("</main>", f"{more}</main>"), "utf-8")
    chromium.open(other)
    assert chromium.run("document.title") != "hit"
    logged = [event for event in chromium.events if event["method"] == "Log.entryAdded"]
    assert len(logged) == 3
