"""From the text of a table to a data frame: names, rows, conversions and remarks."""

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataError, DataWarning, warn_user
from .cells import is_text
from .columns import decide_task
from .conversion import (
    MISSING_WORDS,
    SHORTEST_LONG,
    are_integers,
    as_floats_if_long,
    as_parsed_floats,
    converted,
    loses_digits,
    stripped,
    with_booleans,
)
from .encodings import encoding_note, marked_encoding, recognise_encoding
from .examination import Examination, Watched, count_regular_rows, examine
from .naming import no_column
from .reading import Reading
from .recognition import (
    better_separator,
    first_record_is_data,
    first_row_is_data,
    first_row_is_names,
    has_integers,
    has_wide_gaps,
    is_number,
    recognise,
    refuse_other_formats,
    title_above,
)
from .sources import Source

NO_ROWS = "there is a header but no row below it"
_MOST_ALIKE = 5  # columns of which the same is said
_SAMPLE = 1 << 18  # characters that the separator and the first lines are recognised from


class TableReader:
    """Reads one table from a file, step by step.

    Parameters
    ----------
    source : Source
    reading : Reading

    Attributes
    ----------
    encoding, separator : str
        Those that the user chose, or that were recognised.
    has_header : bool
        Likewise.
    beginning : Beginning
        What the first part of the table says.
    header : list of str
        The fields of the header as they stand there; empty without a header.
    is_nameless_end : bool
        Whether the header ends with a separator.
    n_above : int
        Number of lines above the first row.
    """

    def __init__(self, source: Source, reading: Reading) -> None:
        self.source, self.reading, self.name = source, reading, source.name
        self.has_header = reading.header is not False

    def read(self) -> pd.DataFrame:
        """Read, check and convert the table."""
        self._begin()
        with self.source.text(self.encoding) as stream:
            looks_for_codes = has_integers(self.beginning.records[int(self.has_header) :])
            watched = Watched(stream, self.separator, self.name, looks_for_codes)
            names = self._read_names(watched)
            self.n_above = watched.line
            frame = self._parse(watched, names)
        if not len(frame) and not self.reading.allow_empty:
            raise DataError(f"{self.name}: {NO_ROWS}")
        frame.columns = pd.Index(names)
        if not len(frame):
            numbers = set(names) - self.reading.verbatim - self.reading.as_text
            frame = frame.astype(dict.fromkeys(numbers, float))
        frame, names = self._without_empty_end(frame, names)
        frame = self._convert(frame, watched)
        seen = self._examine(frame, watched)
        self._keep_codes(frame, seen)
        self._remark_on(frame, seen)
        frame = with_booleans(frame.drop(columns=list(self.reading.drop)))
        if not len(frame.columns):
            raise DataError(f"{self.name}: no column is left")
        frame.attrs["reading"] = self._record(names, frame, seen)
        if watched.n_lines == len(frame):  # so that the number of a row tells its line
            frame.attrs["lines_above"] = self.n_above
        return frame

    def _begin(self) -> None:
        """Look at the first part of the file: format, encoding, separator, first lines."""
        head = self.source.head()
        if not head:
            raise DataError(f"{self.name}: the file is empty; a header line and rows are needed")
        refuse_other_formats(self.name, head)
        self._is_guessed = False
        if self.source.is_text:
            self.encoding = "utf-8-sig"
        else:
            encoding = self.reading.encoding
            marked = marked_encoding(head)
            self.encoding = encoding or recognise_encoding(self.name, head)
            self._is_guessed = encoding is None and self.encoding not in ("utf-8", marked)
            if marked is not None and marked[:6] != self.encoding[:6]:
                self._warn(f"a mark at its start says that it is {marked}; leave `encoding` out")
        with self.source.text(self.encoding) as stream:
            sample = stream.read(_SAMPLE)
            is_whole = not stream.read(1)
        # Encodings that are named with their byte order keep the mark.
        sample = sample.removeprefix("\ufeff")
        if not sample.strip():
            raise DataError(f"{self.name}: the file is empty; a header line and rows are needed")
        self.beginning = recognise(
            sample, is_whole, self.reading.separator, self.source.ending, self.has_header
        )
        self.separator = self.beginning.separator
        if not self.beginning.records:
            raise DataError(f"{self.name}: there are only comments; a header and rows are needed")
        self._find_out()
        self._remark_on_beginning()

    def _find_out(self) -> None:
        """Decide what the user has not said, and what no model knows; say so in one line."""
        found, records = [], self.beginning.records
        if self.beginning.is_recognised:
            found.append(f"fields are separated by {_shown(self.separator)}")
        if self.reading.header is None and not self.reading.known:
            self.has_header = not first_record_is_data(records)
        if self._is_guessed:
            found.append(encoding_note(self.encoding))
        if not self.has_header and self.reading.header is None:
            shown = ", ".join(records[0][:4]) + (", ..." if len(records[0]) > 4 else "")
            found.append(
                f"the first line looks like data and is read so ({shown}); if it has the names of "
                "columns, use header=True"
            )
        if found:
            self._warn("; ".join(found))

    def _remark_on_beginning(self) -> None:
        beginning = self.beginning
        if beginning.n_comments:
            last, some = beginning.n_skipped, beginning.n_comments
            numbers = f"line {last} is a comment" if some == 1 else (
                f"lines {last - some + 1} to {last} are comments"
            )  # fmt: skip
            self._warn(f"{numbers}, left out: {beginning.lines[last - some].strip()[:60]!r}")
        records = beginning.records
        if self.has_header and (above := title_above(records)):
            shown = " ".join(records[0]).strip()
            raise DataError(
                f"{self.name}: the first line, {shown[:60]!r}, looks like a title above the names "
                f"of the columns ({', '.join(map(repr, records[above][:3]))}, ...); remove what is "
                "above these"
            )
        if not self.has_header and first_row_is_names(records):
            remedy = "remove it" if self.reading.known else "use header=True"
            self._warn(
                "the first line looks like names of columns rather than data "
                f"({', '.join(records[0][:4])}); if it is, {remedy}"
            )
        if records and len(records[0]) == 1:
            lines = beginning.lines[beginning.n_skipped :]
            better = better_separator(lines, beginning.separator)
            if better is not None:
                self._warn(
                    f"there is a single column; with separator={_shown(better[0])} there would be "
                    f"{better[1]}"
                )
            elif has_wide_gaps(lines):
                self._warn(
                    "there is a single column; if blanks stand between columns, leave only one of "
                    "them in each place, and use separator=' '"
                )

    def _read_names(self, watched: Watched) -> list[str]:
        """Return the names of the columns, and leave `watched` at the first row."""
        watched.skip_lines(self.beginning.n_skipped)
        if not self.has_header:
            return self._made_names(len(self.beginning.records[0]))
        header = watched.next_record()
        self.header = [name.removeprefix("\ufeff").strip() for name in header]
        self.is_nameless_end = len(header) > 1 and not self.header[-1]
        names = [name or f"Unnamed: {i}" for i, name in enumerate(self.header)]
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            remedy = "names must differ"
            if all(is_number(name) for name in self.header if name):
                remedy += ", or use header=False if these are data"
            raise DataError(
                f"{self.name}, line {watched.line}: column name {repeated[0]!r} stands there more "
                f"than once; {remedy}"
            )
        return names

    def _made_names(self, n_columns: int) -> list[str]:
        self.header, self.is_nameless_end = [], False
        known = self.reading.names
        if known is None:
            return [str(i) for i in range(1, n_columns + 1)]
        if n_columns not in known:
            counts = " or ".join(map(str, sorted(known)))
            raise DataError(
                f"{self.name}: {n_columns} column{'s' * (n_columns != 1)} without names, where the "
                f"model was trained on {counts}"
            )
        return list(known[n_columns])

    def _parse(self, watched: Watched, names: list[str]) -> pd.DataFrame:
        """Let pandas parse the rows; its columns are called by their numbers."""
        file: Any = watched  # has what pandas needs of a file
        options = self._options(names)
        try:
            with self._without_words():
                return pd.read_csv(file, **options)
        except pd.errors.ParserError as error:
            watched.raise_failure()
            raise self._not_parsed(names, error) from None

    def _options(self, names: list[str]) -> dict[str, Any]:
        """Return the options of pandas' parser, after checks of names and of the first row."""
        reading = self.reading
        for kind, wanted in (
            ("text", reading.verbatim - reading.known),
            ("drop", reading.drop),
            ("keep", reading.keep),
        ):
            if unknown := [name for name in wanted if name not in names]:
                raise DataError(no_column(self.name, unknown[0], kind, names))
        if dropped := [name for name in reading.targets or () if name in reading.drop]:
            raise DataError(
                f"{self.name}: column {dropped[0]!r} is the target, which cannot be left out"
            )
        # Where the first row is too long, pandas would cut all rows, and only warn.
        rows = self.beginning.records[int(self.has_header) :]
        self._has_long_rows = not rows or len(rows[0]) > len(names)
        if self._has_long_rows:
            seen = self._look(len(names), set(), set(), is_parsed=True)
            if seen.ragged is not None:
                raise self._misshapen(seen, len(names), "")
        # What is passed on has no missing values.
        by_column = {
            i: [] if name in reading.keep else self._marks(name) for i, name in enumerate(names)
        }
        as_text = reading.verbatim | reading.as_text | {*reading.keep}
        return {
            "sep": self.separator,
            "header": None,
            "names": list(range(len(names))),
            "index_col": False,
            "dtype": {i: str for i, name in enumerate(names) if name in as_text},
            "na_values": by_column if reading.verbatim or reading.keep else self._marks(None),
            "keep_default_na": False,
            "skipinitialspace": self.separator != " ",
            "decimal": reading.decimal or ".",
            "low_memory": False,
        }

    @contextmanager
    def _without_words(self) -> Iterator[None]:
        """Let pandas not warn of empty fields behind the last column, which have been looked at."""
        with ExitStack() as stack:
            if self._has_long_rows:
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", pd.errors.ParserWarning)
            yield

    def _marks(self, name: str | None) -> list[str]:
        """Return the marks of missing values in a column; None is any that is not verbatim."""
        own = {str(mark) for mark in self.reading.na_values} | {""}
        # Only the marks that the user named are missing values in text as it stands.
        return list(own if name in self.reading.verbatim else own | MISSING_WORDS)

    def _not_parsed(self, names: list[str], error: Exception) -> DataError:
        """Return the error about rows that pandas could not parse."""
        seen = self._look(len(names), set(), set(), is_parsed=False)
        return self._misshapen(seen, len(names), one_line(error))

    def _look(
        self, n_columns: int, collect: set[int], codes: set[int], is_parsed: bool
    ) -> Examination:
        with self.source.looked_at(self.encoding) as stream:
            watched = Watched(stream, self.separator, self.name)
            watched.skip_lines(self.beginning.n_skipped)
            widths = n_columns - self.is_nameless_end, n_columns
            n_header = int(self.has_header)
            return examine(watched, widths, n_header, collect, codes, is_parsed)

    def _is_regular(self, n_columns: int, n_rows: int) -> bool:
        """Tell whether a quick look shows that no row is shorter than the others."""
        return self._count_rows(n_columns) == n_rows

    def _count_rows(self, n_columns: int) -> int:
        """See :func:`count_regular_rows`."""
        with self.source.looked_at(self.encoding) as stream:
            return count_regular_rows(stream, self.separator, n_columns, self.n_above)

    def _misshapen(self, seen: Examination, n_columns: int, error: str) -> DataError:
        if seen.ragged is not None:
            line, n_fields = seen.ragged
            return DataError(
                f"{self.name}, line {line}: {n_fields} field{'s' * (n_fields != 1)} where the "
                f"header has {n_columns}; mend that line, or quote fields that contain the "
                "separator"
            )
        if "EOF inside string" in error:
            return DataError(
                f"{self.name}: cannot be read as CSV: the quotation mark that opens in line "
                f"{seen.last_line} is never closed"
            )
        return DataError(f"{self.name}: cannot be read as CSV: {error}")

    def _without_empty_end(
        self, frame: pd.DataFrame, names: list[str]
    ) -> tuple[pd.DataFrame, list[str]]:
        """Leave out columns at the end without names and values: of separators at line ends."""
        needed = self.reading.known | {*self.reading.keep}
        while self.header and len(names) > 1 and not self.header[len(names) - 1]:
            if names[-1] in needed or frame.iloc[:, -1].notna().any():
                break
            frame, names = frame.iloc[:, :-1], names[:-1]
        return frame, names

    def _convert(self, frame: pd.DataFrame, watched: Watched) -> pd.DataFrame:
        """Strip text, and read numbers that pandas left as text."""
        reading = self.reading
        own = {str(mark).strip() for mark in reading.na_values}
        as_text = reading.verbatim | reading.as_text
        is_unsettled = watched.has_blanks or reading.decimal is not None
        settled = frame.copy(deep=False)
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
            if dtype == np.float64 or (not is_unsettled and name in as_text):
                continue
            parsed = column = frame[name]
            if name not in as_text:
                column = as_floats_if_long(parsed)
                if reading.known:  # some of the rows shall be read as all of them are
                    column = as_parsed_floats(parsed, column)
            if is_text(column) and watched.has_blanks:
                column = stripped(column, own if name in reading.verbatim else own | MISSING_WORDS)
            if is_unsettled and is_text(column) and name not in as_text:
                text, column = column, converted(column, reading.decimal)
                if is_text(column) and reading.decimal == ",":
                    column = self._with_points(text, name)
            if column is not parsed:
                settled[name] = column
        return settled

    def _with_points(self, column: pd.Series, name: str) -> pd.Series:
        """Read numbers with decimal points in a table of decimal commas; leave other text."""
        numbers = converted(column, None)
        if is_text(numbers) or not numbers.notna().any():
            return column
        if not self.reading.known:
            texts = [text for text in column if isinstance(text, str)]
            example = next((text for text in texts if "." in text), texts[0])
            self._warn(
                f"column {name!r} has decimal points, and is read so: {example!r} is "
                f"{float(example):.15g}"
            )
        return numbers

    def _examine(self, frame: pd.DataFrame, watched: Watched) -> Examination:
        """Look at the rows a second time, if there was a sign that something may be wrong."""
        reading = self.reading
        targets = self._targets(frame)
        places = {name: i for i, name in enumerate(frame.columns)}
        collect = {places[name] for name in targets if frame[name].isna().any()}
        codes = set()
        if watched.has_codes:
            own = [name for name in places if name in targets or not reading.known]
            codes = {places[name] for name in own if are_integers(frame[name])}
            collect |= codes & {places[name] for name in targets}
        n_extra = watched.n_lines - len(frame)
        n_columns = len(self.header) or len(frame.columns)
        if not (collect or codes or n_extra) and (
            frame.iloc[:, -1].notna().all() or self._is_regular(n_columns, len(frame))
        ):
            return Examination()
        seen = self._look(n_columns, collect, codes, is_parsed=True)
        if seen.ragged is not None:
            raise self._misshapen(seen, n_columns, "")
        if seen.n_rows != len(frame):  # lines that were understood in another way
            seen.columns, seen.codes = {}, {}
        return seen

    def _targets(self, frame: pd.DataFrame) -> list[Any]:
        """Return the names of the targets that the table has."""
        if self.reading.targets is None and not self.reading.known:
            left = [name for name in frame.columns if name not in self.reading.drop]
            return left[-1:]
        return [name for name in self.reading.targets or () if name in frame.columns]

    def _keep_codes(self, frame: pd.DataFrame, seen: Examination) -> None:
        """Keep a target of classes such as 01 as text, and remark on features of such codes."""
        targets, coded = self._targets(frame), []
        for place, code in seen.codes.items():
            name = frame.columns[place]
            if name in targets and self.reading.task != "regression":
                raw = seen.columns.get(place)
                is_class = self.reading.task == "classification" or (
                    frame[name].notna().all() and decide_task(frame[name])[0] == "classification"
                )
                if raw is not None and is_class:
                    text = pd.Series(raw, index=frame.index, dtype=object).map(str.strip)
                    frame[name] = text.where(frame[name].notna())
                    continue
            if not self.reading.known and name not in self.reading.drop:
                coded.append((name, code))
        for name, code in coded[:_MOST_ALIKE]:
            self._warn(
                f"column {name!r} is read as numbers, {code!r} as well; if these are codes, use "
                f"text={[name]!r}"
            )
        if (n_more := len(coded) - _MOST_ALIKE) > 0:
            self._warn(f"{n_more} more column{'s have' if n_more > 1 else ' has'} such numbers")

    def _remark_on(self, frame: pd.DataFrame, seen: Examination) -> None:
        """Warn of what can be read, but looks wrong."""
        reading = self.reading
        self._remark_on_header(frame)
        self._remark_on_spans(seen, frame)
        if reading.known:
            return
        targets = self._targets(frame)
        least = frame.select_dtypes("number").min()  # of all at once, which is quicker
        is_long = set(least.index[least > SHORTEST_LONG])
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
            if name in reading.drop:
                continue
            if dtype.kind == "O":
                if name not in targets:
                    self._remark_on_mark(frame, name)
            elif name in is_long and self._loses_digits(frame, name):
                self._warn(
                    f"column {name!r} has integers of more than 15 digits, which lose the last "
                    f"ones; if these are codes, use text={[name]!r} or drop={[name]!r}"
                )

    def _remark_on_header(self, frame: pd.DataFrame) -> None:
        """Warn of a first line that looks like one more row; the frame has all columns."""
        known = self.reading.known
        if not self.header or not len(frame) or known.intersection(self.header):
            return
        names = self.header[: len(frame.columns)]
        if first_row_is_data(names, frame):
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            remedy = "add a line of names above it" if known else "use header=False"
            self._warn(
                f"the first line looks like data rather than names of columns ({shown}); if it is, "
                f"{remedy}"
            )

    def _remark_on_spans(self, seen: Examination, frame: pd.DataFrame) -> None:
        """Warn of fields that seem to have swallowed rows; the frame has all columns."""
        for start, end in seen.suspicious(frame)[:3]:
            self._warn(
                f"a quoted field spans lines {start} to {end}, which look like rows of the table; "
                f"look for a quotation mark too many in line {start}"
            )
        if seen.too_long is not None:
            self._warn(
                f"the field that opens in line {seen.too_long} by a quotation mark is very long, "
                "and has lines that look like rows of the table"
            )

    def _loses_digits(self, frame: pd.DataFrame, name: Any) -> bool:
        """Tell whether a column has long integers, but for classes, which keep all digits."""
        column, task = frame[name], self.reading.task
        if not loses_digits(column):
            return False
        if name not in self._targets(frame) or not pd.api.types.is_integer_dtype(column):
            return True
        return (decide_task(column)[0] if task == "auto" else task) == "regression"

    def _remark_on_mark(self, frame: pd.DataFrame, name: str) -> None:
        """Warn of words that were read as missing, beside each other or really empty fields."""
        column = frame[name]
        if name in self.reading.verbatim or not column.isna().any():
            return
        place = list(frame.columns).index(name)
        rows = self.beginning.records[int(self.has_header) :]
        fields = {row[place].strip() for row in rows if place < len(row)}
        words = sorted(fields & MISSING_WORDS)
        if len(words) == 1 and "" in fields:
            self._warn(
                f"column {name!r}: the text {words[0]!r} is read as missing, as empty fields are; "
                f"if it is a value, use text={[name]!r}"
            )
        elif len(words) > 1:
            self._warn(
                f"column {name!r}: the texts {' and '.join(map(repr, words))} are read as missing, "
                f"all alike; if they are values, use text={[name]!r}"
            )

    def _record(self, names: list[str], frame: pd.DataFrame, seen: Examination) -> dict[str, Any]:
        """Return how the table was read, for the model that is trained on it."""
        reading = self.reading
        record: dict[str, Any] = {
            "decimal": reading.decimal,
            "header": self.has_header,
            "n_columns": len(names),
            "na_values": list(map(str, reading.na_values)),
            "text": sorted(reading.verbatim),
        }
        marks = MISSING_WORDS | set(record["na_values"])
        for target in self._targets(frame):
            for row, value in enumerate(seen.columns.get(names.index(target)) or ()):
                if value.strip() in marks:
                    record["missing_word"] = [target, value.strip(), row + 1]
                    return record
        return record

    def _warn(self, message: str) -> None:
        warn_user(f"{self.name}: {message}", DataWarning)


def one_line(error: Exception) -> str:
    """Return the message of an error without line breaks."""
    return " ".join(str(error).split())


def _shown(separator: str) -> str:
    return "'tab'" if separator == "\t" else repr(separator)
