"""Predictions of the rows of a table, for as many rows as there are."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from ..exceptions import DataError, collected_warnings, warn_user
from .chunks import Chunk, read_chunks
from .csv import Origin, listed
from .known import reading_for
from .several import target_names

_QUOTED_OR_ROW = re.compile(r"""'[^']*'|"[^"]*"|(\bin )?\brow (\d+)""")


def predict_chunks(
    model: Any,
    path: Origin,
    *,
    proba: bool = False,
    keep: str | Sequence[str] = (),
    n_rows: int | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    na_values: str | Sequence[str] = (),
    header: bool | None = None,
) -> Iterator[pd.DataFrame]:
    """Predict the rows of a table some at a time, in constant memory.

    All numbers are those of ``model.predict(read_for(model, path))``, bit by bit.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model.
    path : str, Path, file-like object, or a sequence of these
        As for :func:`fastmlp.tabular.csv.read_table`.
    proba : bool, default=False
        Whether there are columns of the probabilities of the classes, too.
    keep : str or sequence of str, default=()
        Columns of the table that come before those of the predictions; the text of a CSV file
        stays as it stands there.
    n_rows : int or None, default=None
        The most rows that are read at a time; None is 50 000.
    separator, encoding, decimal, na_values, header : optional
        As for :func:`fastmlp.tabular.train.read_for`.

    Yields
    ------
    pandas.DataFrame
        The predictions of the next rows; see :func:`predictions` for the columns. A table
        without rows gives one frame without rows.

    Raises
    ------
    DataError
        When the table cannot be read or predicted. Predictions of rows before may have been
        given then.
    """
    reading = reading_for(
        model,
        separator=separator,
        encoding=encoding,
        decimal=decimal,
        na_values=na_values,
        header=header,
        keep=listed(keep),
    )
    said: set[str] = set()
    for chunk in read_chunks(path, reading, n_rows=n_rows):
        is_first = chunk.first_row == 0
        with collected_warnings() as remarks:
            try:
                found = predictions(model, chunk.frame, proba)
            except DataError as error:
                raise DataError(_with_row(str(error), chunk)) from None
        for remark in remarks:
            # What is odd about a column is said once, though the numbers of rows differ.
            alike = re.sub(r"\d+", "", str(remark))
            if alike not in said:
                said.add(alike)
                text = _with_row(str(remark), chunk)
                warn_user(
                    remark if is_first else f"from row {chunk.first_row + 1} on: {text}",
                    type(remark),
                )
        yield with_kept(chunk.kept, found)


def _with_row(message: str, chunk: Chunk) -> str:
    """Count the row that a message about some rows names from the start of the table.

    The line of the file is added where it is known.
    """

    def counted(match: re.Match[str]) -> str:
        if match[2] is None:
            return match[0]
        row = int(match[2]) + chunk.first_row
        line = (
            ""
            if chunk.lines_above is None or not match[1]
            else f" (line {row + chunk.lines_above})"
        )
        return f"{match[1] or ''}row {row}{line}"

    return _QUOTED_OR_ROW.sub(counted, message)


def with_kept(kept: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Put columns that are passed on before those of predictions.

    A column of predictions that has the name of one of them gets the ending ``_predicted``.
    """
    if not len(kept.columns):
        return found
    renamed: dict[Any, Any] = {}
    for name in found.columns:
        new = name
        while new in kept.columns or new in renamed.values():
            new = f"{new}_predicted"
        renamed[name] = new
    return pd.concat([kept, found.rename(columns=renamed)], axis=1)


def predictions(model: Any, frame: pd.DataFrame, proba: bool = False) -> pd.DataFrame:
    """Predict a table, with names for the columns of the predictions.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    frame : pandas.DataFrame
    proba : bool, default=False

    Returns
    -------
    pandas.DataFrame
        Its columns are the target and, with `proba`, probability_CLASS for each class. The target
        is called prediction where a class makes a column of the target's name. Several quantiles
        have a column each, which is called by the target and the level, and so have several
        targets.
    """
    # A row of missing values tells whether the columns are right where there is no row.
    rows = frame if len(frame) else frame.reindex([0])
    names = target_names(model)
    if len(names) > 1:
        called = [f"prediction_{i}" if n is None else n for i, n in enumerate(names, 1)]
        return pd.DataFrame(model.predict(rows), columns=called).iloc[: len(frame)]
    name = "prediction" if names[0] is None else names[0]
    columns: dict[Any, Any] = {}
    if proba:
        probabilities = model.predict_proba(rows)
        for label, probability in zip(model.classes_, probabilities.T, strict=True):
            column = f"probability_{label}"
            while column in columns:  # classes can look the same
                column += "_"
            columns[column] = probability
        if name in columns:
            name = "prediction"
    predicted = model.predict(rows)
    if predicted.ndim == 2:
        levels = [f"{name}_{level:g}" for level in model.quantiles]
        return pd.DataFrame(predicted, columns=levels).iloc[: len(frame)]
    return pd.DataFrame({name: predicted, **columns}).iloc[: len(frame)]
