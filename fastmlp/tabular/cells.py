"""The cells of a column: telling numbers from text in columns of any type, and reading both."""

import datetime
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import DataError
from .numbers import looks_like_number, number_in_form, plain_number

_NUMBERS = (bool, np.bool_, int, float, np.integer, np.floating, Decimal, Fraction)
_TIMES = (datetime.timedelta, np.timedelta64)
_DATES = (datetime.date, datetime.time, np.datetime64, pd.Period)
# The squares of larger numbers, which a standard deviation needs, are beyond the range of floats.
LARGEST = 1e150
LARGEST_EXACT = 2**53  # floats beyond cannot tell each integer from the next


@dataclass
class Cells:
    """The different values of a column, and where they stand.

    Attributes
    ----------
    codes : ndarray of shape (n_rows,), int
        The position of each row's value in `distinct`; -1 for a missing value.
    distinct : list
        Numbers that are equal count as one value, whatever their types.
    """

    codes: NDArray[np.intp]
    distinct: list[Any]

    def row_of(self, place: int) -> int:
        """Return the first row, counted from 1, with the value at a position of `distinct`."""
        return int(np.argmax(self.codes == place)) + 1

    def spread(self, values: Iterable[Any], missing: Any, dtype: Any) -> NDArray[Any]:
        """Make an array with a value for each row from one for each distinct value."""
        # The code -1 refers to the last entry.
        return np.array([*values, missing], dtype=dtype).take(self.codes)


def cells_of(column: pd.Series, called: str) -> Cells:
    """Find the different values of a column.

    Parameters
    ----------
    column : pandas.Series
    called : str
        The words by which messages refer to the column.

    Returns
    -------
    Cells

    Raises
    ------
    DataError
        When a cell holds something that is neither a number nor text, such as a list.
    """
    try:
        codes, distinct = pd.factorize(column)
    except OverflowError:  # older pandas compares long integers as floats
        places: dict[Any, int] = {}
        codes = np.array(
            [-1 if pd.isna(value) else places.setdefault(value, len(places)) for value in column],
            dtype=np.intp,
        )
        distinct = pd.Index(list(places), dtype=object)
    except (TypeError, ValueError):
        # Lists and the like have no hash, and NumPy compares arrays by their elements.
        codes, distinct = np.empty(0, np.intp), pd.Index([])
        for row, value in enumerate(column):
            _check_kind(value, row + 1, called)
            if isinstance(value, Decimal) and value.is_snan():
                raise InvalidOperation from None  # it has no hash
        raise
    cells = Cells(codes, distinct.tolist())
    if column.dtype == object:
        seen: set[type] = set()
        for place, value in enumerate(cells.distinct):
            if type(value) not in seen:
                seen.add(type(value))
                _check_kind(value, cells.row_of(place), called)
    return cells


def _check_kind(value: Any, row: int, called: str) -> None:
    """Raise DataError for a cell that is neither a number nor text, nor a point in time."""
    cls = type(value)
    if isinstance(value, (str, *_NUMBERS, *_TIMES, *_DATES, pd.Interval)) or _is_missing(value):
        return
    is_container = isinstance(value, Iterable | bytes | complex | np.generic)
    # An object without words of its own would be named by its address, which always differs.
    has_no_words = all(getattr(cls, n) is getattr(object, n) for n in ("__str__", "__repr__"))
    if is_container or has_no_words or callable(value) or not isinstance(value, Hashable):
        remedy = "decode it to text" if isinstance(value, bytes) else "make columns of it"
        if isinstance(value, complex | np.complexfloating):
            remedy = "make columns of its real and its imaginary part"
        raise DataError(
            f"{called} holds a {cls.__name__}, which is neither a number nor text, in row {row}; "
            f"{remedy}, or leave the column out"
        )


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT  # not-a-number is a number here


def plain_column(column: pd.Series, called: str) -> pd.Series:
    """Give a column that holds numbers a type of numbers, whatever its type was.

    These are numbers, too: objects such as ``Decimal``, categories that are numbers, text that is
    a plain number beside real numbers, and durations, which are taken in seconds.

    Parameters
    ----------
    column : pandas.Series
    called : str
        The words by which messages refer to the column.

    Returns
    -------
    pandas.Series
        Of a numeric or Boolean type, or the column as it was if it is text.

    Raises
    ------
    DataError
        When a cell holds something that is neither a number nor text, or a number beyond the
        range of floats.
    """
    try:
        return _plain_column(column, called)
    except InvalidOperation:
        raise DataError(
            f"{called} holds a signalling NaN; write None where a value is missing"
        ) from None


