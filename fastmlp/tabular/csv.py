"""Reading CSV files into data frames; errors name the file and the line."""

from collections.abc import Sequence
from os import PathLike
from typing import IO, Any

import pandas as pd

from ..exceptions import DataError
from .parsing import NO_ROWS, TableReader, one_line
from .reading import Reading
from .recognition import other_encoding
from .sources import BROKEN_ARCHIVE, Source

Origin = str | PathLike[str] | IO[bytes] | IO[str]


def read_table(
    path: Origin,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    na_values: str | Sequence[str] = (),
    text: str | Sequence[str] = (),
    drop: str | Sequence[str] = (),
    header: bool = True,
    target: str | Sequence[str] | None = None,
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
    na_values : str or sequence of str, default=()
        Further marks of a missing value, such as ``?``.
    text : str or sequence of str, default=()
        Names of columns that stay text as it stands in the file: the code ``007`` is not read as
        7, and ``NA`` is no missing value.
    drop : str or sequence of str, default=()
        Names of columns that are left out.
    header : bool, default=True
        Whether the first line has the names of the columns. Without them the columns are called
        1, 2, and so on.
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
        `text` or `drop` is not there; and when an option cannot be used.
    ValueError
        When `task` is not one of the values above.
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
    with Source(origin) as source:
        try:
            return TableReader(source, reading).read()
        except DataError as error:
            if source.claims_archive and str(error).endswith(NO_ROWS):
                raise DataError(
                    f"{source.name}: cannot be read: it is not compressed as its name says"
                ) from None
            raise
        except UnicodeError as error:
            raise _not_decoded(source, reading.encoding, error) from None
        except (ValueError, *BROKEN_ARCHIVE) as error:
            raise DataError(f"{source.name}: cannot be read: {one_line(error)}") from None


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
