"""Predictions of the rows of a table, for as many rows as there are."""

import os
import re
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import pandas as pd

from ..exceptions import DataError, collected_warnings, warn_user
from .ahead import read_ahead
from .batches import Predictions, predict_tables, read_table_rows
from .chunks import located, read_chunks
from .csv import Origin, listed
from .known import reading_for
from .paths import files_of
from .several import target_names
from .table import warn_of


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
        The most rows that are read at a time; None is 100 000.
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
    chunks = read_chunks(path, reading, n_rows=n_rows)
    # Who waits for a pipe can be interrupted, but not a thread.
    for chunk in read_ahead(chunks) if _are_files(path) else chunks:
        is_first = chunk.first_row == 0
        with collected_warnings() as remarks:
            try:
                found = predictions(model, chunk.frame, proba)
            except DataError as error:
                raise DataError(located(str(error), chunk)) from None
        for remark in remarks:
            # What is odd about a column is said once, though the numbers of rows differ.
            alike = re.sub(r"\d+", "", str(remark))
            if alike not in said:
                said.add(alike)
                text = located(str(remark), chunk)
                warn_user(
                    remark if is_first else f"from row {chunk.first_row + 1} on: {text}",
                    type(remark),
                )
        yield with_kept(chunk.kept, found)


def _are_files(origin: Origin) -> bool:
    """Tell whether all files of a table but the first, which is open then, are no pipes."""
    return all(isinstance(f, str | PathLike) and os.path.isfile(f) for f in files_of(origin)[1:])


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
    read = read_table_rows(model, rows)
    warn_of([*dict.fromkeys(remark for of_target in read for remark in of_target.remarks)])
    found = predict_tables(model, [read])[0]
    return named(model, found, proba).iloc[: len(frame)]


def named(model: Any, found: Predictions, proba: bool = False) -> pd.DataFrame:
    """Give the predictions of a model the names of their columns; see :func:`predictions`."""
    predicted, probabilities, names = *found, target_names(model)
    if len(names) > 1:
        called = [f"prediction_{i}" if n is None else n for i, n in enumerate(names, 1)]
        return pd.DataFrame(predicted, columns=called)
    name = "prediction" if names[0] is None else names[0]
    columns: dict[Any, Any] = {}
    if proba and probabilities is not None:
        for label, probability in zip(model.classes_, probabilities.T, strict=True):
            column = f"probability_{label}"
            while column in columns:  # classes can look the same
                column += "_"
            columns[column] = probability
        if name in columns:
            name = "prediction"
    if predicted.ndim == 2:
        return pd.DataFrame(predicted, columns=[f"{name}_{level:g}" for level in model.quantiles])
    # pandas would copy text to a type of its own, only for it to be written.
    is_text = predicted.dtype.kind in "US"
    labels = pd.Series(predicted.astype(object), dtype=object) if is_text else predicted
    return pd.DataFrame({name: labels, **columns})
