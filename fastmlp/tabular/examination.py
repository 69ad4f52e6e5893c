"""A second look at the rows of a table, for what a fast parser does not say."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import DataError
from .cells import is_text
from .recognition import is_number

_CODE = re.compile(r"[+-]?0\d+|\+\d+")
_LONGEST_LINE = 1 << 16
_MOST_SPANS = 1000


class Watched:
    """A stream of text that is watched while a parser reads it.

    What pandas does not tell is seen in passing: how many lines there are, and whether there are
    blanks around values or integers with leading zeros.

    Parameters
    ----------
    stream : text file
    separator : str
        The character between two fields.
    name : str
        How messages call the file.
    looks_for_codes : bool, default=False
        Whether `has_codes` is of interest.

    Attributes
    ----------
    line : int
        Number of the last line that was read by iterating, counted from 1.
    n_lines : int
        Number of lines that were read by :meth:`read`.
    has_blanks, has_codes : bool
        Whether there may be blanks beside values, and integers such as 01.
    """

    def __init__(
        self, stream: IO[str], separator: str, name: str, looks_for_codes: bool = False
    ) -> None:
        self._stream, self.separator, self._name = stream, separator, name
        self._looks_for_codes = looks_for_codes
        self._rest, self._put_back = b"", b""
        self._failure: Exception | None = None
        self.line, self.n_lines, self.last = 0, 0, ""
        self.has_blanks = self.has_codes = False
        self._delimiters = np.zeros(256, dtype=bool)
        self._delimiters[list((separator + '\r\n" ').encode())] = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.last = next(self._stream)
        self.line += 1
        self._refuse_zeros(self.last)
        return self.last

    def skip_lines(self, count: int) -> None:
        """Leave out lines."""
        for _ in range(count):
            next(self)

    def next_record(self) -> list[str]:
        """Read the next record that is no blank line, which may have several lines."""
        rows = csv.reader(self, delimiter=self.separator, skipinitialspace=self.separator != " ")
        try:
            return next(row for row in rows if row and not (len(row) == 1 and not row[0].strip()))
        except csv.Error as error:
            raise DataError(f"{self._name}: the header cannot be read: {error}") from None
        except StopIteration:
            raise DataError(
                f"{self._name}: the file is empty; a header line and rows are needed"
            ) from None

    def read(self, size: int = -1) -> bytes:
        """Read a part as UTF-8, and look at it."""
        part = self.read_part(size)
        whole = self._rest + part
        end = len(whole) if not part else whole.rfind(b"\n") + 1
        if not end and len(whole) > _LONGEST_LINE:
            end = len(whole)
        self._rest = whole[end:]
        if end:
            self._look(whole[:end])
        return part

    def read_part(self, size: int = -1) -> bytes:
        """Read a part as UTF-8, and look only for what no text has."""
        if self._put_back:
            part, self._put_back = self._put_back, b""
            return part
        try:
            text = self._stream.read(size)
            self._refuse_zeros(text)
            return text.encode()
        except Exception as error:
            # The parser would hide what failed.
            self._failure = error
            raise

    def put_back(self, part: bytes) -> None:
        """Let what has been read by :meth:`read_part` be read again, all at once."""
        self._put_back = part

    def look_for_blanks(self, lines: bytes) -> None:
        """Let `has_blanks` tell of some whole lines alone."""
        may_have = any(blank in lines for blank in (b" ", b"\t", b"\xa0"))
        self.has_blanks = may_have and self._finds_blanks(_codes(lines))

    def raise_failure(self) -> None:
        """Raise the error that reading had, if there was one."""
        if self._failure is not None:
            raise self._failure

    def _refuse_zeros(self, part: str) -> None:
        if "\0" in part:
            raise DataError(
                f"{self._name}: cannot be read as CSV: it is no text (it has zero characters)"
            )

    def _look(self, lines: bytes) -> None:
        codes = _codes(lines)
        is_end = codes[2:-2] == ord("\n")
        n_ends = int(np.count_nonzero(is_end)) or lines.count(b"\r")
        self.n_lines += n_ends + (not lines.endswith((b"\n", b"\r")))
        if not self.has_blanks:
            self.has_blanks = self._finds_blanks(codes)
        if self._looks_for_codes and not self.has_codes:
            self.has_codes = self._finds_codes(codes)

    def _finds_blanks(self, codes: NDArray[np.uint8]) -> bool:
        """Tell whether there may be blanks at the start or the end of fields."""
        is_blank = codes == ord(" ")
        if self.separator != "\t":
            is_blank |= codes == ord("\t")
        if is_blank.any():
            places = np.flatnonzero(is_blank)
            beside = self._delimiters[codes[places - 1]] | self._delimiters[codes[places + 1]]
            if beside.any():
                return True
        # The last byte of a blank that does not break lines, and of some letters.
        return bool((codes == 0xA0).any())

    def _finds_codes(self, codes: NDArray[np.uint8]) -> bool:
        """Tell whether a field is an integer with leading zeros or a plus."""
        # Each place is that of a zero or a plus before a digit.
        here, after = codes[2:-1], codes[3:]
        starts = 2 + np.flatnonzero(
            ((here == ord("0")) | (here == ord("+"))) & (after - np.uint8(ord("0")) < 10)
        )
        before = codes[starts - 1]
        is_signed = (before == ord("-")) | (before == ord("+"))
        starts = starts[self._delimiters[codes[starts - 1 - is_signed]]]
        if not len(starts):
            return False
        # A date or a number with a fraction has another character before its field ends.
        ends = np.flatnonzero((codes < ord("0")) | (codes > ord("9")))
        following = ends[np.searchsorted(ends, starts + 1)]
        return bool(self._delimiters[codes[following]].any())


def _codes(lines: bytes) -> NDArray[np.uint8]:
    """Return the bytes of lines, between other line breaks."""
    return np.frombuffer(b"\n\n%b\n\n" % lines, dtype=np.uint8)


@dataclass
class Examination:
    """What a second look at the rows found.

    Attributes
    ----------
    n_rows : int
        Number of rows that were read.
    ragged : (line, n_fields) or None
        The first row with another number of fields than the header.
    last_line : int
        The line where the last row begins.
    columns : dict of int to list of str
        The fields of columns as they stand in the file.
    codes : dict of int to str
        Columns that have integers with leading zeros or a plus, with the first of these.
    too_long : int or None
        Line where a field begins that is too long for this look, and has lines like rows.
    """

    n_rows: int = 0
    ragged: tuple[int, int] | None = None
    last_line: int = 0
    columns: dict[int, list[str]] = field(default_factory=dict)
    codes: dict[int, str] = field(default_factory=dict)
    too_long: int | None = None
    spans: list[tuple[int, int, list[str], str]] = field(default_factory=list)

    def suspicious(self, frame: pd.DataFrame) -> list[tuple[int, int]]:
        """Return the first and last lines of rows that seem to have swallowed others.

        Parameters
        ----------
        frame : pandas.DataFrame
            The table, whose columns of numbers tell what a row looks like.
        """
        if not self.spans:
            return []
        numeric = {i for i in range(len(frame.columns)) if not is_text(frame.iloc[:, i])}
        return [
            (start, end)
            for start, end, row, separator in self.spans
            if any(_has_rows(value, i, len(row), separator, numeric) for i, value in enumerate(row))
        ]


def _has_rows(value: str, place: int, n_columns: int, separator: str, numeric: set[int]) -> bool:
    """Tell whether a field with line breaks looks like rows of the table.

    The field begins in the middle of a row, at column `place`, and ends in that of a later one.
    """
    first, *middle = re.split("\r\n|\r|\n", value)
    if not middle:
        return False
    *middle, last = middle
    rows = [line.split(separator) for line in middle]
    if any(len(row) != n_columns for row in rows):
        return False
    begun, ended = first.split(separator), last.split(separator)
    if len(begun) + place != n_columns or len(ended) != place + 1:
        return False
    # The line where the field ends, and that where it begins, without the broken field.
    known = dict(enumerate(ended[:-1])) | {place + i: x for i, x in enumerate(begun) if i}
    pieces = [(i, text) for row in rows for i, text in enumerate(row)] + list(known.items())
    checked = [text for i, text in pieces if i in numeric and i != place]
    if not checked:
        return n_columns > 1 and len(rows) > 1
    return all(not text.strip(' "') or is_number(text.strip(' "')) for text in checked)


def count_regular_rows(stream: IO[str], separator: str, n_columns: int, n_skipped: int) -> int:
    """Count rows, if it can be seen quickly that all have the same number of fields.

    Parameters
    ----------
    stream : text file
    separator : str
        The character between two fields.
    n_columns : int
        The number of fields of each row.
    n_skipped : int
        The number of lines above the first row.

    Returns
    -------
    int
        -1 if a row has another number of fields, or if the table has quotation marks or lines that
        end with a carriage return alone, so that it must be read row by row.
    """
    for _ in range(n_skipped):
        if '"' in stream.readline():
            return -1
    n_rows, rest = 0, b""
    while part := stream.read(1 << 20).encode():
        whole = rest + part
        end = whole.rfind(b"\n") + 1
        lines, rest = whole[:end], whole[end:]
        if b'"' in part or lines.count(b"\r") != lines.count(b"\r\n"):
            return -1
        codes = np.frombuffer(lines, dtype=np.uint8)
        ends = np.flatnonzero(codes == ord("\n"))
        places = np.flatnonzero(codes == ord(separator))
        n_fields = np.diff(np.searchsorted(places, ends), prepend=0) + 1
        if (n_fields != n_columns).any():
            return -1
        n_rows += len(ends)
    if not rest:
        return n_rows
    is_regular = b"\r" not in rest and rest.count(separator.encode()) + 1 == n_columns
    return n_rows + 1 if is_regular else -1


def examine(
    watched: Watched,
    widths: tuple[int, int],
    n_header: int,
    collect: set[int],
    codes: set[int],
    ends_with_separator: bool,
) -> Examination:
    """Read the rows of a table one by one.

    Parameters
    ----------
    watched : Watched
        At the header, or at the first row of a table without one.
    widths : (int, int)
        The fewest and the most fields that a row may have.
    n_header : int
        1 if there is a header, else 0.
    collect : set of int
        Columns whose fields are kept as they stand.
    codes : set of int
        Columns where integers with leading zeros or a plus are looked for.
    ends_with_separator : bool
        Whether a row may have a further, empty field.

    Returns
    -------
    Examination
        If a row is ragged, the look ends there.
    """
    seen = Examination(columns={place: [] for place in collect})
    separator = watched.separator
    rows = csv.reader(watched, delimiter=separator, skipinitialspace=separator != " ")
    n_records, last = 0, watched.line
    try:
        for row in rows:
            start, last = last, watched.line
            seen.last_line = start + 1
            is_blank = not row or (len(row) == 1 and not row[0] and not watched.last.strip())
            if is_blank or (len(row) == 1 and not row[0].strip() and '"' not in watched.last):
                continue
            n_records += 1
            if n_records <= n_header:
                continue
            if ends_with_separator and len(row) == widths[1] + 1 and not row[-1].strip():
                row = row[:-1]
            if not widths[0] <= len(row) <= widths[1]:
                seen.ragged = watched.line, len(row)
                return seen
            seen.n_rows += 1
            if watched.line - start > 1 and len(seen.spans) < _MOST_SPANS:
                seen.spans.append((start + 1, watched.line, row, separator))
            row += [""] * (widths[1] - len(row))  # of separators at line ends in the header alone
            for place in collect:
                seen.columns[place].append(row[place])
            for place in codes - seen.codes.keys():
                if _CODE.fullmatch(row[place].strip()):
                    seen.codes[place] = row[place].strip()
    except csv.Error:  # a field that is longer than the module takes
        if len(watched.last.split(separator)) == widths[1]:
            seen.too_long = last + 1
        seen.n_rows = -1
    return seen
