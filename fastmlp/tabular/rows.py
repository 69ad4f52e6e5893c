"""The rows of a table as a preprocessor sees them: its numbers, the codes of its levels, its notes.

A fitted preprocessor says which columns there are, and what was learned of them.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import DataError
from .cells import cells_of, numbers_of, texts_of
from .columns import called
from .dates import read_dates
from .encoders.dates import parts_of
from .encoders.words import SIZES, Words
from .few_rows import ReadRows, read_few
from .frames import read_frame
from .levels import level_codes, shown_level, unknown_levels
from .naming import nearest_columns
from .numbers import misread_note

_MOST_ODD_DATES = 0.05


def names_of(fitted: Any, kind: str) -> list[Hashable]:
    """List the names of the columns of a kind."""
    return [column["name"] for column in fitted.columns_ if column["kind"] == kind]


def numbers_of_columns(fitted: Any) -> list[tuple[str, Hashable, str, bool]]:
    """List what the numbers are, in their order.

    Returns
    -------
    list of tuple
        The kind of the column, its name, the part of it (empty for a number itself), and
        whether it is the first number of the column.
    """
    found = [("numeric", name, [""]) for name in names_of(fitted, "numeric")]
    for name, parts in zip(names_of(fitted, "date"), fitted.date_parts_, strict=True):
        found.append(("date", name, parts))
    for name, components in zip(names_of(fitted, "words"), fitted.word_components_, strict=True):
        parts = [f"text_{i + 1}" for i in range(components.shape[1])]
        found.append(("words", name, [*parts, *SIZES]))
    return [
        (kind, name, part, i == 0) for kind, name, parts in found for i, part in enumerate(parts)
    ]


def read_any_rows(estimator: Any, fitted: Any, X: Any) -> ReadRows:
    """Read the rows of a table, the quick way if they are few.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator that was given X.
    fitted : TabularPreprocessor
        Its preprocessor, which may be the estimator itself.
    X : data frame or array-like of shape (n_rows, n_columns), or list of dict

    Returns
    -------
    ReadRows

    Raises
    ------
    DataError
        When columns are missing, hold text instead of numbers, or have infinite values.
    """
    read = read_few(fitted, X) if type(X) is list else None
    if read is not None:
        return read
    frame = read_frame(estimator, X, reset=False)
    if (read := read_few(fitted, frame)) is not None:
        return read
    numbers, codes = read_rows(fitted, frame)
    return ReadRows(numbers, codes, remarks_on_rows(fitted, frame, numbers, codes))


def read_rows(fitted: Any, frame: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Collect the numeric columns of a frame, and the codes of its text columns.

    Returns
    -------
    numbers : ndarray of shape (n_rows, n_numeric_columns), float64
        Missing values are not-a-number.
    codes : ndarray of shape (n_rows, n_text_columns), int
        The positions of the values in ``levels_``.
    """
    text = names_of(fitted, "text")
    names = [column["name"] for column in fitted.columns_ if column["kind"] != "dropped"]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        listed = ", ".join(repr(name) for name in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise DataError(
            f"missing columns: {listed}{more}; the model was trained with them"
            f"{_alike(fitted, missing, frame)}"
        )
    parts = [_numbers(fitted, frame, names_of(fitted, "numeric")), *_parts(fitted, frame)]
    codes = np.empty((len(frame), len(text)), dtype=np.intp)
    for i, (name, levels) in enumerate(zip(text, fitted.levels_, strict=True)):
        codes[:, i] = level_codes(_column(frame, name), levels)
    return np.hstack(parts) if len(parts) > 1 else parts[0], codes


def _alike(fitted: Any, missing: list[Hashable], frame: pd.DataFrame) -> str:
    """Say which columns of a frame that the model does not know look like missing ones."""
    known = {column["name"] for column in fitted.columns_}
    others = [name for name in frame.columns if name not in known]
    found = [(name, near[0]) for name in missing if (near := nearest_columns(name, others))]
    said = ", ".join(f"{name!r} may be its column {other!r}" for name, other in found[:3])
    return f"; {said}" if said else ""


def _parts(fitted: Any, frame: pd.DataFrame) -> list[NDArray[np.float64]]:
    """Compute the parts of dates, and the components of free text."""
    found = []
    forms = {column["name"]: column.get("date_form", "") for column in fitted.columns_}
    for name, parts in zip(names_of(fitted, "date"), fitted.date_parts_, strict=True):
        seconds = read_dates(_column(frame, name), forms[name], called(name))
        found.append(parts_of(seconds, parts))
    learned = zip(fitted.word_terms_, fitted.word_weights_, fitted.word_components_, strict=True)
    for name, arrays in zip(names_of(fitted, "words"), learned, strict=True):
        cells = cells_of(_column(frame, name), called(name))
        of_texts = Words(*arrays).apply([*texts_of(cells), ""])
        found.append(of_texts[cells.codes])  # the code -1 is that of a missing text
    return found


def _numbers(fitted: Any, frame: pd.DataFrame, numeric: list[Hashable]) -> NDArray[np.float64]:
    """Read the numeric columns of a frame as float64; missing values are not-a-number."""
    places: list[Any] = [frame.columns.get_loc(name) for name in numeric]
    part = frame.take(places, axis=1)  # takes half the time of iloc
    numbers = np.empty((len(frame), len(numeric)))
    if all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in part.dtypes):
        numbers[:] = part.to_numpy(dtype=np.float64)
        if not np.isinf(numbers).any():
            return numbers
    forms = {c["name"]: c.get("number_format", "") for c in fitted.columns_}
    for i, name in enumerate(numeric):
        numbers[:, i] = numbers_of(part.iloc[:, i], forms[name], called(name))
    return numbers


