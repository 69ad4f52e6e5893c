"""Text of a table that is made numbers, truth values or missing values."""

import re
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .cells import LARGEST_EXACT, is_text, to_numbers

# Marks of missing values beside the empty field; pandas has the same ones.
MISSING_WORDS = frozenset(
    ["#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
     "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
)  # fmt: skip
_TRUTH = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FEWEST_DIGITS = 19  # of an integer that needs more than 64 bits
_BLANKS = " \t\u00a0"
SHORTEST_LONG = 1e12  # the least that the shortest of long integers may be


def as_floats_if_long(column: pd.Series) -> pd.Series:
    """Convert integers that need more than 64 bits to float64.

    They become text if float64 has no such number. Other columns stay as they are.
    """
    if not pd.api.types.is_object_dtype(column):
        return column
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "string":  # older pandas leaves such integers as text
        values = column.dropna()
        if values.map(len).max() < _FEWEST_DIGITS or not all(map(_INTEGER.fullmatch, values)):
            return column
    elif kind != "integer":
        return column
    try:
        return column.astype(np.float64)
    except OverflowError:
        return column.map(str, na_action="ignore")


def as_parsed_floats(parsed: pd.Series, column: pd.Series) -> pd.Series:
    """Give integers that float64 does not hold exactly the values that floats of their text have.

    A parser reads a column of integers in one way, and in another way where a fraction or a gap is
    among them, so that long ones would depend on the other rows.

    Parameters
    ----------
    parsed : pandas.Series
        As it comes from the parser.
    column : pandas.Series
        The same, if need be as from :func:`as_floats_if_long`.
    """
    is_long = is_text(parsed) and pd.api.types.is_float_dtype(column)
    if pd.api.types.is_integer_dtype(column) and len(column):
        values = column.to_numpy()
        is_long = max(int(values.max()), -int(values.min())) > LARGEST_EXACT
    if not is_long:
        return column
    texts = parsed.astype(object).map(lambda number: f"{number}e0", na_action="ignore")
    return pd.to_numeric(texts).astype(np.float64)


def are_integers(column: pd.Series) -> bool:
    """Tell whether all values of a column are whole numbers, apart from missing ones."""
    if is_text(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = to_numbers(column)
    values = values[np.isfinite(values)]
    return len(values) > 0 and bool(np.all(np.mod(values, 1) == 0))


def loses_digits(column: pd.Series) -> bool:
    """Tell whether a column looks like long integers, which float64 does not hold exactly."""
    if pd.api.types.is_bool_dtype(column) or not len(column):
        return False
    most, least = column.max(), column.min()
    return bool(most > LARGEST_EXACT and least > SHORTEST_LONG and are_integers(column))


def stripped(column: pd.Series, marks: Collection[str]) -> pd.Series:
    """Remove blanks around text; text that then is empty or a mark becomes missing.

    Parameters
    ----------
    column : pandas.Series
    marks : collection of str

    Returns
    -------
    pandas.Series
        Of the same type.
    """
    codes, distinct = pd.factorize(column)
    values = [
        value.strip(_BLANKS) if isinstance(value, str) else value for value in distinct.tolist()
    ]
    kept = [np.nan if value == "" or value in marks else value for value in values]
    return _spread(pd.Series(kept, dtype=column.dtype), codes, column)


def converted(column: pd.Series, decimal: str | None) -> pd.Series:
    """Make numbers or truth values of a column of text, if all of it is that.

    Parameters
    ----------
    column : pandas.Series
        Text without blanks around it.
    decimal : str or None
        The decimal mark that the user has named; None is a point.

    Returns
    -------
    pandas.Series
        The same column where it holds other text, and floats where it has no values.
    """
    codes, distinct = pd.factorize(column)
    values = distinct.tolist()
    if not all(isinstance(value, str) for value in values):
        return column
    numbers = _plain_numbers(values) if decimal is None else foreign_numbers(values, decimal)
    if numbers is not None:
        return _spread(numbers, codes, column)
    if all(value in _TRUTH for value in values):
        return _spread(pd.Series(map(_TRUTH.get, values), dtype="boolean"), codes, column)
    return column


def _spread(values: pd.Series, codes: NDArray[np.intp], like: pd.Series) -> pd.Series:
    """Return the value for the code of each row, with the index and the name of a column."""
    column = values.reindex(codes)  # the code -1 is a missing value
    column.index, column.name = like.index, like.name
    return column


def _plain_numbers(texts: list[str]) -> pd.Series | None:
    """Read numbers as pandas does; None if there is other text."""
    try:
        return as_floats_if_long(pd.to_numeric(pd.Series(texts, dtype=object)))
    except ValueError:
        return None


def foreign_numbers(texts: list[str], decimal: str) -> pd.Series | None:
    """Read numbers with a decimal mark, and perhaps marks between groups of three digits.

    Parameters
    ----------
    texts : list of str
    decimal : {',', '.'}

    Returns
    -------
    pandas.Series or None
        None if there is other text.
    """
    groups = "".join({",", "."} - {decimal}) + "'\u2019 \u00a0\u202f"
    mark = re.escape(decimal)
    one_mark = "|".join(rf"\d{{1,3}}(?:{re.escape(group)}\d{{3}})+" for group in groups)
    number = re.compile(rf"[+-]?(?:(?:{one_mark}|\d+)(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?")
    if not all(map(number.fullmatch, texts)):
        return None
    plain = str.maketrans({**dict.fromkeys(groups, ""), decimal: "."})
    # As the parser of the other rows, which may need no such marks, reads floats.
    return pd.to_numeric(pd.Series([text.translate(plain) for text in texts], dtype=object)).astype(
        np.float64
    )


def with_booleans(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert object columns that hold only truth values and missing values to Boolean.

    Parameters
    ----------
    frame : pandas.DataFrame
        It is changed in place.

    Returns
    -------
    pandas.DataFrame
        The same frame.
    """
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        is_object = pd.api.types.is_object_dtype(dtype)
        if is_object and pd.api.types.infer_dtype(frame[name], skipna=True) == "boolean":
            frame[name] = frame[name].astype("boolean")
    return frame
