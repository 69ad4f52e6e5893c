"""Targets: finding, checking and reading the labels or numbers that a model shall predict."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import DataError
from .cells import (
    LARGEST,
    LARGEST_EXACT,
    cells_of,
    check_size,
    decimal_remedy,
    first_text,
    is_text,
    numbers_of,
    plain_column,
    texts_of,
    to_numbers,
)
from .levels import fold
from .naming import columns_there
from .numbers import common_unit


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
        raise DataError(f"there is no target column {name!r}{columns_there(name, frame.columns)}")
    return name


def find_targets(frame: pd.DataFrame, names: Any) -> list[Any]:
    """Return the names of the target columns.

    Parameters
    ----------
    frame : pandas.DataFrame
    names : hashable, list or None
        The name or the names that the user chose; None is the last column.

    Returns
    -------
    list of hashable

    Raises
    ------
    DataError
        When there is no column of a name, no name, or a name twice.
    """
    if not isinstance(names, list):
        return [find_target(frame, names)]
    if not names:
        raise DataError("the list of targets is empty; name a column, or none for the last one")
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise DataError(f"target {repeated[0]!r} is named more than once; names must differ")
    return [find_target(frame, name) for name in names]


def target_called(y: pd.Series) -> str:
    """Return the words by which messages refer to a target."""
    return "y" if y.name is None else f"target column {y.name!r}"


def plain_target(y: pd.Series) -> pd.Series:
    """Give a target that holds numbers a type of numbers, and let blanks be missing values.

    Parameters
    ----------
    y : pandas.Series

    Returns
    -------
    pandas.Series
        It has the index and the name of `y`.

    Raises
    ------
    DataError
        When a cell holds something that is neither a number nor text.
    """
    if isinstance(y.dtype, pd.CategoricalDtype) and pd.api.types.is_object_dtype(y.cat.categories):
        y = y.astype(object)
    if pd.api.types.is_object_dtype(y) and any(isinstance(value, bytes) for value in y):
        y = y.map(lambda v: v.decode(errors="replace") if isinstance(v, bytes) else v)
    y = plain_column(y, target_called(y))
    if not is_text(y):
        return y
    cells = cells_of(y, target_called(y))
    is_blank = [not text for text in texts_of(cells)]
    return y.mask(cells.spread(is_blank, False, bool)) if any(is_blank) else y


def check_complete(y: pd.Series, why: str | None = None) -> None:
    """Raise DataError for a target that is missing in some rows.

    Parameters
    ----------
    y : pandas.Series
    why : str, optional
        The end of the message, where it is known what stands in the file instead.
    """
    absent = y.isna()
    if not absent.any():
        return
    message = (
        f"{target_called(y)} is missing in {int(absent.sum())} of {len(y)} rows "
        f"(the first is row {int(np.argmax(absent)) + 1}); remove or fill these rows"
    )
    if why is not None:
        message += why
    elif is_text(y) and not absent.all():
        message += " (in a file, a class called NA, None or null is read as missing)"
    raise DataError(message)


def _labels_as_text(y: pd.Series) -> NDArray[np.str_]:
    """Return the text in a target, without blanks around it."""
    cells = cells_of(y, target_called(y))
    return cells.spread(texts_of(cells), "", np.str_)


def _as_array(y: pd.Series) -> NDArray[Any]:
    """Return a target of a type of numbers as an array of a plain type."""
    if isinstance(y.dtype, np.dtype):
        return y.to_numpy()
    if pd.api.types.is_bool_dtype(y):
        return y.to_numpy(dtype=bool)
    if pd.api.types.is_integer_dtype(y):
        return y.to_numpy(dtype=np.int64)
    return to_numbers(y)


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
        Text and dates become str, without blanks around them; other labels keep their type.

    Raises
    ------
    DataError
        When a label is infinite or a fraction.
    """
    y = plain_target(y)
    if is_text(y):
        return _labels_as_text(y)
    values = _as_array(y)
    if values.dtype.kind == "f":
        check_size(values, target_called(y))
        if not np.all(np.mod(values, 1) == 0):
            raise DataError(
                f"{target_called(y)} has fractions, which are no class labels; {remedy}"
            )
        too_large = np.abs(values) > LARGEST_EXACT
        if too_large.any():
            row = int(np.argmax(too_large))
            raise DataError(
                f"{target_called(y)} has {values[row]:g} in row {row + 1}, which is too large for "
                f"a class label; {remedy}"
            )
    return values


