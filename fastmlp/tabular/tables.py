"""Tables: reading CSV files, and what their columns and targets are; errors name the place."""

import bz2
import csv
import gzip
import lzma
import re
import warnings
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..exceptions import DataError

_MOST_INTEGER_CLASSES = 20
_MOST_DATE_LEVELS = 20
_MOST_LEVELS = 100
MISSING = "(missing)"
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BROKEN_ARCHIVE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([ T]\d\d?:.*)?|\d\d?/\d\d?/\d{4}|\d\d?\.\d\d?\.\d{4}")


# ---- reading -----------------------------------------------------------------------------


def read_table(path, *, separator=",", encoding="utf-8", na_values=(), text=()):
    """Read a CSV file with a header line.

    Empty fields and pandas' usual marks (NA, NaN, null, ...) are missing values. Columns of
    true and false are Boolean, with or without missing values.

    Parameters
    ----------
    path : str or Path
        Compressed files are recognised by their ending, such as ``.gz``.
    separator : str
        One character.
    encoding : str
    na_values : sequence of str
        Further marks of a missing value, such as ``?``.
    text : sequence of str
        Columns that stay text even when all their values look like numbers, so that the code
        ``007`` is not read as 7.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        When the file is missing, empty, has no rows, is not text in this encoding, names a
        column twice, or has rows of different lengths.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; give a CSV file")
    if len(separator) != 1:
        raise DataError(f"the separator must be a single character, not {separator!r}")
    try:
        "".encode(encoding)
    except LookupError:
        raise DataError(f"there is no encoding {encoding!r}; try latin-1 or utf-16") from None
    try:
        return _read(path, separator, encoding, na_values, text)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except UnicodeError as error:
        raise DataError(
            f"{path}: not {encoding} text ({error}); name its encoding with --encoding, "
            "for example latin-1"
        ) from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty; a header line and rows are needed") from None
    except (*_BROKEN_ARCHIVE, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _read(path, separator, encoding, na_values, text):
    options = {"sep": separator, "encoding": encoding}
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, na_filter=False, **options)
    names = _column_names(path, header.iloc[0])
    dtype = {i: str for i, name in enumerate(names) if name in set(text)}
    try:
        with warnings.catch_warnings():
            # Where every row is too long, pandas only warns, and cuts them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                index_col=False,
                dtype=dtype,
                na_values=list(na_values),
                low_memory=False,
                **options,
            )
    except (pd.errors.ParserWarning, pd.errors.ParserError) as error:
        raise _ragged(path, separator, encoding, len(names), error) from None
    if len(frame) == 0:
        raise DataError(f"{path}: there is a header but no row below it")
    frame.columns = names
    # A row that is too short has its last column missing: look only then.
    if frame.iloc[:, -1].isna().any():
        bad = _first_ragged_line(path, separator, encoding, len(names))
        if bad is not None:
            raise _ragged(path, separator, encoding, len(names), None)
    for name in filter(lambda name: pd.api.types.is_object_dtype(frame[name]), names):
        # Truth values beside missing ones.
        if pd.api.types.infer_dtype(frame[name], skipna=True) == "boolean":
            frame[name] = frame[name].astype("boolean")
    return frame


def _column_names(path, header):
    """Names in the header line; a column without one is named by its place, as pandas does."""
    names = [str(name).strip() or f"Unnamed: {i}" for i, name in enumerate(header)]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(
            f"{path}, line 1: column name {repeated[0]!r} stands there more than once; "
            "names must differ"
        )
    return names


def _first_ragged_line(path, separator, encoding, n_columns):
    """Line and length of the first row that has not `n_columns` fields; None without any."""
    if path.suffix in (".zip", ".tar", ".zst"):
        return None
    opener = _OPENERS.get(path.suffix, open)
    with opener(path, "rt", encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        try:
            for row in reader:
                blank = not row or (len(row) == 1 and not row[0].strip())
                if len(row) != n_columns and not blank:
                    return reader.line_num, len(row)
        except csv.Error:
            return None
    return None


def _ragged(path, separator, encoding, n_columns, error):
    bad = _first_ragged_line(path, separator, encoding, n_columns)
    if bad is None:
        return DataError(f"{path}: cannot be read as CSV: {error}")
    line, n_fields = bad
    return DataError(
        f"{path}, line {line}: {n_fields} field{'s' * (n_fields != 1)} where the header has "
        f"{n_columns}; mend that line, or quote fields that contain the separator"
    )


def check_frame(frame):
    """Refuse what is no table, is empty, or names a column twice."""
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"a pandas DataFrame is needed, not a {type(frame).__name__}")
    if not len(frame) or not len(frame.columns):
        raise DataError("the table has no rows or no columns")
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"column name {name!r} stands there more than once; names must differ")


# ---- columns -----------------------------------------------------------------------------


@dataclass
class Column:
    """One column of the table that a model is trained on.

    Attributes
    ----------
    name : str
    kind : {'numeric', 'text', 'target', 'dropped'}
    reason : str
        Why it was dropped, else empty.
    note : str
        What the user may want to know of it, else empty.
    """

    name: str
    kind: str
    reason: str = ""
    note: str = ""


def describe_columns(frame, target):
    """Decide what becomes of every column.

    Parameters
    ----------
    frame : pandas.DataFrame
        The training rows.
    target : str

    Returns
    -------
    list of Column
    """
    n_distinct = frame.nunique(dropna=True)
    n_present = frame.notna().sum()
    return [
        Column(name, "target")
        if name == target
        else _describe(frame[name], int(n_distinct[name]), int(n_present[name]))
        for name in frame.columns
    ]


def _describe(column, n_distinct, n_present):
    def dropped(reason, note=""):
        return Column(column.name, "dropped", reason, note)

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
        f"row{'s' * (rows != 1)}) means missing, say so with --na {str(mark)!r}"
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
            + ", ".join(map(str, frame.columns[:20]))
            + (", ..." if len(frame.columns) > 20 else "")
        )
    return name


def check_complete(y):
    """Refuse a target that is missing in some rows."""
    absent = y.isna()
    if absent.any():
        raise DataError(
            f"target column {y.name!r} is missing in {int(absent.sum())} of {len(y)} rows "
            f"(the first is row {int(np.argmax(absent)) + 1}); remove or fill these rows"
        )


def target_values(y, task):
    """The target as an array of class labels or of numbers."""
    if task == "classification":
        values = labels(y)
        if values.dtype.kind == "f":
            _check_finite(values, y.name)
            if not np.all(np.mod(values, 1) == 0):
                raise DataError(
                    f"target column {y.name!r} has fractions, which are no class labels; "
                    "use --task regression"
                )
        return values
    if is_text(y):
        row, value = first_text_value(y)
        raise DataError(
            f"target column {y.name!r} has the text {str(value)!r} in row {row + 1}; "
            "regression needs numbers (or use --task classification)"
        )
    values = to_numbers(y)
    _check_finite(values, y.name)
    return values


def _check_finite(values, name):
    if not np.isfinite(values).all():
        row = int(np.argmax(~np.isfinite(values))) + 1
        raise DataError(f"target column {name!r} is infinite in row {row}")


def check_learnable(values, task, name):
    """Refuse a target with a single value, or text that is different almost everywhere."""
    n_distinct = len(np.unique(values))
    if n_distinct < 2:
        what = "class" if task == "classification" else "value"
        raise DataError(
            f"target column {name!r} has a single {what}, {values[0]}; there is nothing to learn"
        )
    # A net with an output for every row would fill the memory first.
    if values.dtype.kind in "US" and n_distinct > max(20, len(values) // 2):
        raise DataError(
            f"target column {name!r} is text with {n_distinct} different values in "
            f"{len(values)} rows; choose another one with --target"
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


def labels(y):
    """Class labels as an array; text and dates as str, all else in its own type."""
    if isinstance(y.dtype, pd.CategoricalDtype):
        y = y.astype(y.cat.categories.dtype)
    return y.astype(object).to_numpy().astype(str) if is_text(y) else y.to_numpy()
