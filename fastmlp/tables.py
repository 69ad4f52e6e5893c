"""Reading tables: CSV files to data frames, with errors that name the file and the place."""

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import InputError


class DataError(InputError):
    """A table, or a file of one, that cannot be used."""


def read_table(path, *, separator=",", encoding="utf-8", na_values=()):
    """Read a CSV file with a header line.

    Empty fields and pandas' usual marks (NA, NaN, null, ...) are missing values.

    Parameters
    ----------
    path : str or Path
        Compressed files are recognised by their ending, such as ``.gz``.
    separator : str
    encoding : str
    na_values : sequence of str
        Further marks of a missing value, such as ``?``.

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
    options = {"sep": separator, "encoding": encoding}
    try:
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, na_filter=False, **options)
        names = [str(name).strip() for name in header.iloc[0]]
        _check_header(path, names)
        frame = pd.read_csv(
            path, index_col=False, na_values=list(na_values), low_memory=False, **options
        )
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except UnicodeError as error:
        raise DataError(
            f"{path}: not {encoding} text ({error}); name its encoding with --encoding, "
            "for example latin-1"
        ) from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty; a header line and rows are needed") from None
    except pd.errors.ParserWarning as error:
        raise _ragged(path, separator, encoding, len(names), error) from None
    except pd.errors.ParserError as error:
        raise _ragged(path, separator, encoding, len(names), error) from None
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if len(frame) == 0:
        raise DataError(f"{path}: there is a header but no row below it")
    frame.columns = names
    # A row that is too short has its last column missing: look only then.
    if frame.iloc[:, -1].isna().any():
        bad = _first_ragged_line(path, separator, encoding, len(names))
        if bad is not None:
            raise _ragged(path, separator, encoding, len(names), None)
    return frame


def _check_header(path, names):
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(
            f"{path}, line 1: column name {repeated[0]!r} stands there more than once; "
            "names must differ"
        )


def _open_text(path, encoding):
    opener = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rt", encoding=encoding, newline="")


def _first_ragged_line(path, separator, encoding, n_columns):
    """Line and length of the first row that has not `n_columns` fields; None without any."""
    if path.suffix in (".bz2", ".xz", ".zip", ".zst"):
        return None
    with _open_text(path, encoding) as file:
        reader = csv.reader(file, delimiter=separator)
        for row in reader:
            if row and len(row) != n_columns:
                return reader.line_num, len(row)
    return None


def _ragged(path, separator, encoding, n_columns, error):
    bad = _first_ragged_line(path, separator, encoding, n_columns)
    if bad is None:
        return DataError(f"{path}: cannot be read as CSV: {error}")
    line, n_fields = bad
    return DataError(
        f"{path}, line {line}: {n_fields} fields where the header has {n_columns}; "
        "mend that line, or quote fields that contain the separator"
    )


def is_text(column):
    """Whether a column holds text or categories rather than numbers or truth values."""
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def to_numbers(column):
    """A numeric or Boolean column as float64, missing values as NaN."""
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def first_text_value(column):
    """Position and value of the first entry that is no number."""
    present = column.dropna()
    numbers = pd.to_numeric(present, errors="coerce")
    bad = numbers.index[numbers.isna()]
    position = bad[0] if len(bad) else present.index[0]
    return position, present.loc[position]
