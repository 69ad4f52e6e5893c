"""Decisions about the columns of a table: kinds of features, levels of text, and the target."""

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import DataError

_MOST_INTEGER_CLASSES = 20
_MOST_DATE_LEVELS = 20
_MOST_LEVELS = 100
MISSING = "(missing)"
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([ T]\d\d?:.*)?|\d\d?/\d\d?/\d{4}|\d\d?\.\d\d?\.\d{4}")

# ---- features ----------------------------------------------------------------------------


@dataclass
class Column:
    """One feature column of the table that a model is trained on.

    Attributes
    ----------
    name : hashable
        The column's name in the table: mostly a str, but an int for the columns of an array.
    kind : {'numeric', 'text', 'dropped'}
    reason : str, default=''
        Says why the column was dropped; empty for the others.
    note : str, default=''
        A remark for the user about the column; empty if there is none.
    """

    name: Hashable
    kind: str
    reason: str = ""
    note: str = ""


def describe_columns(frame: pd.DataFrame) -> list[Column]:
    """Decide for every feature column whether it is numeric, text, or dropped.

    Parameters
    ----------
    frame : pandas.DataFrame
        The training rows, without the target.

    Returns
    -------
    list of Column

    Raises
    ------
    DataError
        When a column holds objects that are neither numbers nor text, such as lists.
    """
    return [_describe(frame[name]) for name in frame.columns]


def _describe(column: pd.Series) -> Column:
    def dropped(reason: str, note: str = "") -> Column:
        return Column(column.name, "dropped", reason, note)

    try:
        n_distinct, n_present = column.nunique(dropna=True), int(column.notna().sum())
    except TypeError:
        value = next(value for value in column if not isinstance(value, Hashable))
        raise DataError(
            f"column {column.name!r} holds a {type(value).__name__}, which is neither a number "
            "nor text"
        ) from None
    if n_distinct == 0:
        return dropped("all values are missing")
    if n_distinct == 1 and n_present == len(column):
        return dropped("constant")
    if not is_text(column):
        # pandas writes an index as a first column without a name.
        if str(column.name).startswith("Unnamed: ") and n_distinct == len(column):
            return dropped("numbers of rows, without a name")
        return Column(column.name, "numeric")
    if n_distinct > _MOST_DATE_LEVELS and _holds_dates(column):
        return dropped("dates; add columns such as year or weekday to learn from them")
    note = _looks_like_numbers(column)
    # Text such as the names of people identifies rows even if a few rows share it.
    if n_distinct >= 0.95 * n_present and n_present > 10:
        share = "every" if n_distinct == n_present else "almost every"
        return dropped(f"text that differs in {share} row, an identifier", note)
    return Column(column.name, "text", note=note)


def _holds_dates(column: pd.Series) -> bool:
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    return all(_DATE.fullmatch(str(value)) for value in column.dropna().unique()[:1000])


def _looks_like_numbers(column: pd.Series) -> str:
    """Make the note on a text column where most rows hold numbers; empty for other columns.

    Such a column often has a mark of missing values that was not declared.
    """
    counts = column.value_counts()
    numbers = pd.to_numeric(pd.Series(counts.index.astype(str)), errors="coerce")
    is_number = np.asarray(numbers.notna())
    if is_number.sum() < 10 or counts[is_number].sum() < 0.5 * counts.sum() or is_number.all():
        return ""
    mark, rows = counts.index[~is_number][0], int(counts[~is_number].iloc[0])
    return (
        f"is taken as text, but most rows are numbers; if {str(mark)!r} ({rows} "
        f"row{'s' * (rows != 1)}) means missing, say so with na_values=[{str(mark)!r}]"
    )


def frequent_levels(column: pd.Series, fewest: int, most: int = _MOST_LEVELS) -> list[str]:
    """List the levels of a text column that get an input of their own.

    Parameters
    ----------
    column : pandas.Series
        A text column; missing values are a level of their own, named ``MISSING``.
    fewest : int
        The number of rows that a level must have at least.
    most : int, default=100
        The number of inputs that the column may have at most. If there are more levels, one of
        the inputs is for the group of those without an input of their own.

    Returns
    -------
    list of str
        The most frequent level comes first.
    """
    counts = Counter({MISSING: int(column.isna().sum())})
    for value, count in column.value_counts().items():
        counts[str(value)] += count
    counts = +counts  # removes levels that do not occur
    ranked = sorted((-count, level) for level, count in counts.items() if count >= fewest)
    if len(counts) > most:
        ranked = ranked[: most - 1]
    return [level for _, level in ranked]


def level_codes(column: pd.Series, levels: list[str]) -> NDArray[np.intp]:
    """Encode each value of a text column by its position in `levels`.

    Parameters
    ----------
    column : pandas.Series
    levels : list of str
        As from :func:`frequent_levels`.

    Returns
    -------
    ndarray of shape (n_rows,), int
        A value that is not among the levels has the code ``len(levels)``.
    """
    which, distinct = pd.factorize(column)
    places = {level: i for i, level in enumerate(levels)}
    # The code -1, which factorize gives to missing values, refers to the last name.
    names = [*map(str, distinct), MISSING]
    return np.array([places.get(name, len(levels)) for name in names])[which]


def is_text(column: pd.Series) -> bool:
    """Tell whether a column holds text or categories rather than numbers or truth values."""
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def to_numbers(column: pd.Series) -> NDArray[np.float64]:
    """Convert a numeric or Boolean column to float64; missing values become not-a-number."""
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def first_text_value(column: pd.Series) -> tuple[int, Any]:
    """Find the first entry that is not a number.

    Parameters
    ----------
    column : pandas.Series
        A text column with at least one value that is not missing.

    Returns
    -------
    position : int
        The row, counted from 0. If all entries look like numbers, it is the first row that is
        not missing.
    value : object
        The entry in that row.
    """
    present = np.flatnonzero(column.notna())
    values = column.iloc[present]
    numbers = pd.to_numeric(values.astype(str), errors="coerce")
    bad = present[np.asarray(numbers.isna())]
    position = int(bad[0] if len(bad) else present[0])
    return position, column.iloc[position]


