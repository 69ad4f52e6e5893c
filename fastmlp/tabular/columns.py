"""Decisions about the columns of a table: kinds of features, and the task."""

import hashlib
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .cells import LARGEST_EXACT, Cells, cells_of, is_text, texts_of, to_numbers
from .dates import TIME_OF_DAY, are_dates, are_times, date_form
from .numbers import common_unit, looks_like_number, plain_number

_MOST_INTEGER_CLASSES = 20
_MOST_DATE_LEVELS = 20
MOST_LEVELS = 64
_IDENTIFIER_SHARE = 0.95
_FEWEST_WORDS = 3  # of a text, on average, that is no level
_FEWEST_NUMBERS = 10
_FEWEST_ROWS_BESIDE_ONE = 20

# ---- features ----------------------------------------------------------------------------


@dataclass
class Column:
    """One feature column of the table that a model is trained on.

    Attributes
    ----------
    name : hashable
        The column's name in the table: mostly a str, but an int for the columns of an array.
    kind : {'numeric', 'text', 'date', 'words', 'dropped'}
        'date' is one of dates or times of the day, and 'words' one of free text.
    reason : str, default=''
        Says why the column was dropped; empty for the others.
    note : str, default=''
        A remark for the user about the column; empty if there is none.
    number_format : str, default=''
        How numbers are written as text, such as ``1.234,5 EUR``; empty for plain numbers.
    rare_share : float, default=0.0
        The share of rows whose text has no input of its own.
    date_form : str, default=''
        How dates are written as text, as from :func:`fastmlp.tabular.dates.date_form`.
    """

    name: Hashable
    kind: str
    reason: str = ""
    note: str = ""
    number_format: str = ""
    rare_share: float = 0.0
    date_form: str = ""


def describe_column(
    column: pd.Series, note: str = "", number_format: str = "", reason: str = ""
) -> Column:
    """Decide whether a feature column holds numbers, levels, dates or words, or is dropped.

    Parameters
    ----------
    column : pandas.Series
        The training rows.
    note : str, default=''
        What was found about the column in the whole table.
    number_format : str, default=''
        How its numbers were written as text.
    reason : str, default=''
        Why it must be dropped, if something in the whole table says so.

    Returns
    -------
    Column
    """

    def described(kind: str, reason: str = "", form: str = "") -> Column:
        return Column(column.name, kind, reason, note, number_format, 0.0, form)

    if not is_text(column):
        n_distinct, n_present = column.nunique(dropna=True), int(column.notna().sum())
        texts = []
    else:
        cells = cells_of(column, called(column.name))
        texts = texts_of(cells)
        is_blank = np.array([*(not text for text in texts), True])
        n_distinct, n_present = len({*texts} - {""}), int((~is_blank[cells.codes]).sum())
    if n_distinct == 0:
        return described("dropped", "all values are missing")
    if n_distinct == 1 and n_present == len(column):
        return described("dropped", "constant")
    if reason:
        return described("dropped", reason)
    if not is_text(column):
        return described("numeric")
    present = [text for text in texts if text]
    if n_distinct > _MOST_DATE_LEVELS:
        if pd.api.types.is_datetime64_any_dtype(column) or are_dates(present[:1000]):
            form = date_form(present)
            if form and not note:
                note = f"holds dates, of which the {form.replace(' ', ' is ')}, {_example(present)}"
            return described("date", form=form)
        if are_times(present[:1000]):
            return described("date", form=TIME_OF_DAY)
    # Text such as the names of people identifies rows even if a few rows share it.
    is_identifier = n_distinct >= _IDENTIFIER_SHARE * n_present and n_present > 10
    if _is_prose(cells, texts, n_distinct, n_present, is_identifier):
        return described("words")
    if is_identifier:
        share = "every" if n_distinct == n_present else "almost every"
        return described("dropped", f"text that differs in {share} row, an identifier")
    return described("text")


def _example(dates: Sequence[str]) -> str:
    shown = next(text for text in dates if date_form([text]))
    return f"such as {shown!r}"


def _is_prose(
    cells: Cells, texts: Sequence[str], n_distinct: int, n_present: int, is_identifier: bool
) -> bool:
    """Tell whether a text column holds sentences or the like, rather than levels.

    Levels may have several words, too, but then a few of them have most of the rows.
    """
    if n_distinct < 2 or sum(map(_n_words, texts)) < _FEWEST_WORDS * n_distinct:
        return False
    if is_identifier:
        return n_present > 10
    if n_distinct <= max(MOST_LEVELS, 0.01 * n_present):
        return False
    counts = np.bincount(cells.codes[cells.codes >= 0], minlength=len(texts))
    return bool(np.sort(counts)[-MOST_LEVELS:].sum() < 0.5 * n_present)


def _n_words(text: str) -> int:
    return len(text.split())


def drop_copies(columns: Sequence[Column], frame: pd.DataFrame) -> None:
    """Drop columns that equal another one in every row.

    Parameters
    ----------
    columns : sequence of Column
        The descriptions of the columns of `frame`, which are changed.
    frame : pandas.DataFrame
        The training rows.
    """
    known: dict[Any, Hashable] = {}
    for i, column in enumerate(columns):
        if column.kind == "dropped":
            continue
        values = frame.iloc[:, i]
        if is_text(values):
            cells = cells_of(values, called(column.name))
            key = (column.kind, _digest(cells.codes), *texts_of(cells))
        else:
            key = (column.kind, _digest(to_numbers(values)))
        first = known.setdefault(key, column.name)
        if first is not column.name:
            column.kind, column.reason, column.note = "dropped", f"the same as {called(first)}", ""


