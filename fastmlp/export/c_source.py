"""A file of C that grows by arrays, tables and functions."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..exceptions import InputError
from .c_helpers import HELPERS

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_PLAIN = set(map(ord, " !#$%&'()*+,-./0123456789:;<=>@[]^_`{|}~")) | set(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
_PER_LINE = 8


def string(text: str, what: str) -> str:
    r"""Write text as a literal of C, which has the bytes of its UTF-8.

    All but plain letters, digits and marks are octal escapes of three digits, which nothing that
    follows can change; so is the question mark, as ``??/`` would be a backslash.

    Parameters
    ----------
    text : str
    what : str
        What it is, for messages.

    Returns
    -------
    str
        With its quotation marks.

    Raises
    ------
    InputError
        When C cannot hold it: it has a zero byte, or is no Unicode.
    """
    try:
        found = text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{what} {text!r} is not Unicode, which no text of C can hold") from None
    if 0 in found:
        raise InputError(f"{what} {text!r} has a zero byte, which ends a text in C")
    return '"' + "".join(chr(b) if b in _PLAIN else f"\\{b:03o}" for b in found) + '"'


def number(value: float) -> str:
    """Write a finite number as a literal of the type double."""
    return repr(float(value))


def _numbers(values: Any, kind: str) -> list[str]:
    """Write an array of numbers as literals of a type of C."""
    array = np.asarray(values).ravel()
    if kind == "int":
        return list(map(str, array.astype(np.int64).tolist()))
    wide = array.astype(np.float64)
    if not np.isfinite(wide).all():
        raise InputError("the model has weights that are not finite; no file of C is made of it")
    if kind == "double":
        return list(map(repr, wide.tolist()))
    # The shortest decimals that are read back as the same numbers.
    return [f"{text}f" for text in array.astype(np.float32).astype(str).tolist()]


def _identifiers(code: str) -> list[str]:
    """List the names in code of C, which has no texts."""
    return _IDENTIFIER.findall(_COMMENT.sub("", code))


class CSource:
    """A file of C that grows.

    Methods that add something return the words by which other parts refer to it.

    Parameters
    ----------
    real : {'float', 'double'}
        The type in which networks compute.
    """

    def __init__(self, real: str) -> None:
        self.real = real
        self._data: list[str] = []
        self._code: list[str] = []

    def array(self, name: str, values: Any, kind: str = "double") -> str:
        """Add an array of numbers, or nothing where it is empty; return its name, or NULL.

        Parameters
        ----------
        name : str
        values : array-like
            In any shape; the last index varies first.
        kind : {'int', 'float', 'double', 'real'}
        """
        literals = _numbers(values, self.real if kind == "real" else kind)
        return self._add_array(f"static const {kind} {name}", name, literals, _PER_LINE)

    def strings(self, name: str, texts: Iterable[str], what: str, is_public: bool = False) -> str:
        """Add an array of texts, or nothing where it is empty; return its name, or NULL.

        One that is public ends with NULL, and is never empty.
        """
        literals = [string(text, what) for text in texts]
        literals += ["NULL"] if is_public else []
        kind = "" if is_public else "static "
        return self._add_array(f"{kind}const char *const {name}", name, literals, 1)

    def _add_array(self, head: str, name: str, literals: Sequence[str], per_line: int) -> str:
        if not literals:
            return "NULL"
        lines = (", ".join(literals[i : i + per_line]) for i in range(0, len(literals), per_line))
        body = ",\n    ".join(lines)
        self._data.append(f"{head}[{len(literals)}] = {{\n    {body}\n}};\n")
        return name

    def table(self, kind: str, name: str, rows: Sequence[Sequence[Any]]) -> str:
        """Add an array of structures; return its name, or NULL where it is empty.

        Parameters
        ----------
        kind : str
            The name of the structure, one of ``HELPERS``.
        name : str
        rows : sequence of sequence
            The members of each structure, as numbers and words of C.
        """
        if not rows:
            return "NULL"
        body = ",\n    ".join("{" + ", ".join(map(str, row)) + "}" for row in rows)
        self._code.append(f"static const {kind} {name}[{len(rows)}] = {{\n    {body}\n}};\n")
        return name

    def function(self, head: str, body: Iterable[str]) -> None:
        """Add a function by its first line and its statements."""
        lines = "\n".join(f"    {line}" if line else "" for line in body)
        self._code.append(f"{head}\n{{\n{lines}\n}}\n")

    def text(self) -> str:
        """Return all parts, with the helpers that they use before them."""
        wanted = _identifiers("\n".join(self._code))
        used: set[str] = set()
        while wanted:
            name = wanted.pop()
            if name in HELPERS and name not in used:
                used.add(name)
                wanted += _identifiers(HELPERS[name])
        helpers = [text for name, text in HELPERS.items() if name in used]
        return "\n".join([*helpers, *self._data, *self._code])
