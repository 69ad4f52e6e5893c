"""Reading a table some rows at a time, for a model that knows its columns."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import DataError
from .blocks import Block, BlockReader, Part
from .conversion import with_booleans
from .csv import Origin, errors_of
from .examination import Watched
from .parquet import ParquetTable
from .parsing import NO_ROWS, TableReader
from .paths import files_of
from .reading import Reading, Rows
from .recognition import is_parquet
from .sources import Source

ROWS_AT_ONCE = 100_000
_QUOTED_OR_ROW = re.compile(r"""'[^']*'|"[^"]*"|(\bin )?\brow (\d+)""")
_MOST_CATEGORIES = 0.2  # of the rows; more take longer to be sorted than text to be made


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
    lines: NDArray[np.intp] | None = None
    """The line of the file where each row begins, counted from 1; None where it is not known."""
    file: str = ""
    """The file, if the table has several."""
    first_of_file: int = 0
    """Number of the first row of that file in the table."""

    def where(self, row: int) -> str:
        """Say where a row is, of which the number in the table is not enough; '' if it is.

        Parameters
        ----------
        row : int
            Counted from 1 in this chunk.
        """
        of_file = f" of {self.file}" if self.file else ""
        if self.lines is not None and 0 < row <= len(self.lines):
            return f"line {self.lines[row - 1]}{of_file}"
        return of_file and f"row {row + self.first_row - self.first_of_file}{of_file}"


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
        The most rows of a chunk; None is 100 000.

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
            first_of_file, name = first_row, source.name if len(files) > 1 else ""
            for frame, kept, lines in table.chunks(n_rows):
                place = (i + source.share_read()) / len(files)
                chunk = Chunk(frame, kept, first_row, place, lines, name, first_of_file)
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


def located(message: str, chunk: Chunk) -> str:
    """Count the row that a message about some rows names from the start of the table.

    The line is added where it is known, and the file where there are several.
    """

    def counted(match: re.Match[str]) -> str:
        if match[2] is None:
            return match[0]
        row = int(match[2])
        where = chunk.where(row) if match[1] else ""
        return f"{match[1] or ''}row {row + chunk.first_row}" + (where and f" ({where})")

    return _QUOTED_OR_ROW.sub(counted, message)


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

    def chunks(self, n_rows: int) -> Iterator[Rows]:
        """Yield the next rows."""
        self._begin()
        with self.source.text(self.encoding) as stream:
            watched = Watched(stream, self.separator, self.name)
            names = self._read_names(watched)
            self.n_above = watched.line
            options = self._options(names)
            self._is_looked_at = False
            self._levels = (self.reading.levels & {*names}) - {*self.reading.keep}
            count, blocks = 0, BlockReader(watched, n_rows)
            # Whether pandas takes longer rows depends on the first one of what it parses.
            if not self._has_long_rows:
                for block in blocks:
                    parsed = self._parsed_block(block, names, watched, options)
                    if not count:
                        self._remark_on_header(parsed)
                    count += len(parsed)
                    lines = block.lines()
                    frame, kept = self._settled(parsed, names, watched, options)
                    yield Rows(frame, kept, lines if len(lines) == len(parsed) else None)
                if not blocks.leave():
                    # Lines that are no rows are blank ones, or parts of a field.
                    if blocks.has_quotes and blocks.n_lines != count and not self._is_looked_at:
                        self._look_at_all(parsed)
                    return
                watched.has_blanks, watched.n_lines = False, blocks.n_lines
            yield from self._other_rows(watched, names, options, n_rows, count)

    def _parsed_block(
        self, block: Block, names: list[str], watched: Watched, options: dict[str, Any]
    ) -> pd.DataFrame:
        watched.look_for_blanks(block.text)
        try:
            if block.first_width() > len(names):
                raise pd.errors.ParserError("a row is too long")
            parsed = self._read_csv(block, names, watched.has_blanks, options)
        except pd.errors.ParserError as error:
            raise self._not_parsed(names, error) from None
        # A row may be too short.
        is_odd = not self._is_looked_at and parsed.iloc[:, -1].isna().any()
        if is_odd and (block.widths() != len(names)).any():
            self._look_at_all(parsed)
        return parsed

    def _read_csv(
        self, block: Block, names: list[str], has_blanks: bool, options: dict[str, Any]
    ) -> pd.DataFrame:
        part: Any = Part(block.text)
        if has_blanks:
            return pd.read_csv(part, **options)
        # To skip blanks takes a quarter of the time, whether there are any or not, and text is read
        # faster where each value is made once.
        places = [names.index(name) for name in self._levels]
        dtype = {**options["dtype"], **dict.fromkeys(places, "category")}
        parsed = pd.read_csv(part, **{**options, "skipinitialspace": False, "dtype": dtype})
        is_read = True
        for place in places:
            categories = parsed[place].cat.categories
            # Numbers among categories are no longer the text that they were.
            is_text = pd.api.types.is_string_dtype(categories.dtype) or not len(categories)
            if not is_text or len(categories) > _MOST_CATEGORIES * len(parsed):
                self._levels.remove(names[place])
            is_read &= is_text
        return parsed if is_read else self._read_csv(block, names, has_blanks, options)

    def _other_rows(
        self,
        watched: Watched,
        names: list[str],
        options: dict[str, Any],
        n_rows: int,
        count: int,
    ) -> Iterator[Rows]:
        """Yield rows of which only pandas knows where they end."""
        expected: int | None = None
        for parsed in self._parsed(watched, names, options, n_rows):
            if not count:
                self._remark_on_header(parsed)
            if not self._is_looked_at and parsed.iloc[:, -1].isna().any():
                # A row may be too short, which only another look at the file tells.
                expected = self._count_rows(len(names))
                if expected < 0:
                    self._look_at_all(parsed)
                    expected = None
                self._is_looked_at = True
            first, count = count, count + len(parsed)
            frame, kept = self._settled(parsed, names, watched, options)
            # The lines are known where the parser has read no further.
            is_known = watched.n_lines == count
            lines = np.arange(first, count) + self.n_above + 1 if is_known else None
            yield Rows(frame, kept, lines)
        if expected not in (None, count) or (not self._is_looked_at and watched.n_lines != count):
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
        kept = pd.DataFrame(index=parsed.index)
        if keep:
            kept = parsed[[names.index(name) for name in keep]].set_axis(keep, axis=1)
        needed, n_rows = set(self.reading.needed(names)), len(parsed)
        places = [place for place, name in enumerate(names) if name in needed]
        frame = parsed if len(places) == len(names) else parsed[places]
        frame = frame.set_axis([names[place] for place in places], axis=1)
        for place in places:
            name = names[place]
            is_text = name in self.reading.verbatim or name in self.reading.as_text
            if not n_rows and not is_text:
                frame[name] = frame[name].astype(float)
            elif name in keep and n_rows:
                frame[name] = self._parsed_again(frame[name], place, name, options)
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
        self._is_looked_at, n_columns = True, len(parsed.columns)
        seen = self._look(n_columns, set(), set(), is_parsed=True)
        if seen.ragged is not None:
            raise self._misshapen(seen, n_columns, "")
        self._remark_on_spans(seen, parsed)