def _plain_column(column: pd.Series, called: str) -> pd.Series:
    dtype = column.dtype
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"{called} has complex numbers; make columns of their parts")
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return column
    if pd.api.types.is_timedelta64_dtype(dtype):
        return _like(column, column.dt.total_seconds().to_numpy(np.float64))
    if isinstance(dtype, pd.CategoricalDtype):
        return _plain_categories(column, called)
    if isinstance(dtype, pd.SparseDtype):
        return plain_column(_like(column, np.asarray(column)), called)
    if type(dtype).__name__ == "ArrowDtype":
        return _plain_arrow(column, called)
    if not pd.api.types.is_object_dtype(dtype):
        return column  # a nullable type, dates, periods, intervals or text
    return _plain_objects(column, called)


def _like(column: pd.Series, values: Any) -> pd.Series:
    """Make a series of other values with the index and the name of a column."""
    return pd.Series(values, index=column.index, name=column.name)


def _plain_categories(column: pd.Series, called: str) -> pd.Series:
    categories = pd.Series(column.cat.categories)
    if isinstance(categories.dtype, pd.IntervalDtype):
        return column
    plain = plain_column(categories, called)
    if is_text(plain):
        return column
    if not column.isna().any():
        return _like(column, plain.to_numpy()[column.cat.codes.to_numpy()])
    if pd.api.types.is_bool_dtype(plain):
        return column.astype(object).astype("boolean")
    return _like(column, np.append(to_numbers(plain), np.nan)[column.cat.codes.to_numpy()])


def _plain_arrow(column: pd.Series, called: str) -> pd.Series:
    dtype = column.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return column.astype("boolean")
    if pd.api.types.is_integer_dtype(dtype) and not column.isna().any():
        return _like(column, column.to_numpy(dtype.numpy_dtype))  # type: ignore[union-attr]
    if pd.api.types.is_float_dtype(dtype) or pd.api.types.is_integer_dtype(dtype):
        return _like(column, column.to_numpy(np.float64, na_value=np.nan))
    if pd.api.types.is_string_dtype(dtype) and not pd.api.types.is_numeric_dtype(dtype):
        return column
    return plain_column(column.astype(object), called)


def _plain_objects(column: pd.Series, called: str) -> pd.Series:
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "string":
        return column
    if kind == "boolean":
        plain = column.astype("boolean")
        return plain if plain.isna().any() else plain.astype(bool)
    cells = cells_of(column, called)
    if not cells.distinct:
        return column
    if all(isinstance(value, _TIMES) for value in cells.distinct):
        seconds = [pd.Timedelta(value).total_seconds() for value in cells.distinct]
        return _like(column, cells.spread(seconds, np.nan, np.float64))
    has_numbers = any(isinstance(value, _NUMBERS) for value in cells.distinct)
    numbers = [_as_number(value) for value in cells.distinct]
    if not has_numbers or None in numbers:
        return column
    for place, (value, number) in enumerate(zip(cells.distinct, numbers, strict=True)):
        if _is_beyond_floats(value, number):
            raise DataError(
                f"{called} has a number of more than 308 digits in row {cells.row_of(place)}, "
                "which no float can be; leave the row out, or make the value missing"
            )
    if all(map(_is_integer, cells.distinct)) and (cells.codes >= 0).all():
        try:
            return _like(column, cells.spread(map(int, cells.distinct), 0, np.int64))
        except OverflowError:
            pass
    return _like(column, cells.spread(numbers, np.nan, np.float64))


def _is_integer(value: Any) -> bool:
    """Tell whether a number is an integer, of whatever exact type; a float is none."""
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    if isinstance(value, Fraction):
        return value.denominator == 1
    return isinstance(value, int | np.integer | np.bool_)


def _as_number(value: Any, form: str = "") -> float | None:
    """Return a cell that is not missing as a float; None if it is no number."""
    if isinstance(value, str):
        return number_in_form(value, form)
    if not isinstance(value, _NUMBERS):
        return None
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def _is_beyond_floats(value: Any, number: float | None) -> bool:
    """Tell whether a finite number has become infinite as a float."""
    if number is None or np.isfinite(number) or isinstance(value, str | float | np.floating):
        return False
    return not (isinstance(value, Decimal) and value.is_infinite())


