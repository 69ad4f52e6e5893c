"""Reading files of tables into data frames; errors name the file and the line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from typing import IO, Any

import pandas as pd

from ..exceptions import DataError, DataWarning, collected_warnings, warn_user
from .cells import is_text
from .conversion import with_booleans
from .encodings import encoding_note, older_encoding, other_encoding
from .parquet import read_parquet
from .parsing import NO_ROWS, TableReader, one_line
from .paths import files_of
from .reading import Reading
from .recognition import is_parquet
from .sources import BROKEN_ARCHIVE, Source

File = str | PathLike[str] | IO[bytes] | IO[str]
Origin = File | Sequence[File]


def read_table(
    path: Origin,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    na_values: str | Sequence[str] = (),
    text: str | Sequence[str] = (),
    drop: str | Sequence[str] = (),
    header: bool | None = None,
    target: str | Sequence[str] | None = None,
    task: str = "auto",
    allow_empty: bool = False,
) -> pd.DataFrame:
    """Read a CSV file, compressed or not, a Parquet file, or several files as one table.

    Empty fields and pandas' usual marks (NA, NaN, null, ...) are missing values. A column that
    holds only true and false, and perhaps missing values, is Boolean. Blanks around values and
    names are no part of them. What looks wrong but can be read is a
    :class:`fastmlp.DataWarning`.

    Parameters
    ----------
    path : str, Path, file-like object, or a sequence of these
        Files compressed by gzip, bzip2, xz, zip or Zstandard are recognised by their first bytes,
        and so are Parquet files, whose columns have types, so that only `na_values`, `text` and
        `drop` matter to them. A file-like object is open for reading bytes or text. A pipe is read
        once. A name such as ``part-*.csv`` stands for all files that fit the pattern. Several files
        must have the same columns, and their rows follow each other.
    separator : str, default=None
        The character between two fields; 'tab' is a tab. None finds out whether it is a comma,
        a semicolon, a tab or a vertical bar.
    encoding : str, default=None
        The encoding of the file, by a name that Python knows. None is what a byte-order mark
        says, or UTF-8, or else UTF-16, cp1252 or latin-1 where the bytes look like that.
    decimal : {',', '.'}, default=None
        The decimal mark of numbers. If it is given, the other one, blanks and apostrophes may
        stand between groups of three digits. With None a column may have other marks if all of
        its text is written in one way, which the estimators find out and say.
    na_values : str or sequence of str, default=()
        Further marks of a missing value, such as ``?``.
    text : str or sequence of str, default=()
        Names of columns that stay text as it stands in the file: the code ``007`` is not read as
        7, and ``NA`` is no missing value.
    drop : str or sequence of str, default=()
        Names of columns that are left out.
    header : bool or None, default=None
        Whether the first line has the names of the columns. Without them the columns are called
        1, 2, and so on. None is True, unless the first line looks like the others.
    target : str, sequence of str or None, default=None
        Name of the column that shall be predicted, or of several; None is the last one. If its
        values are codes for classes such as ``01``, it stays text.
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
        `text` or `drop` is not there; when files have different columns; and when an option cannot
        be used.
    ValueError
        When `task` is not one of the values above.

    Warns
    -----
    DataWarning
        For what was found out of the file and is not usual, in one line, and for what looks wrong.
    """
    if task not in ("auto", "classification", "regression"):
        raise ValueError(f"task must be auto, classification or regression, got {task!r}")
    return read(
        path,
        Reading(
            separator=separator,
            encoding=encoding,
            decimal=decimal,
            na_values=listed(na_values),
            header=header,
            verbatim=set(listed(text)),
            drop=listed(drop),
            targets=None if target is None else listed(target),
            task=task,
            allow_empty=allow_empty,
        ),
    )


def listed(names: str | Sequence[str]) -> list[str]:
    """Return a list of names or marks; a single one may be given without a list."""
    return [names] if isinstance(names, str) else list(names)


def read(origin: Origin, reading: Reading) -> pd.DataFrame:
    """Read a table as :func:`read_table` does, or as a model needs it."""
    files = files_of(origin)
    return _read_file(files[0], reading) if len(files) == 1 else _read_files(files, reading)[0]


@contextmanager
def errors_of(source: Source, encoding: str | None) -> Iterator[None]:
    """Turn what is raised while a file is read into errors that name it."""
    try:
        yield
    except DataError as error:
        if source.claims_archive and str(error).endswith(NO_ROWS):
            raise DataError(
                f"{source.name}: cannot be read: it is not compressed as its name says"
            ) from None
        raise
    except UnicodeError as error:
        raise _not_decoded(source, encoding, error) from None
    except (ValueError, *BROKEN_ARCHIVE) as error:
        raise DataError(f"{source.name}: cannot be read: {one_line(error)}") from None


def _read_file(origin: File, reading: Reading) -> pd.DataFrame:
    with Source(origin) as source, errors_of(source, reading.encoding):
        if is_parquet(source.head()):
            return read_parquet(source, reading)
        try:
            return TableReader(source, reading).read()
        except UnicodeDecodeError as error:
            other = _encoding_behind(reading, error)
            if other is None:
                raise
            warn_user(f"{source.name}: {encoding_note(other)}", DataWarning)
            with collected_warnings():  # what has been said of the first part
                return TableReader(source, replace(reading, encoding=other)).read()


def _read_files(files: Sequence[File], reading: Reading) -> tuple[pd.DataFrame, list[int]]:
    """Read several files as one table, and count the rows of each."""
    frames: list[pd.DataFrame] = []
    for file in files:
        frame = _read_file(file, replace(reading, allow_empty=True))
        if reading.known:
            frame = frame[[name for name in frame.columns if name in reading.known]]
        elif not frames and reading.targets is None:
            reading = replace(reading, targets=[frame.columns[-1]])
        if frames:
            frame = _with_columns_of(frames[0], frame, _called(files[0]), _called(file))
        frames.append(frame)
    # A column is text where it is so in one of the files.
    kinds = [{name: kind_of(frame[name]) for name in frame.columns} for frame in frames]
    mixed = {name for name in kinds[0] if len({kind[name] for kind in kinds} - {""}) > 1}
    for i, file in enumerate(files):
        if any(kinds[i][name] not in ("", "text") for name in mixed):
            with collected_warnings():
                again = replace(reading, allow_empty=True, as_text=reading.as_text | mixed)
                frames[i] = _read_file(file, again)[list(frames[0].columns)]
    for name in kinds[0]:
        # A column without values has no type of its own.
        texts = [frame[name].dtype for frame in frames if kind_of(frame[name]) == "text"]
        for i, frame in enumerate(frames):
            if texts and not kinds[i][name]:
                frames[i] = frame.assign(**{name: frame[name].astype(texts[0])})
    counts = [len(frame) for frame in frames]
    if not any(counts) and not reading.allow_empty:
        raise DataError(f"{_called(files[0])} and {len(files) - 1} more: {NO_ROWS}")
    records = [dict(how_read(frame)) for frame in frames]
    for frame in frames:
        frame.attrs = {}  # pandas compares them
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    whole = with_booleans(pd.concat(filled, ignore_index=True))
    record = records[0]
    for i, other in enumerate(records):
        if "missing_word" in other and "missing_word" not in record:
            target, word, row = other["missing_word"]
            record["missing_word"] = [target, word, row + sum(counts[:i])]
    whole.attrs["reading"] = record
    return whole, counts


def _called(file: File) -> str:
    return str(getattr(file, "name", file))


def kind_of(column: pd.Series) -> str:
    """Tell what the values of a column are; '' where all are missing."""
    if not column.notna().any():
        return ""
    if is_text(column):
        return "text"
    return "truth" if pd.api.types.is_bool_dtype(column) else "number"


def _with_columns_of(
    first: pd.DataFrame, frame: pd.DataFrame, first_name: str, name: str
) -> pd.DataFrame:
    """Put the columns of a file in the order of those of the first; they must be the same."""
    names, expected = list(frame.columns), list(first.columns)
    for column, has_it, lacks_it in (
        *((column, first_name, name) for column in expected if column not in names),
        *((column, name, first_name) for column in names if column not in expected),
    ):
        raise DataError(
            f"{name}: the columns are not those of {first_name}: there is {column!r} in {has_it}, "
            f"and not in {lacks_it}; files of one table must have the same columns"
        )
    return frame[expected]


def _encoding_behind(reading: Reading, error: UnicodeDecodeError) -> str | None:
    """Find the encoding of a file whose first part was UTF-8; None where it is not known.

    Parameters
    ----------
    reading : Reading
    error : UnicodeDecodeError
        It holds the part of the file that is not UTF-8.
    """
    return older_encoding(bytes(error.object)) if reading.encoding is None else None


def _not_decoded(source: Source, encoding: str | None, error: UnicodeError) -> DataError:
    other = other_encoding(source.head())
    if encoding in (None, "utf-8-sig"):
        said, remedy = "utf-8", f"name its encoding, for example encoding={other!r}"
    else:
        said, remedy = str(encoding), "name another encoding, or none to have it recognised"
    return DataError(f"{source.name}: not {said} text ({one_line(error)}); {remedy}")


def how_read(frame: pd.DataFrame) -> dict[str, Any]:
    """Return what a frame knows of how it was read; empty if it does not come from our reader.

    pandas keeps it in ``attrs`` while rows and columns are chosen, and drops it where frames of
    different files are joined.
    """
    record = frame.attrs.get("reading")
    if isinstance(record, dict) and record.keys() >= {"header", "na_values", "text"}:
        return record
    return {}


def missing_word(frame: pd.DataFrame, target: Any) -> str | None:
    """Return the end of the message about a target that is missing in some rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        As from :func:`read_table`.
    target : hashable

    Returns
    -------
    str or None
        It says which word of the file was read as missing; empty if there was none, and None if
        the table does not come from a file.
    """
    record = how_read(frame)
    if not record:
        return None
    found = record.get("missing_word")
    if found is None or found[0] != target:
        return ""
    return (
        f"; the text {found[1]!r} in row {found[2]} was read as missing: if it is a value, use "
        f"text={[target]!r}"
    )
