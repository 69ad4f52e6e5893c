"""What is to be learned from a table: the target, the task, and rows that are held out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from ..exceptions import DataError
from .columns import decide_task
from .csv import missing_word
from .frames import as_pandas, check_frame
from .table import Table, settle_tables
from .targets import (
    check_complete,
    check_learnable,
    find_targets,
    numeric_target,
    plain_target,
    target_called,
    target_values,
)

TASKS = "classification", "regression"


@dataclass
class Problem:
    """A table with its targets, the task, and which rows are learned from.

    Attributes
    ----------
    frame : pandas.DataFrame
    names : list of hashable
        The names of the target columns.
    targets : list of pandas.Series
    features : pandas.DataFrame
        All other columns.
    tables : list of Table
        What was found out of the features, for each target.
    task : {'classification', 'regression'}
    reason : str
        Why the task was chosen, or '' if the user has.
    values : list of ndarray of shape (n_rows,)
        The labels or the numbers of each target.
    train, test : ndarray of int
        The positions of the rows to learn from, and of those that are held out.
    """

    frame: pd.DataFrame
    names: list[Any]
    targets: list[pd.Series]
    features: pd.DataFrame
    tables: list[Table]
    task: str
    reason: str
    values: list[NDArray[Any]]
    train: NDArray[np.intp]
    test: NDArray[np.intp]

    def learned(self, rows: NDArray[np.intp]) -> Any:
        """Return what is to be learned of some rows: a series, or a frame of several targets."""
        found = [
            pd.Series(values[rows], name=name)
            for name, values in zip(self.names, self.values, strict=True)
        ]
        return found[0] if len(found) == 1 else pd.concat(found, axis=1)


def read_problem(
    frame: Any, target: Any, task: str, test_size: float, random_state: int
) -> Problem:
    """Choose the target and the task, and hold out test rows; see :func:`train_table`.

    Parameters
    ----------
    frame : data frame
    target : str, list of str or None
    task : {'auto', 'classification', 'regression'}
    test_size : float
    random_state : int

    Returns
    -------
    Problem
    """
    if task not in ("auto", *TASKS):
        raise ValueError(f"task must be auto, classification or regression, got {task!r}")
    if not 0 <= test_size < 1:
        raise ValueError(f"test_size must be at least 0 and less than 1, got {test_size}")
    frame = as_pandas(frame)
    check_frame(frame)
    names = find_targets(frame, target)
    places = [frame.columns.get_loc(name) for name in names]
    targets = [plain_target(frame.iloc[:, place]) for place in places]
    for y in targets:
        check_complete(y, missing_word(frame, y.name))
    if len(frame.columns) == len(names):
        what = f"the target {names[0]!r}" if len(names) == 1 else "the targets"
        raise DataError(f"there is no column but {what}; features are needed")
    features = frame.iloc[:, np.setdiff1d(np.arange(len(frame.columns)), places)]
    tables = settle_tables(features, targets)
    task, reason = _task(task, targets, tables)
    values = []
    for y, table in zip(targets, tables, strict=True):
        if len(names) == 1:
            values.append(target_values(y, task, table.target_form))
        else:
            values.append(numeric_target(y, "several targets are one", table.target_form))
        check_learnable(values[-1], task, target_called(y))
    train, test = split(values[0], task, test_size, random_state)
    return Problem(frame, names, targets, features, tables, task, reason, values, train, test)


def _task(task: str, targets: list[pd.Series], tables: list[Table]) -> tuple[str, str]:
    """Return the task, and why it was chosen if the user has not."""
    if len(targets) > 1:
        if task == "classification":
            raise DataError(
                "several targets are learned by a regression, not by task='classification'; train "
                "a model for each of them"
            )
        return "regression", ""
    return decide_task(targets[0], tables[0].target_form) if task == "auto" else (task, "")


def split(
    values: NDArray[Any], task: str, test_size: float, random_state: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions of the training rows and of the test rows, each in increasing order.

    A classification is stratified where every class has rows enough.
    """
    rows = np.arange(len(values))
    if test_size == 0:
        return rows, rows[:0]
    stratify = None
    if task == "classification":
        counts = np.unique(values, return_counts=True)[1]
        n_test = int(np.ceil(test_size * len(values)))
        if counts.min() >= 2 and min(n_test, len(values) - n_test) >= len(counts):
            stratify = values
    try:
        train, test = train_test_split(
            rows, test_size=test_size, random_state=random_state, stratify=stratify
        )
    except ValueError:
        raise DataError(
            f"{len(values)} rows are too few to hold out test_size={test_size}; use test_size=0"
        ) from None
    if task == "classification" and len(np.unique(values[train])) < 2:
        raise DataError("the training part has a single class; use more rows or test_size=0")
    return np.sort(train), np.sort(test)
