"""A few rows, read value by value: pandas takes longer to look at a column than to read it.

Only what is certain is read here: text, plain numbers, truth values and missing values where
training had such. For anything else :func:`read_few` returns None, and the rows go the ordinary way
by a data frame, which has the same results and knows the words for all errors.
"""

from collections.abc import Hashable, Iterable, Sequence
from math import isfinite, nan
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .columns import called
from .dates import seconds_of_all
from .encoders.dates import parts_of
from .encoders.words import Words
from .levels import fold_levels, level_places, place_of, remark_on_unknown
from .numbers import number_in_form

# More rows are read faster by columns; a list of dicts would have to become a frame first.
_MOST_ROWS_OF_FRAMES = 16
_MOST_ROWS_OF_DICTS = 1024


class ReadRows(NamedTuple):
    """What a preprocessor makes its inputs of.

    Parameters
    ----------
    numbers : ndarray of shape (n_rows, n_numbers), float64
        Missing values are not-a-number.
    codes : ndarray of shape (n_rows, n_text_columns), int
        The positions of the values in ``levels_``.
    remarks : list of str
        What is odd about the rows, for the user.
    """

    numbers: NDArray[np.float64]
    codes: NDArray[np.intp]
    remarks: list[str]


class _Levels(NamedTuple):
    """The levels of a text column."""

    name: Hashable
    places: dict[str, int]
    levels: list[str]
    rare_share: float
    folded: dict[str, str]


class _Columns(NamedTuple):
    """What a fitted preprocessor knows of its columns, by their kinds."""

    known: tuple[Any, ...]
    numeric: list[tuple[Hashable, str]]
    dates: list[tuple[Hashable, str, list[str]]]
    words: list[tuple[Hashable, Words]]
    text: list[_Levels]


class _UnsureError(Exception):
    """Raised where the values of a column need the ordinary way."""


# Preprocessors that are freed are forgotten, and copies and pickles know nothing of this.
_KNOWN: WeakKeyDictionary[Any, _Columns] = WeakKeyDictionary()
_LEARNED = (
    "columns_", "levels_", "date_parts_", "word_terms_", "word_weights_", "word_components_",
)  # fmt: skip


def read_few(fitted: Any, X: Any) -> ReadRows | None:
    """Read a few rows without pandas.

    Parameters
    ----------
    fitted : TabularPreprocessor
    X : list of dict, or pandas.DataFrame
        A frame is one that :func:`fastmlp.tabular.frames.read_frame` has returned.

    Returns
    -------
    ReadRows or None
        Bit by bit what :func:`fastmlp.tabular.rows.read_rows` returns; None where there are too
        many rows for this to be of use, or something that is not certain.
    """
    n_rows = len(X)
    cells: dict[Hashable, list[Any]] | None = None
    if isinstance(X, pd.DataFrame):
        if not 0 < n_rows <= _MOST_ROWS_OF_FRAMES:
            return None
        cells = dict(zip(X.columns.tolist(), X.to_numpy(dtype=object).T.tolist(), strict=True))
    elif not (0 < n_rows <= _MOST_ROWS_OF_DICTS and all(type(row) is dict for row in X)):
        return None
    columns = _columns(fitted)
    try:
        return _read(columns, X, cells, n_rows)
    except (_UnsureError, KeyError, OverflowError, ValueError):
        return None


def _columns(fitted: Any) -> _Columns:
    """Return what is known of the columns of a preprocessor, which a fit replaces."""
    known = _KNOWN.get(fitted)
    learned = tuple([getattr(fitted, name) for name in _LEARNED])
    if known is not None and all(map(_is, known.known, learned)):
        return known
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for column in fitted.columns_:
        by_kind.setdefault(column["kind"], []).append(column)
    numeric, dates, words, text = (
        by_kind.get(kind, []) for kind in ("numeric", "date", "words", "text")
    )
    arrays = zip(fitted.word_terms_, fitted.word_weights_, fitted.word_components_, strict=True)
    found = _Columns(
        learned,
        [(column["name"], column.get("number_format", "")) for column in numeric],
        [
            (column["name"], column.get("date_form", ""), parts)
            for column, parts in zip(dates, fitted.date_parts_, strict=True)
        ],
        [(column["name"], Words(*of)) for column, of in zip(words, arrays, strict=True)],
        [
            _Levels(
                column["name"],
                level_places(levels),
                levels,
                column.get("rare_share", 0.0),
                fold_levels(levels),
            )
            for column, levels in zip(text, fitted.levels_, strict=True)
        ],
    )
    _KNOWN[fitted] = found
    return found