def _digest(array: NDArray[Any]) -> bytes:
    """Return a few bytes that differ for arrays that differ; all of them would fill the memory."""
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16).digest()


def called(name: Hashable) -> str:
    """Return the words by which messages refer to a column."""
    return f"column {name!r}"


def numbers_note(cells: Cells, is_target: bool = False) -> str:
    """Make the note on a text column where most rows hold numbers; empty for other columns.

    Such a column often has a mark of missing values that was not declared, or a row of units.

    Parameters
    ----------
    cells : Cells
    is_target : bool, default=False
        Whether the column is a target, whose classes may be digits and letters.

    Returns
    -------
    str
    """
    texts = texts_of(cells)
    counts = np.bincount(cells.codes[cells.codes >= 0], minlength=len(texts))
    is_number = np.array([looks_like_number(text) for text in texts], dtype=bool)
    others = Counter[str]()
    for text, count, is_one in zip(texts, counts.tolist(), is_number, strict=True):
        if text and not is_one:
            others[text] += count
    n_others, n_rows = sum(others.values()), counts[is_number].sum()
    is_alone = n_others == 1 and n_rows >= _FEWEST_ROWS_BESIDE_ONE
    if (is_number.sum() < _FEWEST_NUMBERS or n_rows < n_others) and not is_alone:
        unit = common_unit(texts)
        return f"is taken as text, but {unit}" if unit else ""
    if not others:
        return _mixed_forms(texts)
    ranked = sorted(others.items(), key=lambda item: -item[1])[:3]
    if n_others == 1:
        ((text, _),) = ranked
        row = cells.row_of(texts.index(text))
        note = (
            f"is taken as text, but all rows but one are numbers ({text!r} in row {row}); remove "
        )
        if is_target:  # which must not be missing
            return note + "that row if they are no labels"
        return note + f"that row, or if it means missing, say so with na_values=[{text!r}]"
    if len(others) > 3:
        return (
            ""
            if is_target
            else (
                f"is taken as text, but most rows are numbers; the others are {ranked[0][0]!r}, "
                f"{ranked[1][0]!r} and {len(others) - 2} more"
            )
        )
    listed = ", ".join(f"{text!r} ({count} row{'s' * (count != 1)})" for text, count in ranked)
    if is_target:
        return (
            f"is taken as text, but most rows are numbers; the others are {listed}; remove these "
            "if the numbers are no labels"
        )
    means = "means" if len(ranked) == 1 else "mean"
    return (
        f"is taken as text, but most rows are numbers; if {listed} {means} missing, say so with "
        f"na_values=[{', '.join(repr(text) for text, _ in ranked)}]"
    )


def _mixed_forms(texts: Sequence[str]) -> str:
    """Make the note on a column whose numbers are not written alike; empty for plain digits."""
    odd = [text for text in texts if text and not text.isdigit()]
    shapes: dict[str, str] = {}
    for text in odd:
        shapes.setdefault(re.sub(r"\d+", "", text), text)
    if len(shapes) < 2:
        return ""
    first, second = list(shapes.values())[:2]
    return (
        f"is taken as text, since its numbers are not written alike ({first!r}, {second!r}); "
        "write them in one way"
    )


# ---- tasks -------------------------------------------------------------------------------


def decide_task(y: pd.Series, form: str = "") -> tuple[str, str]:
    """Decide between classification and regression by the values of a target.

    Parameters
    ----------
    y : pandas.Series
        It has no missing values, and is of a type of numbers if it holds plain numbers.
    form : str, default=''
        How its numbers are written as text, as from :func:`fastmlp.tabular.numbers.find_forms`.

    Returns
    -------
    task : {'classification', 'regression'}
    reason : str
        A sentence for the user that says why.
    """
    if is_text(y):
        return _task_of_text(y, form)
    if pd.api.types.is_bool_dtype(y):
        return "classification", "the target is true or false"
    numbers = to_numbers(y)
    if not np.isfinite(numbers).all():
        return "regression", "the target has infinite values"
    n_distinct = y.nunique()  # floats would make one of several long integers
    if not np.all(np.mod(numbers, 1) == 0):
        return "regression", "the target has fractions"
    if not pd.api.types.is_integer_dtype(y) and np.abs(numbers).max() > LARGEST_EXACT:
        return "regression", "the target has very large numbers"
    if n_distinct <= _MOST_INTEGER_CLASSES and n_distinct <= max(2, len(y) // 5):
        return "classification", f"the target has only {n_distinct} different integers"
    return "regression", f"the target has {n_distinct} different integers"


def _task_of_text(y: pd.Series, form: str) -> tuple[str, str]:
    texts = {str(value).strip() for value in y.unique()}
    # Amounts of money and the like are no labels, even if there are few of them.
    if form and len(texts) > 2:
        return "regression", f"the target has {len(texts)} different numbers"
    numbers = [plain_number(text) for text in texts]
    is_too_much = len(texts) > max(20, len(y) // 2)
    if is_too_much and not isinstance(y.dtype, pd.CategoricalDtype) and None not in numbers:
        return "regression", f"the target has {len(texts)} different numbers as text"
    return "classification", "the target is text"
