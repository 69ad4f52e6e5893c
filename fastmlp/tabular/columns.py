"""What the columns of a table are: features of a kind or dropped ones, levels of text, targets."""

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd

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
    name : str
    kind : {'numeric', 'text', 'dropped'}
    reason : str
        Why it was dropped, else empty.
    note : str
        What the user may want to know of it, else empty.
    """

    name: str
    kind: str
    reason: str = ""
    note: str = ""


def describe_columns(frame):
    """Decide what becomes of every feature column.

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


def _describe(column):
    def dropped(reason, note=""):
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
        # What pandas writes without being asked: an index.
        if str(column.name).startswith("Unnamed: ") and n_distinct == len(column):
            return dropped("numbers of rows, without a name")
        return Column(column.name, "numeric")
    if n_distinct > _MOST_DATE_LEVELS and _holds_dates(column):
        return dropped("dates; add columns such as year or weekday to learn from them")
    note = _looks_like_numbers(column)
    # A few people share a name: that does not make it a feature.
    if n_distinct >= 0.95 * n_present and n_present > 10:
        share = "every" if n_distinct == n_present else "almost every"
        return dropped(f"text that differs in {share} row, an identifier", note)
    return Column(column.name, "text", note=note)


def _holds_dates(column):
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    return all(_DATE.fullmatch(str(value)) for value in column.dropna().unique()[:1000])


def _looks_like_numbers(column):
    """A remark on text where most rows hold numbers: often a mark of missing values."""
    counts = column.value_counts()
    is_number = pd.to_numeric(counts.index.astype(str), errors="coerce")
    is_number = np.asarray(pd.notna(is_number))
    if is_number.sum() < 10 or counts[is_number].sum() < 0.5 * counts.sum() or is_number.all():
        return ""
    mark, rows = counts.index[~is_number][0], int(counts[~is_number].iloc[0])
    return (
        f"is taken as text, but most rows are numbers; if {str(mark)!r} ({rows} "
        f"row{'s' * (rows != 1)}) means missing, say so with na_values=[{str(mark)!r}]"
    )


def frequent_levels(column, fewest, most=_MOST_LEVELS):
    """Levels of a text column that get an input of their own, the most frequent one first.

    Parameters
    ----------
    column : pandas.Series
        A missing value is a level of its own.
    fewest : int
        Rows that a level must have.
    most : int
        Most levels, with the group of all others among them.

    Returns
    -------
    list of str
    """
    counts = Counter({MISSING: int(column.isna().sum())})
    for value, count in column.value_counts().items():
        counts[str(value)] += count
    counts = +counts  # without those that do not occur
    ranked = sorted((-count, level) for level, count in counts.items() if count >= fewest)
    if len(counts) > most:
        ranked = ranked[: most - 1]
    return [level for _, level in ranked]


def level_codes(column, levels):
    """Place of each value in `levels`; their number for a value that is not among them."""
    which, distinct = pd.factorize(column)
    places = {level: i for i, level in enumerate(levels)}
    names = [*map(str, distinct), MISSING]  # factorize's code of a missing value is -1
    return np.array([places.get(name, len(levels)) for name in names])[which]


def is_text(column):
    """Whether a column holds text or categories rather than numbers or truth values."""
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def to_numbers(column):
    """A numeric or Boolean column as float64, missing values as NaN."""
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def first_text_value(column):
    """Position (from 0) and value of the first entry that is no number."""
    present = np.flatnonzero(column.notna())
    values = column.iloc[present]
    numbers = pd.to_numeric(values.astype(str), errors="coerce")
    bad = present[np.asarray(numbers.isna())]
    position = int(bad[0] if len(bad) else present[0])
    return position, column.iloc[position]


# ---- targets -----------------------------------------------------------------------------


def find_target(frame, name):
    """The target column's name: the given one, which must exist, or the last."""
    if name is None:
        return frame.columns[-1]
    if name not in frame.columns:
        raise DataError(
            f"there is no target column {name!r}; the columns are "
            + ", ".join(map(repr, frame.columns[:20]))
            + (", ..." if len(frame.columns) > 20 else "")
        )
    return name


def target_called(y):
    """How messages call a target: a column by its name, or y."""
    return "y" if y.name is None else f"target column {y.name!r}"


def check_complete(y):
    """Refuse a target that is missing in some rows."""
    absent = y.isna()
    if absent.any():
        raise DataError(
            f"{target_called(y)} is missing in {int(absent.sum())} of {len(y)} rows "
            f"(the first is row {int(np.argmax(absent)) + 1}); remove or fill these rows"
        )


def class_labels(y, remedy):
    """The labels in a target as an array; text and dates as str, all else in its own type.

    Parameters
    ----------
    y : pandas.Series
        Without missing values.
    remedy : str
        What the message about fractions says can be done.

    Returns
    -------
    ndarray of shape (n_rows,)

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


def numeric_target(y, remedy):
    """The numbers in the target of a regression.

    Parameters
    ----------
    y : pandas.Series
        Without missing values.
    remedy : str
        What the message about a target that is text says can be done.

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


def target_values(y, task):
    """The target as an array of class labels or of numbers, for a task that a user may change.

    Parameters
    ----------
    y : pandas.Series
        Without missing values.
    task : {'classification', 'regression'}

    Returns
    -------
    ndarray of shape (n_rows,)

    Raises
    ------
    DataError
        When the target does not fit the task; the message says which `task` it fits.
    """
    if task == "regression":
        return numeric_target(y, "or use task='classification'")
    return class_labels(y, "use task='regression'")


def _check_finite(values, called):
    if not np.isfinite(values).all():
        row = int(np.argmax(~np.isfinite(values))) + 1
        raise DataError(f"{called} is infinite in row {row}")


def check_learnable(values, task, called):
    """Refuse a target with a single value, or text that is different almost everywhere.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
    task : {'classification', 'regression'}
    called : str
        See :func:`target_called`.

    Raises
    ------
    DataError
    """
    n_distinct = len(np.unique(values))
    if n_distinct < 2:
        what = "class" if task == "classification" else "value"
        raise DataError(f"{called} has a single {what}, {values[0]}; there is nothing to learn")
    # A net with an output for every row would fill the memory first.
    if values.dtype.kind in "US" and n_distinct > max(20, len(values) // 2):
        raise DataError(
            f"{called} is text with {n_distinct} different values in {len(values)} rows; "
            "choose another `target`"
        )


def decide_task(y):
    """Classification or regression, and why.

    Parameters
    ----------
    y : pandas.Series

    Returns
    -------
    task, reason : str
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
