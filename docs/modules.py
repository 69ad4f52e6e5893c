"""The tables of the internals: what every module of the package does, by its docstring."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "fastmlp"


def summaries(folder):
    """The modules of a folder, each with the first sentence of its docstring.

    Parameters
    ----------
    folder : str
        Within the package, such as ``'engines/cpu'``; ``'.'`` is the package itself.

    Returns
    -------
    dict of str to str
        By the name of the file.
    """
    found = {}
    for path in sorted((PACKAGE / folder).glob("*.py")):
        if path.name != "__init__.py":
            found[path.name] = _first_sentence(path)
    return found


def _first_sentence(path):
    """The first paragraph of a module's docstring, in one line and without roles."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return re.sub(r":\w+:`([^`]+)`", r"``\1``", first)


def table(folder):
    """The modules of a folder as a table in Markdown."""
    lines = ["| module | what it does |", "|---|---|"]
    for name, summary in summaries(folder).items():
        place = name if folder == "." else f"{folder}/{name}"
        lines.append(f"| `{place}` | {summary.replace('``', '`').replace('|', chr(92) + '|')} |")
    return "\n".join(lines)