def numeric_target(y: pd.Series, remedy: str, form: str = "") -> NDArray[np.float64]:
    """Return the numbers in the target of a regression.

    Parameters
    ----------
    y : pandas.Series
        It has no missing values.
    remedy : str
        The end of the message about a target that is text, which says what can be done.
    form : str, default=''
        How its numbers are written as text, as from :func:`fastmlp.tabular.numbers.find_forms`.

    Returns
    -------
    ndarray of shape (n_rows,), float64

    Raises
    ------
    DataError
        When the target is text, infinite, or too large for a standard deviation.
    """
    y = plain_target(y)
    called = target_called(y)
    if is_text(y):
        row, value, n_texts = first_text(y)
        if n_texts and not form:
            message = f"{called} has the text {str(value)!r} in row {row}"
            if n_texts == 1 and len(y) > 2:
                message += ", and all rows but this one are numbers; remove the row"
            else:
                message += f"; regression needs numbers ({remedy})" + decimal_remedy(str(value))
            raise DataError(message)
        values = numbers_of(y, form, called)
    else:
        values = to_numbers(y)
    check_size(values, called)
    return values


def target_values(y: pd.Series, task: str, form: str = "") -> NDArray[Any]:
    """Return the class labels or the numbers in a target, for a task that the user can choose.

    Parameters
    ----------
    y : pandas.Series
        It has no missing values.
    task : {'classification', 'regression'}
    form : str, default=''
        How the numbers of a regression are written as text.

    Returns
    -------
    ndarray of shape (n_rows,)

    Raises
    ------
    DataError
        When the target does not fit the task; the message names the `task` that it fits.
    """
    if task == "regression":
        return numeric_target(y, "or use task='classification'", form)
    return class_labels(y, "use task='regression'")


def labels_like(classes: NDArray[Any], y: pd.Series) -> NDArray[Any]:
    """Return the labels in a target, of the type of the classes that a model knows.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
    y : pandas.Series
        It has no missing values.

    Returns
    -------
    ndarray of shape (n_rows,)
        They need not be among the classes.
    """
    values = class_labels(y, "the model was trained on classes")
    is_text_known, is_text_given = classes.dtype.kind in "US", values.dtype.kind in "US"
    if is_text_known and not is_text_given:
        if values.dtype.kind == "f":
            values = values.astype(np.int64)
        return values.astype(str)
    if is_text_given and not is_text_known:
        known = {str(label): label for label in classes.tolist()}
        known |= {str(label).casefold(): label for label in classes.tolist()}
        as_text: list[str] = values.tolist()
        if all(text in known or text.casefold() in known for text in as_text):
            return np.array([known.get(t, known.get(t.casefold())) for t in as_text])
    return values


def check_known(values: NDArray[Any], classes: NDArray[Any], called: str) -> None:
    """Raise DataError for labels that are not among the classes of a model."""
    unknown = sorted(set(values.tolist()) - set(classes.tolist()))
    if not unknown:
        return
    message = f"{called} has the class {unknown[0]!r}, which the model does not know"
    alike = [label for label in classes.tolist() if fold(str(label)) == fold(str(unknown[0]))]
    if alike:
        message += f"; its class {alike[0]!r} differs only by capitals or accents"
    raise DataError(message)


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
        When the target has a single value, varies too little for a standard deviation, or is text
        that differs in most rows.
    """
    distinct = np.unique(values)
    n_distinct = len(distinct)
    if n_distinct < 2:
        what = "class" if task == "classification" else "value"
        raise DataError(f"{called} has a single {what}, {values[0]}; there is nothing to learn")
    if task == "regression" and distinct[-1] - distinct[0] < 1 / LARGEST:
        raise DataError(
            f"{called} varies by {distinct[-1] - distinct[0]:g} only, which cannot be "
            "standardised; multiply it by a power of ten"
        )
    # A network with an output for almost every row would fill the memory.
    if values.dtype.kind in "US" and n_distinct > max(20, len(values) // 2):
        raise DataError(
            f"{called} is text with {n_distinct} different values in {len(values)} rows; "
            + (_nearly_numbers(values) or "choose another `target`")
        )


def _nearly_numbers(values: NDArray[Any]) -> str:
    """Say which labels keep a target from being numbers, or which unit; '' for other text."""
    row, value, n_texts = first_text(pd.Series(values, dtype=object))
    if n_texts == 1:
        return f"all rows but one are numbers ({str(value)!r} in row {row}); remove that row"
    if n_texts > len(values) // 2:
        unit = common_unit(list(dict.fromkeys(values.tolist())))
        return f"it {unit}" if unit else ""
    return (
        f"most rows are numbers, but {n_texts} are not (the first is {str(value)!r} in row {row}); "
        "remove or fill these rows"
    )
