"""Reading CSV files into data frames; errors name the file and the line."""

import bz2
import csv
import gzip
import lzma
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import pandas as pd

from ..exceptions import DataError
from .frames import with_booleans

_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BROKEN_ARCHIVE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


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
            f"{path}: not {encoding} text ({error}); name its encoding, for example "
            "encoding='latin-1'"
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
    return with_booleans(frame)


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