def is_text(column: pd.Series) -> bool:
    """Tell whether a column holds text or categories rather than numbers or truth values."""
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def to_numbers(column: pd.Series) -> NDArray[np.float64]:
    """Convert a numeric or Boolean column to float64; missing values become not-a-number."""
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def texts_of(cells: Cells) -> list[str]:
    """Return the distinct values as text, without blanks around it; '' stands for missing."""
    return [str(value).strip() for value in cells.distinct]


def numbers_of(column: pd.Series, form: str, called: str) -> NDArray[np.float64]:
    """Read the numbers in a column of which training has found that it holds numbers.

    Parameters
    ----------
    column : pandas.Series
        Of any type. Text is read if it is a number in the form.
    form : str
        How numbers are written as text, as from :func:`fastmlp.tabular.numbers.find_forms`.
    called : str
        The words by which messages refer to the column.

    Returns
    -------
    ndarray of shape (n_rows,), float64
        Missing values, and text of blanks alone, become not-a-number.

    Raises
    ------
    DataError
        When a value is no number, or infinite.
    """
    plain = plain_column(column, called)
    if is_text(plain):
        cells = cells_of(plain, called)
        is_blank = [isinstance(value, str) and not value.strip() for value in cells.distinct]
        numbers = [
            np.nan if blank else _as_number(value, form)
            for value, blank in zip(cells.distinct, is_blank, strict=True)
        ]
        if None in numbers:
            bad = min(cells.row_of(i) for i, number in enumerate(numbers) if number is None)
            raise DataError(_not_a_number(plain.iloc[bad - 1], bad, form, called))
        values = cells.spread(numbers, np.nan, np.float64)
    else:
        values = to_numbers(plain)
    check_finite(values, called)
    return values


def _not_a_number(value: Any, row: int, form: str, called: str) -> str:
    """Make the message about a value that should be a number."""
    trained = f"numbers such as {form}" if form else "numbers"
    message = (
        f"{called} has the text {str(value)!r} in row {row}; the model was trained on {trained}"
    )
    if looks_like_number(str(value)):
        return (
            f"{message} there; write its numbers as in training"
            + ", such as 1234.5" * (not form)
            + decimal_remedy(str(value), form)
        )
    return message + " there (name marks of missing values with `na_values`)"


def decimal_remedy(text: str, form: str = "") -> str:
    """Return the end of a message about a number with another decimal mark; '' for other text.

    Parameters
    ----------
    text : str
        The number that could not be read.
    form : str, default=''
        How numbers were expected to be written.
    """
    if ",5" in form:
        is_other, mark, name = plain_number(text) is not None, ".", "points"
    else:
        is_other, mark, name = number_in_form(text, "1.234,5") is not None, ",", "commas"
    return f"; for a file with decimal {name}, use decimal={mark!r}" if is_other else ""


def check_finite(values: NDArray[Any], called: str) -> None:
    """Raise DataError, which names the first row, for infinite values."""
    if not np.isfinite(values).all() and np.isinf(values).any():
        row = int(np.argmax(np.isinf(values))) + 1
        raise DataError(f"{called} is infinite in row {row}; leave the row out, or make the value "
                        "missing")  # fmt: skip


def check_size(values: NDArray[Any], called: str) -> None:
    """Raise DataError for values that are infinite, or too large for a standard deviation.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
    called : str
        The words by which messages refer to them.
    """
    check_finite(values, called)
    too_large = np.abs(values) > LARGEST  # not-a-number is not
    if too_large.any():
        row = int(np.argmax(too_large))
        raise DataError(
            f"{called} has {values[row]:g} in row {row + 1}, and numbers beyond {LARGEST:g} "
            "cannot be standardised; divide all by a power of ten, or make the value missing"
        )


def first_text(column: pd.Series) -> tuple[int, Any, int]:
    """Find the first cell of a text column that is no plain number.

    Parameters
    ----------
    column : pandas.Series
        With at least one value that is not missing.

    Returns
    -------
    row : int
        Counted from 1. If all cells look like numbers, it is the first that is not missing.
    value : object
        The cell in that row.
    n_texts : int
        The number of rows whose cell is no number.
    """
    cells = cells_of(column, "the column")
    bad = [i for i, value in enumerate(cells.distinct) if _as_number(value) is None]
    if not bad:
        row = int(np.argmax(cells.codes >= 0))
        return row + 1, column.iloc[row], 0
    is_bad = np.isin(cells.codes, bad)
    row = int(np.argmax(is_bad))
    return row + 1, column.iloc[row], int(is_bad.sum())
