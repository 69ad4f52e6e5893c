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
    "demos": "classic experiments",
    "plotting": "pictures of networks",
    "reports": "HTML pages",
    "serving": "predictions by HTTP",
    "export": "model files, ONNX graphs",
    "tools": "doctor, bench",
    "search": "candidates, studies",
    "streaming": "tables beyond the memory",
    "tabular": "tables of numbers and text",
    "estimators": "scikit-learn's contract",
    "training": "epochs, stopping, history",
    "engines": "compiled kernels, CPU and GPU",
    "network": "plan, weights, formulas",
    "schedules": "learning rates",
    "exceptions": "errors and warnings",
}

_WIDTH, _LEFT, _RIGHT, _HEIGHT, _FLOOR = 470, 220, 200, 42, 62


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
    """Left, top and width of each room's box, and the height of the whole.

    The longest way down is the left column. What is beside it is in the right one, just below
    the lowest room that imports it, and further to the right where another room has this place.
    """
    column, name = [], max(floors, key=floors.get)
    while name is not None:
        column.append(name)
        name = max((n for n in LABELS if n in arrows[name]), key=floors.get, default=None)
    top = max(floors.values())
    places = {}
    for name in LABELS:
        above = [floors[other] for other, reached in arrows.items() if name in reached]
        floor = floors[name] if name in column else min(above) - 1
        x, width = (2, _LEFT) if name in column else (_WIDTH - _RIGHT - 2, _RIGHT)
        y = 2 + (top - floor) * _FLOOR
        while any((x, y) == taken[:2] for taken in places.values()):
            x += _RIGHT + 14
        places[name] = x, y, width
    return places, max(y for _, y, _ in places.values()) + _HEIGHT + 4


def rooms():
    """The rooms of the package, floor by floor.

    Returns
    -------
    str
        An SVG element.
    """
    arrows = room_imports()
    floors, arrows = _floors(arrows), _without_shortcuts(arrows)
    places, height = _places(arrows, floors)
    parts = []
    for name, reached in arrows.items():
        x, y, width = places[name]
        for other in sorted(reached):
            other_x, other_y, other_width = places[other]
            if other_x == x:
                line = f"M{x + width / 2} {y + _HEIGHT}V{other_y - 7}"
            elif other_x > x and any(
                place[0] == other_x and y < place[1] < other_y for place in places.values()
            ):  # round the box that is in between
                line = f"M{x + 0.9 * width} {y + _HEIGHT}v{(_FLOOR - _HEIGHT) * 0.7}"
                line += f"H{(width + x + other_x) / 2}V{other_y + _HEIGHT / 2}H{other_x - 7}"
            elif other_x > x:
                line = f"M{x + 0.8 * width} {y + _HEIGHT}v{(_FLOOR - _HEIGHT) * 0.4}"
                line += f"H{other_x + other_width / 2}V{other_y - 7}"
            elif any(place[0] == x and y < place[1] < other_y for place in places.values()):
                line = f"M{x} {y + _HEIGHT / 2}h-14V{other_y + _HEIGHT / 2}"
                line += f"H{other_x + other_width + 7}"
            else:
                line = f"M{x + width / 2} {y + _HEIGHT}V{other_y + _HEIGHT / 2}"
                line += f"H{other_x + other_width + 7}"
            parts.append(f'<path d="{line}" class="arrow" marker-end="url(#head)"/>')
    for name, label in LABELS.items():
        x, y, width = places[name]
        middle = x + width / 2
        parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{_HEIGHT}" rx="6"/>')
        parts.append(f'<text x="{middle}" y="{y + 18}" class="name">{name}</text>')
        parts.append(f'<text x="{middle}" y="{y + 34}">{escape(label)}</text>')
    title = "The rooms of the package; arrows lead to what a room imports"
    return _svg(height, title, parts, max(x + width for x, _, width in places.values()) + 2)


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
