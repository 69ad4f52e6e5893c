"""What the user, or a model, says of how a table is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..exceptions import DataError
from .encodings import check_encoding


@dataclass
class Reading:
    """How a table is read; :func:`fastmlp.tabular.csv.read_table` explains most of it.

    Attributes
    ----------
    header : bool or None
        None finds out; a model knows it.
    verbatim : set of str
        Columns whose text is kept as it stands; only empty fields are missing.
    as_text : set of str
        Further columns that are text. Those that the table does not have are ignored.
    levels : set of str
        Columns of text that have few different values, which are categories where a table is read
        some rows at a time.
    targets : sequence of str or None
        None is the last column of a table that no model knows.
    known : set of str
        Columns that a model knows: nothing is remarked on a table with a header of them, since
        it is read as in training, and other columns are not used.
    keep : sequence of str
        Columns that are passed on as they stand, beside those that a model knows.
    names : mapping of int to sequence of str, or None
        Names of the columns of a table without header, by their number. None is 1, 2, and so on.

    Raises
    ------
    DataError
        When the separator, the decimal mark or the encoding cannot be used.
    """

    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    na_values: Sequence[str] = ()
    header: bool | None = None
    verbatim: set[str] = field(default_factory=set)
    as_text: set[str] = field(default_factory=set)
    levels: set[str] = field(default_factory=set)
    drop: Sequence[str] = ()
    targets: Sequence[Any] | None = None
    task: str = "auto"
    allow_empty: bool = False
    known: set[str] = field(default_factory=set)
    keep: Sequence[str] = ()
    names: Mapping[int, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        if self.separator in ("tab", r"\t"):
            self.separator = "\t"
        separator = self.separator
        if separator is not None and (
            len(separator) != 1 or not separator.isascii() or separator in '\r\n"\0'
        ):
            raise DataError(
                f"the separator must be a single character of ASCII, no quotation mark and no line "
                f"end, not {separator!r}"
            )
        if self.decimal not in (None, ",", "."):
            raise DataError(f"the decimal mark must be ',' or '.', not {self.decimal!r}")
        if self.encoding is not None:
            self.encoding = check_encoding(self.encoding)

    def needed(self, names: Sequence[str]) -> list[str]:
        """Return those columns of a table that a model knows.

        Where it lacks a feature they are all, so that the error can say which may be meant.
        """
        if self.known - {*(self.targets or ())} <= {*names}:
            return [name for name in names if name in self.known]
        return list(names)


class Rows(NamedTuple):
    """Some rows of a file that follow each other."""

    frame: Any
    """The columns that are known, a pandas.DataFrame; its index begins with 0."""
    kept: Any
    """The columns that are passed on, likewise."""
    lines: Any = None
    """The line where each row begins, an array of shape (n_rows,); None where it is not known."""
