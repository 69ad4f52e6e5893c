"""What messages say of a column that is not there."""

from collections.abc import Iterable
from typing import Any

from ..exceptions import nearest
from .levels import fold

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
    near = " or ".join(map(repr, nearest_columns(name, columns)))
    if near and len(shown) > _LONG:  # a long message would be cut before its end
        return f"; did you mean {near}? There are {len(columns)} columns"
    return f"; the columns are {shown}" + (f"; did you mean {near}?" if near else "")


def no_column(file: str, name: str, option: str, columns: Iterable[Any]) -> str:
    """Return the message about a column that an option names, and that a file does not have."""
    return f"{file}: there is no column {name!r} for `{option}`{columns_there(name, columns)}"


def nearest_columns(name: Any, names: Iterable[Any]) -> list[Any]:
    """Return up to three columns whose names look like another one, the most alike first.

    Capitals, accents and blanks around a name make no difference. A number is no misspelt name.
    """
    if str(name).strip().isdecimal():
        return []
    return nearest(name, names, lambda text: fold(str(text)).strip())
