"""Writing a table some rows at a time, as CSV or Parquet."""

import bz2
import csv
import gzip
import io
import lzma
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ..exceptions import InputError
from .cells import is_text
from .csv_lines import lines_of
from .parquet import pyarrow_for
from .parsing import one_line
from .recognition import is_number
from .sources import open_zstandard

# What a spreadsheet takes for the beginning of a formula.
_FORMULA = tuple("=+-@\t\r")


class TableWriter(Protocol):
    """A file to which a table is written."""

    def write(self, frame: pd.DataFrame) -> None:
        """Write the next rows; the first ones decide on the columns, and on types in Parquet."""


@contextmanager
def table_writer(
    path: str | os.PathLike[str], name: str | os.PathLike[str], *, is_safe: bool = False
) -> Iterator[TableWriter]:
    """Open a file for a table.

    Parameters
    ----------
    path : str or Path
        The file that is written.
    name : str or Path
        What the file is called in the end: ``.parquet`` is Parquet, and all else CSV, compressed
        where it ends in ``.gz``, ``.bz2``, ``.xz`` or ``.zst``.
    is_safe : bool, default=False
        Whether cells of CSV that a spreadsheet would take for formulas are made text; see
        :func:`without_formulas`.

    Yields
    ------
    TableWriter

    Raises
    ------
    InputError
        When a package is missing, or when later rows do not fit the types of the first ones.
    OSError
        When the file cannot be written.
    """
    ending = os.path.splitext(os.fspath(name))[1].lower()
    if ending == ".parquet":
        writer = _ParquetWriter(path, os.fsdecode(name))
        try:
            yield writer
        finally:
            writer.close()
        return
    with _opened(path, os.fsdecode(name), ending) as file:
        yield _CsvWriter(file, is_safe)


@contextmanager
def _opened(path: str | os.PathLike[str], name: str, ending: str) -> Iterator[Any]:
    """Open a file for bytes, which are compressed as the ending says."""
    with ExitStack() as stack:
        if ending == ".zst":
            yield stack.enter_context(open_zstandard(path, name))
            return
        file: Any = stack.enter_context(Path(path).open("wb"))
        if ending == ".gz":
            # Without a time and a name in it, the same table gives the same bytes.
            file = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6)
        elif ending in (".bz2", ".xz"):
            file = (bz2.open if ending == ".bz2" else lzma.open)(file, "wb")
        yield stack.enter_context(file)


class _CsvWriter:
    def __init__(self, file: Any, is_safe: bool) -> None:
        self._file, self._is_safe, self._has_header = file, is_safe, False

    def write(self, frame: pd.DataFrame) -> None:
        text = csv_text(frame, header=not self._has_header, is_safe=self._is_safe)
        self._has_header = True
        self._file.write(text.encode("utf-8", "backslashreplace"))


def csv_text(frame: pd.DataFrame, *, header: bool, is_safe: bool = False) -> str:
    """Return the rows of a frame as CSV, below the names of the columns if `header` is True."""
    if is_safe:
        frame = without_formulas(frame)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(frame.columns)
    if (lines := lines_of(frame)) is not None:
        return text.getvalue() + lines
    columns = [_cells(frame.iloc[:, place]) for place in range(len(frame.columns))]
    if any(column is None for column in columns):
        return str(frame.to_csv(index=False, header=header, lineterminator="\n"))
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _cells(column: pd.Series) -> list[Any] | None:
    """List cells of which Python writes what pandas would, in half the time; None for others."""
    if column.dtype in (np.float64, np.int64, bool):
        return column.tolist() if column.notna().all() else None
    if not pd.api.types.is_string_dtype(column.dtype):
        return None
    cells = column.tolist()
    return cells if set(map(type, cells)) == {str} else None


def without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before text that a spreadsheet would take for a formula.

    That is text, and the name of a column, which begins with ``=``, ``+``, ``-``, ``@``, a tab or a
    carriage return. Numbers stay as they are, also where they are text.

    Parameters
    ----------
    frame : pandas.DataFrame

    Returns
    -------
    pandas.DataFrame
    """
    safe = frame.rename(columns=_without_formula)
    for place, dtype in enumerate(frame.dtypes):
        column = frame.iloc[:, place]
        if is_text(column) and not pd.api.types.is_datetime64_any_dtype(dtype):
            safe.isetitem(place, column.astype(object).map(_without_formula).to_numpy())
    return safe


def _without_formula(cell: Any) -> Any:
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not is_number(cell):
        return "'" + cell
    return cell


class _ParquetWriter:
    def __init__(self, path: Any, name: str) -> None:
        self._path, self._name, self._arrow = path, name, pyarrow_for(name)
        self._writer: Any = None

    def write(self, frame: pd.DataFrame) -> None:
        """Write the next rows."""
        arrow = self._arrow
        frame = frame.rename(columns=str)
        try:
            if self._writer is None:
                schema = arrow.Schema.from_pandas(frame, preserve_index=False).remove_metadata()
                for i, field in enumerate(schema):
                    if field.type == arrow.null():  # of text that is missing in all first rows
                        schema = schema.set(i, field.with_type(arrow.string()))
                self._writer = arrow.parquet.ParquetWriter(self._path, schema)
            table = arrow.Table.from_pandas(
                frame, schema=self._writer.schema, preserve_index=False
            ).replace_schema_metadata()
            self._writer.write_table(table)
        except arrow.ArrowException as error:
            raise InputError(f"{self._name}: cannot be written: {one_line(error)}") from None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
