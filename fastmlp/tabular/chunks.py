"""Reading a table some rows at a time, for a model that knows its columns."""

import csv
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from ..exceptions import DataError
from .conversion import with_booleans
from .csv import Origin, errors_of
from .examination import Watched
from .parquet import ParquetTable
from .parsing import NO_ROWS, TableReader
from .paths import files_of
from .reading import Reading
from .recognition import is_parquet
from .sources import Source

ROWS_AT_ONCE = 50_000


class Chunk(NamedTuple):
    """Some rows of a table that follow each other."""

    frame: pd.DataFrame
    """The columns as they are read in the whole table; its index begins with 0."""
    kept: pd.DataFrame
    """The columns that are passed on: of a CSV file their text as it stands."""
    first_row: int
    """Number of the first of these rows in the table, counted from 0."""
    place: float
    """The share of the bytes of all files that have been read."""
    lines_above: int | None = None
    """What makes the number of a row that of its line, where each row has one line."""


def read_chunks(origin: Origin, reading: Reading, n_rows: int | None = None) -> Iterator[Chunk]:
    """Read a table some rows at a time, in constant memory.

    Each value is what it is in the table that is read at once, wherever a chunk ends.

    Parameters
    ----------
    origin : str, Path, file-like object, or a sequence of these
        As for :func:`fastmlp.tabular.csv.read_table`.
    reading : Reading
        It names the columns that are known, and how each of them is read.
    n_rows : int or None, default=None
        The most rows of a chunk; None is 50 000.

    Yields
    ------
    Chunk
        A table without rows gives one chunk without rows.

    Raises
    ------
    DataError
        As :func:`fastmlp.tabular.csv.read_table`; a fault of a later row is found when its chunk
        is read.
    """
    first_row, empty, n_rows = 0, None, n_rows or ROWS_AT_ONCE
    files = files_of(origin)
    for i, file in enumerate(files):
        with Source(file) as source, errors_of(source, reading.encoding):
            table: Any
            if is_parquet(source.head()):
                table = ParquetTable(source, reading)
            else:
                table = _ChunkReader(source, reading)
            for frame, kept in table.chunks(n_rows):
                place = (i + source.share_read()) / len(files)
                above = frame.attrs.get("lines_above") if len(files) == 1 else None
                chunk = Chunk(frame, kept, first_row, place, above)
                if len(frame):
                    yield chunk
                    first_row += len(frame)
                else:
                    empty = chunk
    if not first_row:
        assert empty is not None
        if not reading.allow_empty:
            raise DataError(f"{source.name}: {NO_ROWS}")
        yield empty


def beginning_of(file: Any, reading: Reading) -> tuple[list[str], bool]:
    """Return the names of the columns of a file, and whether its first line has them."""
    with Source(file) as source, errors_of(source, reading.encoding):
        if is_parquet(source.head()):
            return ParquetTable(source, reading).names, True
        return _ChunkReader(source, reading).names()


class _ChunkReader(TableReader):
    """Reads a CSV file some rows at a time; see :class:`TableReader`."""

    def names(self) -> tuple[list[str], bool]:
        """Return the names of the columns, and whether the first line has them."""
        self._begin()
        with self.source.text(self.encoding) as stream:
            names = self._read_names(Watched(stream, self.separator, self.name))
        self._options(names)  # checks what is named
        return names, self.has_header

    def chunks(self, n_rows: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Yield the columns of the next rows, and those that are passed on."""
        self._begin()
        with self.source.text(self.encoding) as stream:
            watched = Watched(stream, self.separator, self.name)
            names = self._read_names(watched)
            self.n_above = watched.line
            options = self._options(names)
            count, is_checked = 0, False
            expected: int | None = None
            for parsed in self._parsed(watched, names, options, n_rows):
                if not count:
                    self._remark_on_header(parsed)
                if not is_checked and parsed.iloc[:, -1].isna().any():
                    # A row may be too short, which only another look at the file tells.
                    is_checked, expected = True, self._count_rows(len(names))
                    if expected < 0:
                        self._look_at_all(parsed)
                        expected = None
                count += len(parsed)
                frame, kept = self._settled(parsed, names, watched, options)
                if watched.n_lines == count:  # the parser has read no further
                    frame.attrs["lines_above"] = self.n_above
                yield frame, kept
            # Lines that are no rows are blank ones, or parts of a field.
            if expected not in (None, count) or (not is_checked and watched.n_lines != count):
                self._look_at_all(parsed)

    def _parsed(
        self, watched: Watched, names: list[str], options: dict[str, Any], n_rows: int
    ) -> Iterator[pd.DataFrame]:
        file: Any = watched
        try:
            with pd.read_csv(file, chunksize=n_rows, **options) as parser:
                while True:
                    with self._without_words():
                        parsed = next(parser, None)
                    if parsed is None:
                        break
                    yield parsed.reset_index(drop=True)
        except pd.errors.ParserError as error:
            watched.raise_failure()
            raise self._not_parsed(names, error) from None

    def _settled(
        self, parsed: pd.DataFrame, names: list[str], watched: Watched, options: dict[str, Any]
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Convert what the parser gives, and take apart what is passed on."""
        keep = list(self.reading.keep)
        kept = parsed[[names.index(name) for name in keep]].set_axis(keep, axis=1)
        columns, needed = {}, set(self.reading.needed(names))
        for place, name in enumerate(names):
            if name in needed:
                column = parsed[place]
                if name in keep and len(column):
                    column = self._parsed_again(column, place, name, options)
                is_text = name in self.reading.verbatim or name in self.reading.as_text
                columns[name] = column if len(column) or is_text else column.astype(float)
        frame = pd.DataFrame(columns, index=parsed.index, copy=False)
        return with_booleans(self._convert(frame, watched)), kept

    def _parsed_again(
        self, texts: pd.Series, place: int, name: str, options: dict[str, Any]
    ) -> pd.Series:
        """Read the text of a column that is passed on and known to the model, too."""
        is_text = name in self.reading.verbatim or name in self.reading.as_text
        text = io.StringIO()
        texts.to_csv(text, header=False, index=False, quoting=csv.QUOTE_ALL)
        text.seek(0)
        own = {
            "sep": ",",
            "names": [place],
            "dtype": {place: str} if is_text else {},
            "na_values": self._marks(name),
            "skip_blank_lines": False,
        }
        frame = pd.read_csv(text, **{**options, **own})
        return frame[place]

    def _look_at_all(self, parsed: pd.DataFrame) -> None:
        """Look at all rows for one of another length, and for quotation marks too many."""
        n_columns = len(parsed.columns)
        seen = self._look(n_columns, set(), set(), is_parsed=True)
        if seen.ragged is not None:
            raise self._misshapen(seen, n_columns, "")
        self._remark_on_spans(seen, parsed)
