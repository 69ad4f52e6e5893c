"""The pictures of the internals: rooms and what they import, and a step of training.

They are SVG within the page, drawn in the colours of its text, so that they can be read in the
light theme and in the dark one. The arrows between rooms are read from the imports.
"""

import ast
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Every room of the package, and the command line above it.
LABELS = {
    "cli": "parse, one library call, print",
    "playground": "a page where a network learns",
    "demos": "classic experiments",
    "plotting": "pictures of networks",
    "reports": "HTML pages",
    "serving": "predictions by HTTP",
    "export": "model files, ONNX graphs",
    "tools": "doctor, bench",
    "search": "candidates, studies",
    "dask": "fit and predict on a cluster",
    "cluster": "networks over shards on Dask",
    "streaming": "tables beyond the memory",
    "tabular": "tables of numbers and text",
    "estimators": "scikit-learn's contract",
    "training": "epochs, stopping, history",
    "engines": "compiled kernels, CPU and GPU",
    "network": "plan, weights, formulas",
    "exceptions": "errors and warnings",
    "schedules": "learning rates",
}

_WIDTH, _HEIGHT, _FLOOR = 470, 42, 62
_BOX, _GAP = 200, 28  # the width of a room, and the space between two columns


def room_imports():
    """Which rooms each room imports, at the top of its modules or within functions.

    Returns
    -------
    dict of str to set of str
    """
    found = {name: set() for name in LABELS}
    for path in sorted((ROOT / "fastmlp").rglob("*.py")):
        parts = path.relative_to(ROOT / "fastmlp").with_suffix("").parts
        if parts == ("__init__",):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            # As many dots as lead out of the room's folder, into the package.
            if isinstance(node, ast.ImportFrom) and node.level == len(parts):
                names = [node.module] if node.module else [alias.name for alias in node.names]
                found[parts[0]] |= {name.split(".")[0] for name in names} & set(LABELS)
    for path in sorted((ROOT / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastmlp"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                found["cli"] |= {name.split(".")[1] for name in names} & set(LABELS)
    return {name: reached - {name} for name, reached in found.items()}


def _floors(arrows):
    """The floor of each room: one above the highest that it imports."""
    known = {}

    def floor(name):
        if name not in known:
            known[name] = 1 + max(map(floor, arrows[name]), default=-1)
        return known[name]

    return {name: floor(name) for name in arrows}


def _without_shortcuts(arrows):
    """The arrows without those that follow from others."""

    def below(name):
        return arrows[name].union(*map(below, arrows[name]))

    return {
        name: {other for other in reached if not any(other in below(via) for via in reached)}
        for name, reached in arrows.items()
    }


def _places(arrows, floors):
    """Left and top of each room's box.

    The longest way down is the left column. What is beside it stands on its floor, in the first
    column to the right that has a place there.
    """
    column, name = [], max(floors, key=floors.get)
    while name is not None:
        column.append(name)
        name = max((n for n in LABELS if n in arrows[name]), key=floors.get, default=None)
    places = {}
    for name in [*column, *(n for n in LABELS if n not in column)]:
        x, y = 2, 2 + (max(floors.values()) - floors[name]) * _FLOOR
        while (x, y) in places.values():
            x += _BOX + _GAP
        places[name] = x, y
    return places


def _way(start, end):
    """The path of an arrow between two boxes: through the spaces between floors and columns."""
    (x, y), (other_x, other_y) = start, end
    middle, first = other_y + _HEIGHT / 2, 2 + _BOX + _GAP  # of the boxes, the second column
    down = f"M{x + _BOX / 2} {y + _HEIGHT}v{(_FLOOR - _HEIGHT) / 2}"
    if x == other_x == 2:
        return f"M{x + _BOX / 2} {y + _HEIGHT}V{other_y - 7}"
    if other_x == 2:
        return f"{down}H{first - _GAP / 2}V{middle}H{2 + _BOX + 7}"
    if other_y - y == _FLOOR:
        return f"{down}H{other_x + _BOX / 2}V{other_y - 7}"
    leave = f"M{x + _BOX} {y + _HEIGHT / 2}" if x == 2 else down
    if other_x == first:
        return f"{leave}H{other_x + _BOX + _GAP / 2}V{middle}H{other_x + _BOX + 7}"
    return f"{leave}H{other_x - _GAP / 2}V{middle}H{other_x - 7}"


def rooms():
    """The rooms of the package, floor by floor.

    Returns
    -------
    str
        An HTML element, which scrolls where the page is narrow.
    """
    arrows = room_imports()
    floors, arrows = _floors(arrows), _without_shortcuts(arrows)
    places = _places(arrows, floors)
    parts = [
        f'<path d="{_way(places[name], places[other])}" class="arrow" marker-end="url(#head)"/>'
        for name, reached in arrows.items()
        for other in sorted(reached)
    ]
    for name, label in LABELS.items():
        x, y = places[name]
        middle = x + _BOX / 2
        parts.append(f'<rect x="{x}" y="{y}" width="{_BOX}" height="{_HEIGHT}" rx="6"/>')
        parts.append(f'<text x="{middle}" y="{y + 18}" class="name">{name}</text>')
        parts.append(f'<text x="{middle}" y="{y + 34}">{escape(label)}</text>')
    title = "The rooms of the package; arrows lead to what a room imports"
    width, height = (max(place[i] for place in places.values()) for i in (0, 1))
    svg = _svg(height + _HEIGHT + 4, title, parts, width + _BOX + 2)
    return f'<div class="picture">{svg}</div>'


def training_step():
    """The two phases of a training step, as two threads share them.

    Returns
    -------
    str
        An SVG element.
    """
    parts = [
        *_heading(16, "1. Rows of the batch, shared by threads"),
        *_stripes(4, 34, 96, 88),
        *_chain(116, 34, ("gather rows of X", "forward, layer by layer", "loss and its delta",
                          "deltas back, layer by layer")),
        *_barrier(168, "barrier: all activations and deltas are written"),
        *_heading(208, "2. Blocks of the weight matrices, shared by threads"),
        *_blocks(4, 226, 2, 4, 0), *_blocks(4, 290, 2, 2, 1),
        *_chain(116, 226, ("sum a block's gradient over all rows,", "in registers",
                           "optimiser: new weights and moments", "write the block")),
        *_barrier(380, "barrier: the next batch meets the new weights"),
        '<path d="M416 356H436V12H350" class="arrow" marker-end="url(#head)"/>',
        '<rect x="4" y="402" width="14" height="14" class="first"/>',
        '<text x="24" y="414" class="left">thread 1</text>',
        '<rect x="104" y="402" width="14" height="14" class="second"/>',
        '<text x="124" y="414" class="left">thread 2</text>',
    ]  # fmt: skip
    return _svg(420, "A training step in two phases with a barrier after each", parts)


def _heading(y, text):
    return [f'<text x="4" y="{y}" class="name left">{escape(text)}</text>']


def _stripes(x, y, width, height):
    """Rows of a batch: the upper half one thread's, the lower half the other's."""
    n_rows = 8
    step = height / n_rows
    return [
        f'<rect x="{x}" y="{y + k * step:.1f}" width="{width}" height="{step - 2:.1f}" '
        f'class="{"first" if k < n_rows / 2 else "second"}"/>'
        for k in range(n_rows)
    ]


def _blocks(x, y, n_rows, n_columns, shift):
    """A weight matrix in blocks that threads take in turn."""
    return [
        f'<rect x="{x + 25 * j}" y="{y + 25 * i}" width="22" height="22" '
        f'class="{("first", "second")[(i * n_columns + j + shift) % 2]}"/>'
        for i in range(n_rows)
        for j in range(n_columns)
    ]


def _chain(x, y, texts):
    """What happens one after the other, from top to bottom."""
    lines = [
        f'<text x="{x + 14}" y="{y + 14 + 24 * k}" class="left">{escape(text)}</text>'
        for k, text in enumerate(texts)
    ]
    end = y + 14 + 24 * (len(texts) - 1)
    return [f'<path d="M{x + 2} {y + 2}V{end}" class="arrow" marker-end="url(#head)"/>', *lines]


def _barrier(y, text):
    return [
        f'<path d="M4 {y - 24}H416" class="barrier"/>',
        f'<text x="4" y="{y - 8}" class="left">{escape(text)}</text>',
    ]


def _svg(height, title, parts, width=_WIDTH):
    head = (
        '<marker id="head" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8Z" class="head"/></marker>'
    )
    return (
        f'<svg class="diagram" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title><defs>{head}</defs>{''.join(parts)}</svg>"
    )