def _is(one: object, other: object) -> bool:
    return one is other


def _read(
    columns: _Columns, rows: Any, cells: dict[Hashable, list[Any]] | None, n_rows: int
) -> ReadRows:
    """Read rows by the values of each column in `cells`, or else by the dicts of the rows."""

    def cells_of(name: Hashable) -> list[Any]:
        if cells is not None:
            return cells[name]
        if n_rows == 1:
            return [rows[0][name]]
        found = [row.get(name, _ABSENT) for row in rows]
        if all(value is _ABSENT for value in found):
            raise KeyError(name)
        return [None if value is _ABSENT else value for value in found]

    read = [_numbers(cells_of(name), form) for name, form in columns.numeric]
    numbers = np.array(read, dtype=np.float64).T if read else np.empty((n_rows, 0))
    if np.isinf(numbers).any():
        raise _UnsureError
    others = [_dates(cells_of(name), form, parts) for name, form, parts in columns.dates]
    others += [words.apply(_texts(cells_of(name), "")) for name, words in columns.words]
    codes, remarks = np.empty((n_rows, len(columns.text)), dtype=np.intp), []
    for i, levels in enumerate(columns.text):
        values = cells_of(levels.name)
        found = _codes(values, levels)
        codes[:, i] = found
        if len(levels.levels) in found:
            remarks += _unknown(values, found, levels)
    numbers = np.hstack([numbers, *others]) if others else np.ascontiguousarray(numbers)
    return ReadRows(numbers, codes, remarks)


_ABSENT = object()


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (type(value) is float and value != value)


def _numbers(cells: Sequence[Any], form: str) -> list[float]:
    """Read the values of a numeric column; a form tells how text is written."""
    found = []
    kinds = set(map(type, cells))
    if form and len(kinds & {int, float, bool, str}) > 1:
        raise _UnsureError  # beside numbers, text is read as plain numbers
    for value in cells:
        kind = type(value)
        if kind is float or kind is int or kind is bool:
            number = float(value)
            if form and number != int(number):
                raise _UnsureError  # it may be text that was misread
            found.append(number)
        elif kind is str:
            text = value.strip()
            read = number_in_form(text, form) if text else nan
            if read is None:
                raise _UnsureError
            found.append(read)
        elif value is None or value is pd.NA:
            found.append(nan)
        else:
            raise _UnsureError
    return found


def _texts(cells: Iterable[Any], missing: Any) -> list[Any]:
    """Return the text in cells without blanks around it."""
    found = []
    for value in cells:
        if type(value) is str:
            found.append(value.strip())
        elif _is_missing(value):
            found.append(missing)
        else:
            raise _UnsureError
    return found


def _dates(cells: Sequence[Any], form: str, parts: list[str]) -> NDArray[np.float64]:
    """Compute the parts of dates that are written as text, of shape (n_rows, n_parts)."""
    texts = _texts(cells, None)
    present = [text for text in texts if text is not None]
    seconds = np.full(len(texts), nan)
    found = seconds_of_all(present, form)
    if any(number != number for number in found):
        raise _UnsureError  # a remark may be due
    seconds[[text is not None for text in texts]] = found
    return parts_of(seconds, parts)


def _codes(cells: Sequence[Any], levels: _Levels) -> list[int]:
    """Encode the values of a text column by their positions among the levels."""
    places, other = levels.places, len(levels.levels)
    found = []
    kinds = set()
    for value in cells:
        kind = type(value)
        if kind is str:
            found.append(places.get(value.strip(), other))
            kinds.add("text")
        elif kind is int or (kind is float and isfinite(value)):
            found.append(place_of(value, str(value), places, other))
            kinds.add(kind.__name__)
        elif _is_missing(value):
            found.append(places.get("", other))
            kinds.add("missing")
        else:
            raise _UnsureError
    # Numbers among others have another type in a column, and so another name.
    if len(kinds) > 1 and kinds & {"int", "float"}:
        raise _UnsureError
    return found


def _unknown(cells: Sequence[Any], codes: Sequence[int], levels: _Levels) -> list[str]:
    """Remark on a text column that has hardly a level that was seen in training."""
    other = len(levels.levels)
    is_present = [not _is_missing(value) for value in cells]
    unknown = [
        value
        for value, code, present in zip(cells, codes, is_present, strict=True)
        if present and code == other
    ]
    n_present = sum(is_present)
    found = remark_on_unknown(
        [str(value) for value in dict.fromkeys(unknown)],
        n_present,
        n_present - len(unknown),
        levels.levels,
        levels.folded,
        levels.rare_share,
    )
    return [f"{called(levels.name)} {found}"] if found else []