def _column(frame: pd.DataFrame, name: Hashable) -> pd.Series:
    """Return the column of a frame with a name, which may be a tuple or not-a-number."""
    if isinstance(name, str):  # the usual case, and the quickest
        return frame[name]
    place: Any = frame.columns.get_loc(name)
    column: pd.Series = frame.iloc[:, place]
    return column


def _misread(fitted: Any, frame: pd.DataFrame, numbers: NDArray[np.float64]) -> list[str]:
    """Remark on numbers that may have been text with marks of thousands."""
    remarks = []
    numeric = [column for column in fitted.columns_ if column["kind"] == "numeric"]
    for i, column in enumerate(numeric):
        form, name = column.get("number_format", ""), column["name"]
        is_float = form and pd.api.types.is_float_dtype(_column(frame, name))
        if is_float and (found := misread_note(numbers[:, i], form)):
            remarks.append(f"{called(name)} {found}")
    return remarks


def _no_dates(fitted: Any, frame: pd.DataFrame, numbers: NDArray[np.float64]) -> list[str]:
    """Remark on columns of dates of which many values are none."""
    if not fitted.date_parts_:
        return []
    remarks = []
    for i, (kind, name, _, is_first) in enumerate(numbers_of_columns(fitted)):
        if kind == "date" and is_first:
            is_present = _column(frame, name).notna().to_numpy()
            is_odd = is_present & np.isnan(numbers[:, i])
            if is_odd.sum() > _MOST_ODD_DATES * is_present.sum():
                first = int(np.argmax(is_odd))
                remarks.append(
                    f"{called(name)} has {is_odd.sum()} of {is_present.sum()} values that are "
                    f"no dates (the first is {str(_column(frame, name).iloc[first])!r} in row "
                    f"{first + 1}); they count as missing"
                )
    return remarks


def _unknown_levels(fitted: Any, frame: pd.DataFrame, codes: NDArray[np.intp]) -> list[str]:
    """Remark on text columns that have hardly a level that was seen in ``fit``."""
    is_unknown = codes == np.array([len(levels) for levels in fitted.levels_], dtype=codes.dtype)
    if not is_unknown.any():
        return []
    text = [column for column in fitted.columns_ if column["kind"] == "text"]
    remarks = []
    for i, (column, levels) in enumerate(zip(text, fitted.levels_, strict=True)):
        rare_share = column.get("rare_share", 0.0)  # a model of an older version has none
        name = column["name"]
        if found := unknown_levels(_column(frame, name), is_unknown[:, i], levels, rare_share):
            remarks.append(f"{called(name)} {found}")
    return remarks


def remarks_on_rows(
    fitted: Any, frame: pd.DataFrame, numbers: NDArray[np.float64], codes: NDArray[np.intp]
) -> list[str]:
    """Remark on what is odd about rows beside those of the training.

    Parameters
    ----------
    fitted : TabularPreprocessor
    frame : pandas.DataFrame
    numbers, codes : ndarray
        As from :func:`read_rows`.

    Returns
    -------
    list of str
    """
    return [
        *_misread(fitted, frame, numbers),
        *_unknown_levels(fitted, frame, codes),
        *_no_dates(fitted, frame, numbers),
    ]


def names_of_inputs(fitted: Any, given: Mapping[Hashable, Any]) -> NDArray[np.object_]:
    """Name the inputs that a preprocessor makes.

    Parameters
    ----------
    fitted : TabularPreprocessor
    given : dict
        What the columns are called, by their names.

    Returns
    -------
    ndarray of shape (n_inputs,), of strings
    """
    numeric = [
        f"{given[name]}_{part}" if part else given[name]
        for _, name, part, _ in numbers_of_columns(fitted)
    ]
    base = [*numeric, *(f"missing_{numeric[i]}" for i in fitted.indicator_columns_)]
    text = [given[name] for name in names_of(fitted, "text")]
    for name, levels, table in zip(text, fitted.levels_, fitted.level_inputs_, strict=True):
        shown = [*map(shown_level, levels[: len(table) - 1]), "(other)"]
        base += [f"{name}_{shown[row]}" for row in np.argmax(table, axis=0)]
    tables = [*fitted.level_means_, *fitted.number_means_]
    with_means = [*text, *(numeric[i] for i in fitted.number_mean_columns_)]
    for name, table in zip(with_means, tables, strict=True):
        n_means = table.shape[1] - 1
        means = ["mean"] if n_means == 1 else [f"mean_{i}" for i in range(n_means)]
        base += [f"{name}_{what}" for what in (*means, "log_count")[: table.shape[1]]]
    pieces = [numeric[i] for i in fitted.piece_columns_]
    first, behind = fitted.groups_.get("tree", (0, 0))
    n_tree = behind - first
    of_group = {
        "tree": _numbered(pieces[:n_tree], "tree"),
        "base": base,
        "bins": _numbered(pieces[n_tree:], "bin"),
        "linear": [f"{numeric[i]}_linear" for i in fitted.linear_columns_],
    }
    return np.array([name for group in fitted.groups_ for name in of_group[group]], dtype=object)


def _numbered(names: Sequence[Any], what: str) -> list[str]:
    """Name the pieces of columns, whose names stand together, as 'age_tree_1' and so on."""
    counts: dict[Any, int] = {}
    result = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        result.append(f"{name}_{what}_{counts[name]}")
    return result
