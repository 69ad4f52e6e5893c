"""A second look at the rows of a table, for what a fast parser does not say."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .columns import is_text
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

    Attributes
    ----------
    line : int
        Number of the last line that was read by iterating, counted from 1.
    n_lines : int
        Number of lines that were read by :meth:`read`.
    has_blanks, has_codes : bool
        Whether there may be blanks beside values, and integers such as 01.
    """

    def __init__(self, stream: IO[str], separator: str, name: str) -> None:
        self._stream, self.separator, self._name = stream, separator, name
        self._rest = ""
        self._failure: Exception | None = None
        self.line, self.n_lines, self.last = 0, 0, ""
        self.has_blanks = self.has_codes = False
        ends = (separator, "\n", "\r", '"')
        blanks = [blank for blank in (" ", "\t") if blank != separator]
        self._blanks = [blank + end for blank in blanks for end in ends]
        self._blanks += ['"' + blank for blank in blanks] + ["\u00a0", "\ufeff"]
        self._blanks += [end + "\t" for end in ends[:3] if separator != "\t"]
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

    def read(self, size: int = -1) -> str:
        """Read a part, and look at it."""
        try:
            part = self._stream.read(size)
            self._refuse_zeros(part)
        except Exception as error:
            # The parser would hide what failed.
            self._failure = error
            raise
        whole = self._rest + part
        end = len(whole) if not part else whole.rfind("\n") + 1
        if not end and len(whole) > _LONGEST_LINE:
            end = len(whole)
        self._rest = whole[end:]
        if end:
            self._look(whole[:end])
        return part

    def raise_failure(self) -> None:
        """Raise the error that reading had, if there was one."""
        if self._failure is not None:
            raise self._failure

    def _refuse_zeros(self, part: str) -> None:
        if "\0" in part:
            raise DataError(
                f"{self._name}: cannot be read as CSV: it is no text (it has zero characters)"
            )

    def _look(self, lines: str) -> None:
        n_ends = lines.count("\n") or lines.count("\r")
        self.n_lines += n_ends + (not lines.endswith(("\n", "\r")))
        if not self.has_blanks:
            self.has_blanks = lines.endswith((" ", "\t")) or any(
                blank in lines for blank in self._blanks
            )
        if not self.has_codes:
            self.has_codes = self._finds_codes(lines)

    def _finds_codes(self, lines: str) -> bool:
        """Tell whether a field is an integer with leading zeros or a plus."""
        codes = np.frombuffer(f"\n{lines}\n\n".encode(errors="replace"), dtype=np.uint8)
        is_delimiter = self._delimiters[codes]
        before, here, after = codes[:-2], codes[1:-1], codes[2:]
        is_digit = (after >= 48) & (after < 58)
        is_start = is_delimiter[:-2] | (before == ord("-")) | (before == ord("+"))
        starts = np.flatnonzero(is_start & is_digit & ((here == ord("0")) | (here == ord("+"))))
        if not len(starts):
            return False
        # A date or a number with a fraction has another character before its field ends.
        ends = np.flatnonzero((codes < 48) | (codes > 57))
        following = ends[np.searchsorted(ends, starts + 2)]
        return bool(is_delimiter[following].any())


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
    first, *middle = value.splitlines()
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
    n_records = 0
    try:
        for row in rows:
            start, seen.last_line = seen.last_line, watched.line
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
            for place in collect:
                seen.columns[place].append(row[place])
            for place in codes - seen.codes.keys():
                if _CODE.fullmatch(row[place].strip()):
                    seen.codes[place] = row[place].strip()
    except csv.Error:  # a field that is longer than the module takes
        if len(watched.last.split(separator)) == widths[1]:
            seen.too_long = seen.last_line + 1
        seen.n_rows = -1
    return seen
