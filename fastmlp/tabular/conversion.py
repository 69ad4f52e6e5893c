"""Text of a table that is made numbers, truth values or missing values."""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from .cells import is_text

# Marks of missing values beside the empty field; pandas has the same ones.
MISSING_WORDS = frozenset(
    ["#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
     "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
)  # fmt: skip
_TRUTH = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_BLANKS = " \t\u00a0"
_MOST_EXACT = 2.0**53  # beyond it float64 does not hold every integer
SHORTEST_LONG = 1e12  # the least that the shortest of long integers may be


def as_floats(column: pd.Series) -> pd.Series:
    """Convert integers of any length to float64; those beyond its range become text."""
    try:
        return column.astype(np.float64)
    except OverflowError:
        return column.map(str, na_action="ignore")


def are_integers(column: pd.Series) -> bool:
    """Tell whether all values of a column are whole numbers, apart from missing ones."""
    if is_text(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    return len(values) > 0 and bool(np.all(np.mod(values, 1) == 0))


def loses_digits(column: pd.Series) -> bool:
    """Tell whether a column looks like long integers, which float64 does not hold exactly."""
    if pd.api.types.is_bool_dtype(column) or not len(column):
        return False
    most, least = column.max(), column.min()
    return bool(most > _MOST_EXACT and least > SHORTEST_LONG and are_integers(column))


def stripped(column: pd.Series, marks: Iterable[str], stays_text: bool) -> pd.Series:
    """Remove blanks around text; what then is a mark, a number or a truth value becomes one."""
    text = column.astype(object).map(
        lambda value: value.strip(_BLANKS) if isinstance(value, str) else value
    )
    text = text.where(~text.isin([*marks, ""])).astype(column.dtype)
    values = text.dropna()
    if stays_text:
        return text
    if not len(values):
        return pd.Series(np.nan, index=column.index, name=column.name)
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        return pd.to_numeric(text)
    if values.isin(list(_TRUTH)).all():
        return text.map(_TRUTH, na_action="ignore").astype("boolean")
    return text


def foreign_numbers(column: pd.Series, decimal: str) -> pd.Series | None:
    """Read numbers with a decimal mark, and perhaps marks between groups of three digits."""
    values = column.dropna().astype(str)
    groups = "".join({",", "."} - {decimal}) + "'\u2019 \u00a0\u202f"
    mark = re.escape(decimal)
    one_mark = "|".join(rf"\d{{1,3}}(?:{re.escape(group)}\d{{3}})+" for group in groups)
    number = re.compile(rf"[+-]?(?:(?:{one_mark}|\d+)(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?")
    if not len(values) or not values.map(lambda value: bool(number.fullmatch(value))).all():
        return None
    plain = values.str.replace(f"[{re.escape(groups)}]", "", regex=True)
    numbers = plain.str.replace(decimal, ".", regex=False).astype(np.float64)
    return numbers.reindex(column.index)
