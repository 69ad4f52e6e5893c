"""What messages say of a column that is not there."""

import difflib
from collections.abc import Iterable
from typing import Any

from .columns import fold

_MOST_NAMES = 20


def columns_there(name: Any, columns: Iterable[Any]) -> str:
    """Return the end of a message about an unknown column: the nearest names, or all of them.

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
    if near := nearest(name, columns):
        return f"; did you mean {' or '.join(map(repr, near))}? The columns are {shown}"
    return f"; the columns are {shown}"


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
