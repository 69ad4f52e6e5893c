"""What messages say of a column that is not there."""

import difflib
from collections.abc import Iterable
from typing import Any

from .columns import fold

_MOST_NAMES, _LONG = 20, 250


def columns_there(name: Any, columns: Iterable[Any]) -> str:
    """Return the end of a message about an unknown column: all of them, and the nearest names.

    Parameters
    ----------
    name : hashable
        The name that was asked for.
    columns : iterable of hashable
        The names that there are.

    Returns
    -------
    str
        It begins with a semicolon.
    """
    columns = list(columns)
    shown = ", ".join(map(repr, columns[:_MOST_NAMES]))
    shown += ", ..." if len(columns) > _MOST_NAMES else ""
    near = " or ".join(map(repr, nearest(name, columns)))
    if near and len(shown) > _LONG:  # a long message would be cut before its end
        return f"; did you mean {near}? There are {len(columns)} columns"
    return f"; the columns are {shown}" + (f"; did you mean {near}?" if near else "")


def no_column(file: str, name: str, option: str, columns: Iterable[Any]) -> str:
    """Return the message about a column that an option names, and that a file does not have."""
    return f"{file}: there is no column {name!r} for `{option}`{columns_there(name, columns)}"


def nearest(name: Any, names: Iterable[Any]) -> list[Any]:
    """Return up to three names that look like another one, the most alike first.

    Capitals, accents and blanks around a name make no difference.
    """
    by_text: dict[str, Any] = {}
    for known in names:
        by_text.setdefault(_plain(known), known)
    found = difflib.get_close_matches(_plain(name), by_text, n=3, cutoff=0.7)
    return [by_text[text] for text in found]


def _plain(name: Any) -> str:
    return fold(str(name)).strip()
