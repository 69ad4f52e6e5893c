"""Reading CSV files into data frames; errors name the file and the line."""

import bz2
import csv
import gzip
import lzma
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from ..exceptions import DataError
from .frames import with_booleans

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BROKEN_ARCHIVE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


def read_table(
    path: str | PathLike[str],
    *,
    separator: str = ",",
    encoding: str = "utf-8",
    na_values: Sequence[str] = (),
    text: Sequence[str] = (),
) -> pd.DataFrame:
    """Read a CSV file with a header line.

    Empty fields and pandas' usual marks (NA, NaN, null, ...) are missing values. A column that
    holds only true and false, and perhaps missing values, is Boolean.

    Parameters
    ----------
    path : str or Path
        Compressed files are recognised by their ending, such as ``.gz``.
    separator : str, default=','
        The character between two fields.
    encoding : str, default='utf-8'
        The encoding of the file, by a name that Python knows.
    na_values : sequence of str, default=()
        Further marks of a missing value, such as ``?``.
    text : sequence of str, default=()
        Names of columns that stay text even if all their values look like numbers, so that the
        code ``007`` is not read as 7.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        When the file is missing, is empty, has no rows, is not text in this encoding, names a
        column twice, or has rows of different lengths; and when the separator or the encoding
        cannot be used.
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


def _read(
    path: Path, separator: str, encoding: str, na_values: Sequence[str], text: Sequence[str]
) -> pd.DataFrame:
    options: dict[str, Any] = {"sep": separator, "encoding": encoding}
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, na_filter=False, **options)
    names = _column_names(path, header.iloc[0])
    dtype = {i: str for i, name in enumerate(names) if name in set(text)}
    try:
        with warnings.catch_warnings():
            # If every row is too long, pandas cuts all of them and only warns.
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
    # In a row that is too short the last column is missing. Reading the file again to look for
    # such a row is needed only if there is one.
    if frame.iloc[:, -1].isna().any():
        bad = _first_ragged_line(path, separator, encoding, len(names))
        if bad is not None:
            raise _ragged(path, separator, encoding, len(names), None)
    return with_booleans(frame)


def _column_names(path: Path, header: Iterable[Any]) -> list[str]:
    """Return the names in a header line; name columns without one as pandas does."""
    names = [str(name).strip() or f"Unnamed: {i}" for i, name in enumerate(header)]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(
            f"{path}, line 1: column name {repeated[0]!r} stands there more than once; "
            "names must differ"
        )
    return names


def _first_ragged_line(
    path: Path, separator: str, encoding: str, n_columns: int
) -> tuple[int, int] | None:
    """Find the first row that does not have `n_columns` fields.

    Returns
    -------
    (line, n_fields) : tuple of int or None
        The number of its line, counted from 1, and of its fields. None if there is no such row,
        or if the file cannot be read as CSV again.
    """
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


def _ragged(
    path: Path, separator: str, encoding: str, n_columns: int, error: Exception | None
) -> DataError:
    """Make the error for a file whose rows have different lengths; pandas raised `error`."""
    bad = _first_ragged_line(path, separator, encoding, n_columns)
    if bad is None:
        return DataError(f"{path}: cannot be read as CSV: {error}")
    line, n_fields = bad
    return DataError(
        f"{path}, line {line}: {n_fields} field{'s' * (n_fields != 1)} where the header has "
        f"{n_columns}; mend that line, or quote fields that contain the separator"
    )