# ---- targets -----------------------------------------------------------------------------


def find_target(frame: pd.DataFrame, name: Any) -> Any:
    """Return the name of the target column.

    Parameters
    ----------
    frame : pandas.DataFrame
    name : hashable or None
        The name that the user chose; None is the last column.

    Returns
    -------
    hashable

    Raises
    ------
    DataError
        When there is no column of this name.
    """
    if name is None:
        return frame.columns[-1]
    if name not in frame.columns:
        raise DataError(
            f"there is no target column {name!r}; the columns are "
            + ", ".join(map(repr, frame.columns[:20]))
            + (", ..." if len(frame.columns) > 20 else "")
        )
    return name


def target_called(y: pd.Series) -> str:
    """Return the words by which messages refer to a target."""
    return "y" if y.name is None else f"target column {y.name!r}"


def check_complete(y: pd.Series) -> None:
    """Raise DataError for a target that is missing in some rows."""
    absent = y.isna()
    if absent.any():
        raise DataError(
            f"{target_called(y)} is missing in {int(absent.sum())} of {len(y)} rows "
            f"(the first is row {int(np.argmax(absent)) + 1}); remove or fill these rows"
        )


def class_labels(y: pd.Series, remedy: str) -> NDArray[Any]:
    """Return the class labels in a target.

    Parameters
    ----------
    y : pandas.Series
        It has no missing values.
    remedy : str
        The end of the message about fractions, which says what can be done.

    Returns
    -------
    ndarray of shape (n_rows,)
        Text and dates become str; other labels keep their type.

    Raises
    ------
    DataError
        When a label is infinite or a fraction.
    """
    called = target_called(y)
    if isinstance(y.dtype, pd.CategoricalDtype):
        y = y.astype(y.cat.categories.dtype)
    if is_text(y):
        return y.astype(object).to_numpy().astype(str)
    values = y.to_numpy()
    if values.dtype.kind == "f":
        _check_finite(values, called)
        if not np.all(np.mod(values, 1) == 0):
            raise DataError(f"{called} has fractions, which are no class labels; {remedy}")
    return values


def numeric_target(y: pd.Series, remedy: str) -> NDArray[np.float64]:
    """Return the numbers in the target of a regression.

    Parameters
    ----------
    y : pandas.Series
        It has no missing values.
    remedy : str
        The end of the message about a target that is text, which says what can be done.

    Returns
    -------
    ndarray of shape (n_rows,), float64

    Raises
    ------
    DataError
        When the target is text or infinite.
    """
    if is_text(y):
        row, value = first_text_value(y)
        raise DataError(
            f"{target_called(y)} has the text {str(value)!r} in row {row + 1}; "
            f"regression needs numbers ({remedy})"
        )
    values = to_numbers(y)
    _check_finite(values, target_called(y))
    return values


def target_values(y: pd.Series, task: str) -> NDArray[Any]:
    """Return the class labels or the numbers in a target, for a task that the user can choose.

    Parameters
    ----------
    y : pandas.Series
        It has no missing values.
    task : {'classification', 'regression'}

    Returns
    -------
    ndarray of shape (n_rows,)

    Raises
    ------
    DataError
        When the target does not fit the task; the message names the `task` that it fits.
    """
    if task == "regression":
        return numeric_target(y, "or use task='classification'")
    return class_labels(y, "use task='regression'")


def _check_finite(values: NDArray[Any], called: str) -> None:
    if not np.isfinite(values).all():
        row = int(np.argmax(~np.isfinite(values))) + 1
        raise DataError(f"{called} is infinite in row {row}")


def check_learnable(values: NDArray[Any], task: str, called: str) -> None:
    """Refuse a target that no model can learn.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        The class labels or the numbers.
    task : {'classification', 'regression'}
    called : str
        The words by which messages refer to the target, from :func:`target_called`.

    Raises
    ------
    DataError
        When the target has a single value, or is text that differs in most rows.
    """
    n_distinct = len(np.unique(values))
    if n_distinct < 2:
        what = "class" if task == "classification" else "value"
        raise DataError(f"{called} has a single {what}, {values[0]}; there is nothing to learn")
    # A network with an output for almost every row would fill the memory.
    if values.dtype.kind in "US" and n_distinct > max(20, len(values) // 2):
        raise DataError(
            f"{called} is text with {n_distinct} different values in {len(values)} rows; "
            "choose another `target`"
        )


def decide_task(y: pd.Series) -> tuple[str, str]:
    """Decide between classification and regression by the values of a target.

    Parameters
    ----------
    y : pandas.Series
        It has no missing values.

    Returns
    -------
    task : {'classification', 'regression'}
    reason : str
        A sentence for the user that says why.
    """
    if is_text(y):
        return "classification", "the target is text"
    if pd.api.types.is_bool_dtype(y):
        return "classification", "the target is true or false"
    numbers = to_numbers(y)
    if not np.isfinite(numbers).all():
        return "regression", "the target has infinite values"
    n_distinct = len(np.unique(numbers))
    if not np.all(np.mod(numbers, 1) == 0):
        return "regression", "the target has fractions"
    if n_distinct <= _MOST_INTEGER_CLASSES and n_distinct <= max(2, len(y) // 5):
        return "classification", f"the target has only {n_distinct} different integers"
    return "regression", f"the target has {n_distinct} different integers"
