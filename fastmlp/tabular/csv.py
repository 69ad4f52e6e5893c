"""Reading CSV files into data frames; errors name the file and the line."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import IO, Any

import numpy as np
import pandas as pd

from ..exceptions import DataError, DataWarning, warn_user
from .columns import decide_task, is_text
from .examination import Examination, Watched, examine
from .frames import with_booleans
from .recognition import (
    better_separator,
    check_encoding,
    first_row_is_data,
    is_number,
    other_encoding,
    recognise,
    recognise_encoding,
    refuse_other_formats,
    title_above,
)
from .sources import Source

Origin = str | PathLike[str] | IO[bytes] | IO[str]

# Marks of missing values beside the empty field; pandas has the same ones.
MISSING_WORDS = frozenset(
    ["#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
     "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
)  # fmt: skip
_SAMPLE = 1 << 18  # characters that the separator and the first lines are recognised from
_TRUTH = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_MOST_EXACT = 2.0**53


@dataclass
class Reading:
    """How a table is read; see :func:`read_table` for the parameters of the same names.

    Attributes
    ----------
    verbatim : set of str
        Columns whose text is kept as it stands; only empty fields are missing.
    as_text : set of str
        Further columns that are text. Those that the table does not have are ignored.
    known : set of str
        Columns that a model knows: nothing is remarked on them, nor on a header of them.
    names : mapping of int to sequence of str, or None
        Names of the columns of a table without header, by their number. None is 1, 2, and so on.
    """

    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    na_values: Sequence[str] = ()
    header: bool = True
    verbatim: set[str] = field(default_factory=set)
    as_text: set[str] = field(default_factory=set)
    drop: Sequence[str] = ()
    target: Any = None
    task: str = "auto"
    allow_empty: bool = False
    known: set[str] = field(default_factory=set)
    names: Mapping[int, Sequence[str]] | None = None


def read_table(
    path: Origin,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    na_values: Sequence[str] = (),
    text: Sequence[str] = (),
    drop: Sequence[str] = (),
    header: bool = True,
    target: str | None = None,
    task: str = "auto",
    allow_empty: bool = False,
) -> pd.DataFrame:
    """Read a CSV file, compressed or not.

    Empty fields and pandas' usual marks (NA, NaN, null, ...) are missing values. A column that
    holds only true and false, and perhaps missing values, is Boolean. Blanks around values and
    names are no part of them. What looks wrong but can be read is a
    :class:`fastmlp.DataWarning`.

    Parameters
    ----------
    path : str, Path, or file-like object
        Files compressed by gzip, bzip2, xz, zip or Zstandard are recognised by their first bytes.
        A file-like object is open for reading bytes or text. A pipe is read once.
    separator : str, default=None
        The character between two fields; 'tab' is a tab. None finds out whether it is a comma,
        a semicolon, a tab or a vertical bar.
    encoding : str, default=None
        The encoding of the file, by a name that Python knows. None is UTF-8, or what a byte-order
        mark says.
    decimal : {',', '.'}, default=None
        The decimal mark of numbers. If it is given, the other one, blanks and apostrophes may
        stand between groups of three digits.
    na_values : sequence of str, default=()
        Further marks of a missing value, such as ``?``.
    text : sequence of str, default=()
        Names of columns that stay text as it stands in the file: the code ``007`` is not read as
        7, and ``NA`` is no missing value.
    drop : sequence of str, default=()
        Names of columns that are left out.
    header : bool, default=True
        Whether the first line has the names of the columns. Without them the columns are called
        1, 2, and so on.
    target : str or None, default=None
        Name of the column that shall be predicted; None is the last one. If its values are
        codes for classes such as ``01``, it stays text.
    task : {'auto', 'classification', 'regression'}, default='auto'
        What the target is for: numbers of a regression are never codes.
    allow_empty : bool, default=False
        Whether a table may have no rows.

    Returns
    -------
    pandas.DataFrame
        Its ``attrs['reading']`` says how it was read, for :func:`fastmlp.train_table`.

    Raises
    ------
    DataError
        When the file is missing, is empty, has no rows, is of another format, is not text in
        this encoding, names a column twice, or has rows of different lengths; when a column of
        `text` or `drop` is not there; and when an option cannot be used.
    """
    return read(
        path,
        Reading(
            separator=separator,
            encoding=encoding,
            decimal=decimal,
            na_values=na_values,
            header=header,
            verbatim=set(text),
            drop=drop,
            target=target,
            task=task,
            allow_empty=allow_empty,
        ),
    )


def read(origin: Origin, reading: Reading) -> pd.DataFrame:
    """Read a table as :func:`read_table` does, or as a model needs it."""
    if reading.separator in ("tab", r"\t"):
        reading.separator = "\t"
    separator, decimal = reading.separator, reading.decimal
    if separator is not None and (
        len(separator) != 1 or not separator.isascii() or separator in '\r\n"\0'
    ):
        raise DataError(
            f"the separator must be a single character of ASCII, no quotation mark and no line "
            f"end, not {separator!r}"
        )
    if decimal not in (None, ",", "."):
        raise DataError(f"the decimal mark must be ',' or '.', not {decimal!r}")
    if reading.encoding is not None:
        reading.encoding = check_encoding(reading.encoding)
    with Source(origin) as source:
        try:
            return _Table(source, reading).read()
        except DataError as error:
            if source.claims_archive and str(error).endswith(_EMPTY):
                raise DataError(
                    f"{source.name}: cannot be read: it is not compressed as its name says"
                ) from None
            raise
        except UnicodeError as error:
            raise _not_decoded(source, reading.encoding, error) from None
        except (*source.errors, ValueError) as error:
            raise DataError(f"{source.name}: cannot be read: {error}") from None


_EMPTY = "there is a header but no row below it"


def _not_decoded(source: Source, encoding: str | None, error: UnicodeError) -> DataError:
    other = other_encoding(source.head())
    if encoding in (None, "utf-8-sig"):
        said, remedy = "utf-8", f"name its encoding, for example encoding={other!r}"
    else:
        said, remedy = str(encoding), "name another encoding, or none to have it recognised"
    return DataError(f"{source.name}: not {said} text ({error}); {remedy}")


class _Table:
    """A table while it is read.

    Parameters
    ----------
    source : Source
    reading : Reading
    """

    def __init__(self, source: Source, reading: Reading) -> None:
        self.source, self.reading, self.name = source, reading, source.name

    def read(self) -> pd.DataFrame:
        """Read, check and convert the table."""
        self._begin()
        with self.source.text(self.encoding) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of encodings such as escapes
            watched = Watched(stream, self.separator, self.name)
            names = self._read_names(watched)
            frame = self._parse(watched, names)
        if not len(frame) and not self.reading.allow_empty:
            raise DataError(f"{self.name}: {_EMPTY}")
        frame.columns = pd.Index(names)
        frame, names = self._without_empty_end(frame, names)
        frame = self._convert(frame, watched)
        seen = self._examine(frame, watched)
        frame = self._keep_codes(frame, seen)
        self._remark_on(frame, seen)
        frame = with_booleans(frame.drop(columns=list(self.reading.drop)))
        if not len(frame.columns):
            raise DataError(f"{self.name}: no column is left")
        frame.attrs["reading"] = self._record(names, frame, seen)
        return frame

    def _begin(self) -> None:
        """Look at the first part of the file: format, encoding, separator, first lines."""
        head = self.source.head()
        if not head:
            raise DataError(f"{self.name}: the file is empty; a header line and rows are needed")
        refuse_other_formats(self.name, head)
        if self.source.is_text:
            self.encoding = "utf-8-sig"
        else:
            encoding = self.reading.encoding
            self.encoding = encoding or recognise_encoding(self.name, head)
        with self.source.text(self.encoding) as stream:
            sample = stream.read(_SAMPLE)
            is_whole = not stream.read(1)
        # Encodings that are named with their byte order keep the mark.
        sample = sample.removeprefix("\ufeff")
        if not sample.strip():
            raise DataError(f"{self.name}: the file is empty; a header line and rows are needed")
        self.beginning = recognise(
            sample, is_whole, self.reading.separator, self.source.ending, self.reading.header
        )
        self.separator = self.beginning.separator
        if not self.beginning.records:
            raise DataError(f"{self.name}: there are only comments; a header and rows are needed")
        self._remark_on_beginning()

    def _remark_on_beginning(self) -> None:
        beginning = self.beginning
        if beginning.is_recognised:
            self._warn(f"fields are separated by {_shown(beginning.separator)}")
        if beginning.n_comments:
            last, some = beginning.n_skipped, beginning.n_comments
            numbers = f"line {last} is a comment" if some == 1 else (
                f"lines {last - some + 1} to {last} are comments"
            )  # fmt: skip
            self._warn(f"{numbers}, left out: {beginning.lines[last - some].strip()[:60]!r}")
        records = beginning.records
        if self.reading.header and (above := title_above(records)):
            shown = next(field for field in records[0] if field.strip()).strip()
            raise DataError(
                f"{self.name}: the first line, {shown[:60]!r}, looks like a title above the names "
                f"of the columns ({', '.join(map(repr, records[above][:3]))}, ...); remove what is "
                "above these"
            )
        if records and len(records[0]) == 1:
            better = better_separator(beginning.lines[beginning.n_skipped :], beginning.separator)
            if better is not None:
                self._warn(
                    f"there is a single column; with separator={_shown(better[0])} there would be "
                    f"{better[1]}"
                )

    def _read_names(self, watched: Watched) -> list[str]:
        """Return the names of the columns, and leave `watched` at the first row."""
        watched.skip_lines(self.beginning.n_skipped)
        if not self.reading.header:
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
        reading = self.reading
        for kind, wanted in (("text", reading.verbatim - reading.known), ("drop", reading.drop)):
            if unknown := [name for name in wanted if name not in names]:
                raise DataError(
                    f"{self.name}: there is no column {unknown[0]!r} for `{kind}`; the columns are "
                    + ", ".join(map(repr, names[:20]))
                    + (", ..." if len(names) > 20 else "")
                )
        marks = set(map(str, reading.na_values))
        usual = list(MISSING_WORDS | marks | {""})
        # Only the marks that the user named are missing values in text as it stands.
        by_column = {
            i: list(marks | {""}) if name in reading.verbatim else usual
            for i, name in enumerate(names)
        }
        as_text = reading.verbatim | reading.as_text
        try:
            with warnings.catch_warnings():
                # If every row is too long, pandas cuts all of them and only warns.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                return pd.read_csv(
                    watched,
                    sep=self.separator,
                    header=None,
                    names=list(range(len(names))),
                    index_col=False,
                    dtype={i: str for i, name in enumerate(names) if name in as_text},
                    na_values=by_column if reading.verbatim else usual,
                    keep_default_na=False,
                    skipinitialspace=self.separator != " ",
                    decimal=reading.decimal or ".",
                    low_memory=False,
                )
        except (pd.errors.ParserWarning, pd.errors.ParserError) as error:
            watched.raise_failure()
            seen = self._look(len(names), set(), set(), is_parsed=False)
            raise self._misshapen(seen, len(names), error) from None

    def _look(
        self, n_columns: int, collect: set[int], codes: set[int], is_parsed: bool
    ) -> Examination:
        with self.source.text(self.encoding) as stream:
            watched = Watched(stream, self.separator, self.name)
            watched.skip_lines(self.beginning.n_skipped)
            widths = n_columns - self.is_nameless_end, n_columns
            n_header = int(self.reading.header)
            return examine(watched, widths, n_header, collect, codes, is_parsed)

    def _misshapen(self, seen: Examination, n_columns: int, error: Exception) -> DataError:
        if seen.ragged is not None:
            line, n_fields = seen.ragged
            return DataError(
                f"{self.name}, line {line}: {n_fields} field{'s' * (n_fields != 1)} where the "
                f"header has {n_columns}; mend that line, or quote fields that contain the "
                "separator"
            )
        if "EOF inside string" in str(error):
            return DataError(
                f"{self.name}: cannot be read as CSV: the quotation mark that opens in line "
                f"{seen.last_line} is never closed"
            )
        return DataError(f"{self.name}: cannot be read as CSV: {' '.join(str(error).split())}")

    def _without_empty_end(
        self, frame: pd.DataFrame, names: list[str]
    ) -> tuple[pd.DataFrame, list[str]]:
        """Leave out columns at the end without names and values: of separators at line ends."""
        while self.header and len(names) > 1 and not self.header[len(names) - 1]:
            if frame.iloc[:, -1].notna().any():
                break
            frame, names = frame.iloc[:, :-1], names[:-1]
        return frame, names

    def _convert(self, frame: pd.DataFrame, watched: Watched) -> pd.DataFrame:
        """Strip text, and read numbers that pandas left as text."""
        reading = self.reading
        as_text = reading.verbatim | reading.as_text
        new = {}
        for name in frame.columns:
            column = frame[name]
            if pd.api.types.infer_dtype(column, skipna=True) == "integer" and is_text(column):
                new[name] = _as_floats(column)  # integers that need more than 64 bits
            elif is_text(column):
                if watched.has_blanks:
                    marks = {str(mark).strip() for mark in reading.na_values}
                    if name not in reading.verbatim:
                        marks |= MISSING_WORDS
                    column = new[name] = _stripped(column, marks, name in as_text)
                if reading.decimal is not None and name not in as_text and is_text(column):
                    numbers = _foreign_numbers(column, reading.decimal)
                    if numbers is not None:
                        new[name] = numbers
        return frame.assign(**new)

    def _examine(self, frame: pd.DataFrame, watched: Watched) -> Examination:
        """Look at the rows a second time, if there was a sign that something may be wrong."""
        reading = self.reading
        target = self._target(frame)
        places = {name: i for i, name in enumerate(frame.columns)}
        collect: set[int] = set()
        if target is not None and frame[target].isna().any():
            collect = {places[target]}
        codes = set()
        if watched.has_codes:
            own = [name for name in places if name == target or name not in reading.known]
            codes = {places[name] for name in own if _are_integers(frame[name])}
            collect |= codes & {places.get(target)}
        n_extra = watched.n_lines - len(frame)
        if not (collect or codes or n_extra or frame.iloc[:, -1].isna().any()):
            return Examination()
        n_columns = len(self.header) or len(frame.columns)
        seen = self._look(n_columns, collect, codes, is_parsed=True)
        if seen.ragged is not None:
            raise self._misshapen(seen, n_columns, Exception())
        if seen.n_rows != len(frame):  # lines that were understood in another way
            seen.columns, seen.codes = {}, {}
        return seen

    def _target(self, frame: pd.DataFrame) -> Any:
        target = self.reading.target
        if target is None:
            return frame.columns[-1] if not self.reading.known else None
        return target if target in frame.columns else None

    def _keep_codes(self, frame: pd.DataFrame, seen: Examination) -> pd.DataFrame:
        """Keep a target of classes such as 01 as text, and remark on features of such codes."""
        target = self._target(frame)
        for place, code in seen.codes.items():
            name = frame.columns[place]
            if name == target and self.reading.task != "regression":
                raw = seen.columns.get(place)
                is_class = self.reading.task == "classification" or (
                    frame[name].notna().all() and decide_task(frame[name])[0] == "classification"
                )
                if raw is not None and is_class:
                    text = pd.Series(raw, index=frame.index, dtype=object).str.strip()
                    frame = frame.assign(**{name: text.where(frame[name].notna())})
                    continue
            if name not in self.reading.known and name not in self.reading.drop:
                self._warn(
                    f"column {name!r} is read as numbers, {code!r} as well; if these are codes, "
                    f"use text={[name]!r}"
                )
        return frame

    def _remark_on(self, frame: pd.DataFrame, seen: Examination) -> None:
        """Warn of what can be read, but looks wrong."""
        reading = self.reading
        if self.header and len(frame) and not reading.known.intersection(frame.columns):
            names = self.header[: len(frame.columns)]
            if first_row_is_data(names, frame):
                shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
                self._warn(
                    f"the first line looks like data rather than names of columns ({shown}); if "
                    "it is, use header=False"
                )
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
        for name in frame.columns:
            if name in reading.known or name in reading.drop or name == self._target(frame):
                continue
            if is_text(frame[name]):
                self._remark_on_mark(frame, name)
            elif _loses_digits(frame[name]):
                self._warn(
                    f"column {name!r} has integers of more than 15 digits, which lose the last "
                    f"ones; if these are codes, use text={[name]!r} or drop={[name]!r}"
                )

    def _remark_on_mark(self, frame: pd.DataFrame, name: str) -> None:
        """Warn of a word that was read as missing, beside fields that are really empty."""
        column = frame[name]
        if name in self.reading.verbatim or not column.isna().any():
            return
        place = frame.columns.get_loc(name)
        rows = self.beginning.records[int(self.reading.header) :]
        fields = {row[place].strip() for row in rows if place < len(row)}
        words = fields & MISSING_WORDS
        if len(words) == 1 and "" in fields:
            word = words.pop()
            self._warn(
                f"column {name!r}: the text {word!r} is read as missing, as empty fields are; if "
                f"it is a value, use text={[name]!r}"
            )

    def _record(self, names: list[str], frame: pd.DataFrame, seen: Examination) -> dict[str, Any]:
        """Return how the table was read, for the model that is trained on it."""
        reading = self.reading
        record: dict[str, Any] = {
            "decimal": reading.decimal,
            "header": reading.header,
            "n_columns": len(names),
            "na_values": list(map(str, reading.na_values)),
            "text": sorted(reading.verbatim),
        }
        target = self._target(frame)
        raw = None if target is None else seen.columns.get(names.index(target))
        marks = MISSING_WORDS | set(record["na_values"])
        for row, value in enumerate(raw or ()):
            if value.strip() in marks:
                record["missing_word"] = [target, value.strip(), row + 1]
                break
        return record

    def _warn(self, message: str) -> None:
        warn_user(f"{self.name}: {message}", DataWarning)


def missing_word(frame: pd.DataFrame, target: Any) -> str:
    """Return the end of the message about a target that is missing in some rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        As from :func:`read_table`.
    target : hashable

    Returns
    -------
    str
        It says which word of the file was read as missing; empty if there was none.
    """
    found = frame.attrs.get("reading", {}).get("missing_word")
    if found is None or found[0] != target:
        return ""
    return (
        f"; the text {found[1]!r} in row {found[2]} was read as missing: if it is a value, use "
        f"text={[target]!r}"
    )


def _shown(separator: str) -> str:
    return "'tab'" if separator == "\t" else repr(separator)


def _as_floats(column: pd.Series) -> pd.Series:
    try:
        return column.astype(np.float64)
    except OverflowError:
        return column.map(str, na_action="ignore")


def _are_integers(column: pd.Series) -> bool:
    if is_text(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    return len(values) > 0 and bool(np.all(np.mod(values, 1) == 0))


def _loses_digits(column: pd.Series) -> bool:
    """Tell whether a column looks like long integers, which float64 does not hold exactly."""
    if pd.api.types.is_bool_dtype(column) or not len(column):
        return False
    most, least = column.max(), column.min()
    return bool(most > _MOST_EXACT and least > 1e12 and _are_integers(column))


def _stripped(column: pd.Series, marks: Iterable[str], stays_text: bool) -> pd.Series:
    """Remove blanks around text; what then is a mark, a number or a truth value becomes one."""
    text = column.astype(object).str.strip()
    text = text.where(~text.isin([*marks, ""]))
    values = text.dropna()
    if stays_text:
        return text
    if not len(values):
        return pd.Series(np.nan, index=column.index, name=column.name)
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        return pd.to_numeric(text)
    if values.isin(list(_TRUTH)).all():
        return text.map(_TRUTH, na_action="ignore").astype("boolean")
    return text


def _foreign_numbers(column: pd.Series, decimal: str) -> pd.Series | None:
    """Read numbers with a decimal mark, and perhaps marks between groups of three digits."""
    values = column.dropna().astype(str)
    groups = "".join({",", "."} - {decimal}) + "'\u2019 \u00a0\u202f"
    mark = re.escape(decimal)
    one_mark = "|".join(rf"\d{{1,3}}(?:{re.escape(group)}\d{{3}})+" for group in groups)
    number = re.compile(rf"[+-]?(?:(?:{one_mark}|\d+)(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?")
    if not len(values) or not values.map(lambda value: bool(number.fullmatch(value))).all():
        return None
    plain = values.str.replace(f"[{re.escape(groups)}]", "", regex=True)
    numbers = plain.str.replace(decimal, ".", regex=False).astype(np.float64)
    return numbers.reindex(column.index)
