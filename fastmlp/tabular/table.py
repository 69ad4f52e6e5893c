"""What is found out about a whole table before rows are held out and a model is trained."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import DataWarning, warn_user
from .cells import (
    LARGEST,
    Cells,
    cells_of,
    check_size,
    is_text,
    numbers_of,
    plain_column,
    texts_of,
    to_numbers,
)
from .columns import called, numbers_note
from .csv import how_read
from .numbers import find_forms, plain_number

# From this many different values on, text of plain numbers with fractions is numbers.
_FEWEST_NUMBERS = 21
_FEWEST_ROWS_OF_A_COUNTER = 10
_MOST_WARNINGS = 10
_IDENTIFIER = re.compile(
    r"(?:.*[^a-z])?(?:id|idx|index)|.*[a-z](?:Id|ID)|n[ro]\.?|num|number|rows?|"
    r"row[ _.-]?(?:nr|no|num|number)|obs|observation|case|record|s\.? ?no\.?|serial|seq|line|#|№",
)


@dataclass
class Table:
    """The feature columns of a table, read as numbers or text.

    Attributes
    ----------
    frame : pandas.DataFrame
        Its columns have a type of numbers, or hold text.
    forms : list of str
        How the numbers of each column were written as text; '' for plain numbers and for text.
    notes : list of str
        A remark on each column for the user, or ''.
    reasons : list of str
        Why a column is of no use, or ''.
    target_form : str, default=''
        How the numbers of the target are written as text.
    target_note : str, default=''
        A remark on the target for the user.
    """

    frame: pd.DataFrame
    forms: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    target_form: str = ""
    target_note: str = ""

    def rows(self, rows: NDArray[np.intp]) -> "Table":
        """Return a table of some rows, of which the same is known."""
        return Table(self.frame.iloc[rows], self.forms, self.notes, self.reasons)


def settle_table(frame: pd.DataFrame, y: pd.Series | None = None) -> Table:
    """Find out which columns of a table hold numbers, however these are kept or written.

    Where the frame comes from a file, what the user has said of it counts: columns that are text,
    and the mark of decimals.

    Parameters
    ----------
    frame : pandas.DataFrame
        The feature columns.
    y : pandas.Series, optional
        The target, from which it can be seen, too, how the table writes numbers.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        When a cell holds something that is neither a number nor text, or a number that is
        infinite or too large for a standard deviation; the row is that of `frame`.
    """
    return settle_tables(frame, [y])[0]


def settle_tables(frame: pd.DataFrame, targets: Sequence[pd.Series | None]) -> list[Table]:
    """Find out once what the tables of several targets are, which differ by the target alone.

    Parameters
    ----------
    frame : pandas.DataFrame
        The feature columns.
    targets : sequence of pandas.Series or None
        At least one.

    Returns
    -------
    list of Table
        One for each target. They share the frame.

    Raises
    ------
    DataError
        As :func:`settle_table`.
    """
    names, said = list(frame.columns), how_read(frame)
    as_text = said.get("text", ())
    columns = [plain_column(frame.iloc[:, i], called(name)) for i, name in enumerate(names)]
    cells = {i: cells_of(c, called(c.name)) for i, c in enumerate(columns) if is_text(c)}
    texts: dict[Hashable, list[str]] = {
        i: _different(found)
        for i, found in cells.items()
        if _may_be_numbers(columns[i]) and names[i] not in as_text
    }
    written = {
        f"y{i}": cells_of(y, "y")
        for i, y in enumerate(targets)
        if y is not None and is_text(y) and _may_be_numbers(y) and y.name not in as_text
    }
    texts |= {place: _different(found) for place, found in written.items()}
    forms = find_forms(texts, said.get("decimal"))
    table = Table(frame)
    for i, name in enumerate(names):
        form, note = forms.get(i, ("", ""))
        if i in texts and not form:
            if _are_fractions(texts[i]):
                note = "is text, and is read as numbers"
            else:
                note = numbers_note(cells[i])
        if i in texts and (form or _are_fractions(texts[i])):
            values = numbers_of(columns[i], form, called(name))
            columns[i] = pd.Series(values, index=frame.index, name=name)
        reason = ""
        if not is_text(columns[i]):
            values = to_numbers(columns[i])
            check_size(values, called(name))
            reason, other_note = _counter(name, columns[i], values)
            note = note or other_note or _tiny(values)
        table.forms.append(form)
        table.notes.append(note)
        table.reasons.append(reason)
    if columns:
        table.frame = pd.concat(columns, axis=1, keys=range(len(columns)))
        table.frame.columns = frame.columns
    tables = []
    for place in (f"y{i}" for i in range(len(targets))):
        form, note = forms.get(place, ("", ""))
        if place in written and not form:
            note = numbers_note(written[place], is_target=True)
        tables.append(replace(table, target_form=form, target_note=note))
    return tables


def _different(cells: Cells) -> list[str]:
    """Return the different texts of a column, in their order, without blanks."""
    return [text for text in dict.fromkeys(texts_of(cells)) if text]


def _may_be_numbers(column: pd.Series) -> bool:
    """Tell whether the text of a column may be read as numbers.

    Categories are text because someone has said so.
    """
    return pd.api.types.is_string_dtype(column.dtype) or column.dtype == object


def _are_fractions(texts: list[str]) -> bool:
    """Tell whether text holds many plain numbers, which are no codes since some are fractions."""
    return (
        len(texts) >= _FEWEST_NUMBERS
        and any("." in text for text in texts)
        and all(plain_number(text) is not None for text in texts)
    )


def _tiny(values: NDArray[np.float64]) -> str:
    """Say that numbers differ too little for a standard deviation; '' if they do not."""
    present = values[~np.isnan(values)]
    spread = np.ptp(present) if len(present) else 0
    if not 0 < spread < 1 / LARGEST:
        return ""
    return f"varies by {spread:g} only, which cannot be standardised; multiply it by a power of ten"


def _counter(name: Hashable, column: pd.Series, values: NDArray[np.float64]) -> tuple[str, str]:
    """Tell whether a column of numbers counts the rows.

    Returns
    -------
    reason : str
        Why the column is of no use; '' if it may be of use.
    note : str
        A remark for the user, or ''.
    """
    n_rows = len(values)
    if not np.isfinite(values).all() or not np.array_equal(values, np.floor(values)):
        return "", ""
    # pandas writes an index as a first column without a name.
    if str(name).startswith("Unnamed: ") and len(np.unique(values)) == n_rows:
        return "numbers of rows, without a name", ""
    if n_rows < _FEWEST_ROWS_OF_A_COUNTER:
        return "", ""
    steps = np.diff(values)
    is_identifier = _IDENTIFIER.fullmatch(str(name)) or _IDENTIFIER.fullmatch(str(name).lower())
    if is_identifier and (np.all(steps == 1) or np.all(steps == -1)):
        return "numbers of rows, in their order", ""
    if is_identifier and len(np.unique(values)) == n_rows:
        return "", "differs in every row, as an identifier does; leave it out if it is one"
    if isinstance(name, str) and column.dtype.kind in "iu" and np.all(steps == 1) and (
        values[0] in (0, 1)
    ):  # fmt: skip
        return "", "counts the rows; leave it out unless their order means something"
    return "", ""


def copies_of_target(column: pd.Series, values: NDArray[Any], task: str) -> str:
    """Say that a feature tells the target by itself, as a copy of it does.

    Parameters
    ----------
    column : pandas.Series
        A numeric or text column of the training rows.
    values : ndarray of shape (n_rows,)
        The labels or numbers of the target.
    task : {'classification', 'regression'}

    Returns
    -------
    str
        The remark, or '' if there is nothing to say.
    """
    advice = "; leave it out if it is known only together with the target"
    if len(values) < _FEWEST_ROWS_OF_A_COUNTER or not isinstance(column.name, str):
        return ""  # arrays are made by those who know what is in them
    if task == "regression" and not is_text(column):
        numbers = to_numbers(column)
        return "equals the target" + advice if np.array_equal(numbers, values) else ""
    # In most tables the first rows show that it is not so.
    if not _go_together(column.iloc[:1000], values[:1000]) or not _go_together(column, values):
        return ""
    if len(np.unique(values)) > len(values) // 3:
        return ""
    what = "class" if task == "classification" else "number"
    return f"tells the target by itself: each of its values goes with one {what}" + advice


def _go_together(column: pd.Series, values: NDArray[Any]) -> bool:
    """Tell whether each value of a column goes with one class, and the other way round."""
    classes, levels = pd.factorize(values), pd.factorize(column)
    n_classes = len(classes[1])
    if len(levels[1]) != n_classes or (levels[0] < 0).any():
        return False
    return len(np.unique(levels[0] * n_classes + classes[0])) == n_classes


def warn_of(remarks: list[str]) -> None:
    """Warn of what was found in a table, once for each column."""
    for remark in remarks[:_MOST_WARNINGS]:
        warn_user(remark, DataWarning)
    if len(remarks) > _MOST_WARNINGS:
        warn_user(
            f"there are remarks on {len(remarks) - _MOST_WARNINGS} more columns; see the notes in "
            "`columns_`",
            DataWarning,
        )
