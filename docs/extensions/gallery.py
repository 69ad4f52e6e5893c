"""A page for each experiment of ``fastmlp.demos``, made by running it.

Pages and pictures are written to ``docs/gallery`` before Sphinx looks for its sources, and only
where they are older than the package.
"""

import re
from pathlib import Path

import matplotlib

matplotlib.use("agg")

from sphinx.util import logging
from sphinx.util.display import status_iterator

import fastmlp
from fastmlp import demos, plotting

# The panel of each picture that is its thumbnail: a whole picture could not be read at its size.
_PANELS = {
    "xor": 1,
    "threshold-units": 1,
    "spiral": 1,
    "circle": 2,
    "digits": 1,
    "boolean-functions": 1,
}
_log = logging.getLogger(__name__)

_PAGE = """\
# {title}

{summary}

Topic: {topic}.

```python
from fastmlp import demos

result = demos.{function}(seed=0)
figure = result.plot()
```

The same from the shell: `fastmlp demo {name} --plot {name}.png`. The parameters are those of
{{py:func}}`fastmlp.demos.{function}`.{playground}

:::{{div}} picture
![{title}: the picture that the program above draws]({name}.png)
:::

{table}

{findings}

:::{{admonition}} What is to be learned from it
:class: tip

{lesson}
:::
"""

_PLAYGROUND = (
    """ To try it in [the playground](../playground.md): `fastmlp playground --lesson {lesson}`."""
)

_INDEX = """\
# Gallery

Classic experiments, from exclusive or to vanishing gradients. Each takes seconds, and gives a
table, what to see in it, and a picture: from the shell with `fastmlp demo`, from Python with the
functions of {{py:mod}}`fastmlp.demos`.

::::{{grid}} 1 2 2 2
:gutter: 3

{cards}
::::

```{{toctree}}
:hidden:

{names}
```
"""

_CARD = """\
:::{{grid-item-card}} {title}
:link: {name}
:link-type: doc
:img-top: {name}-thumbnail.png
:class-img-top: thumbnail
:footer: {topic}

{summary}
:::
"""


def write_gallery(app):
    """Run every experiment whose page is missing or older than the package."""
    folder = Path(app.srcdir) / "gallery"
    folder.mkdir(exist_ok=True)
    sources = [*Path(fastmlp.__file__).parent.rglob("*.py"), Path(__file__)]
    newest = max(path.stat().st_mtime for path in sources)
    cards = []
    for name in status_iterator(demos.names(), "running demos... ", "brown", len(demos.names())):
        page = folder / f"{name}.md"
        if not page.exists() or page.stat().st_mtime < newest:
            page.write_text(_run(name, folder))
        title = page.read_text().splitlines()[0].removeprefix("# ")
        topic = _escaped(demos.about(name).topic)
        card = {"title": title, "name": name, "summary": _summary(name, title), "topic": topic}
        cards.append(_CARD.format(**card))
    text = _INDEX.format(cards="\n".join(cards), names="\n".join(demos.names()))
    index = folder / "index.md"
    if not index.exists() or index.read_text() != text:
        index.write_text(text)


def _run(name, folder):
    """Run an experiment, draw its pictures into the folder, and return its page."""
    result = demos.run(name)
    figure = result.plot(plotting.new_figure(*result.size))
    plotting.save(figure, folder / f"{name}.png")
    panel = figure.axes[_PANELS.get(name, 0)]
    inches = panel.get_tightbbox().transformed(figure.dpi_scale_trans.inverted())
    figure.savefig(folder / f"{name}-thumbnail.png", bbox_inches=inches.padded(0.1), dpi=150)
    about = demos.about(name)
    return _PAGE.format(
        name=name,
        topic=_escaped(about.topic),
        playground=_PLAYGROUND.format(lesson=about.lesson) if about.lesson else "",
        function=name.replace("-", "_"),
        title=_escaped(result.title),
        summary=_summary(name, _escaped(result.title)),
        table=_table(result),
        findings="\n\n".join(map(_escaped, result.findings)),
        lesson=_escaped(result.lesson),
    )


def _summary(name, title):
    """What an experiment is about, as a sentence; empty where its title says it all."""
    text = _escaped(demos.summary(name))
    text = text[:1].upper() + text[1:]
    if re.match(rf"{re.escape(title)}([:,]|$)", text):
        text = text[len(title) + 1 :].strip()
        text = text[:1].upper() + text[1:]
    return f"{text}." if text else ""


def _table(result):
    lines = [result.columns, ["---"] * len(result.columns), *result.rows]
    lines[1] = [":---", *["---:"] * (len(result.columns) - 1)]
    rows = [[_cell(*pair) for pair in zip(result.columns, row, strict=True)] for row in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(column, value):
    if not isinstance(value, float):
        text = str(value)
        return text if set(text) <= set(":-") and len(text) > 2 else _escaped(text)
    if value != value:  # not known
        return ""
    return f"{value:.1%}" if "accuracy" in column else f"{value:.3g}"


def _escaped(text):
    return re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", text)


def setup(app):
    """Write the pages once Sphinx is set up, before it reads its sources."""
    app.connect("builder-inited", write_gallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
