"""The rows that a report is on: their true values, and what is known of them."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length

from ..exceptions import DataError
from ..tabular.quantiles import fitted_levels
from ..tabular.several import models_of, target_forms, target_names
from ..tabular.targets import (
    check_complete,
    check_known,
    labels_like,
    numeric_target,
    plain_target,
    target_called,
)
from .texts import quoted

MOST_ROWS = 10_000

# What is known of the rows of a report.
HELD_OUT, TRAINED_ON, UNKNOWN = "held out", "trained on", "unknown"


@dataclass
class Training:
    """Rows that a model can be trained on.

    Parameters
    ----------
    X : pandas.DataFrame
    y : ndarray of shape (n_rows,)
        Numbers of classes, -1 for classes that the model does not know; or numbers.
    """

    X: pd.DataFrame
    y: NDArray[Any]


@dataclass
class Part:
    """One target of a report.

    Parameters
    ----------
    name : hashable
        None if it has no name.
    model : TabularClassifier or TabularRegressor
        For this target alone.
    y : ndarray of shape (n_rows,)
        As in :class:`Training`.
    classes : list of str
        Empty for a regression.
    levels : tuple of float
        Levels of quantiles, if these are predicted.
    training : Training or None
        The rows that the model was trained on, where they are at hand.
    """

    name: Hashable
    model: Any
    y: NDArray[Any]
    classes: list[str]
    levels: tuple[float, ...]
    training: Training | None

    @property
    def called(self) -> str:
        """The name of the target in a sentence."""
        return "the target" if self.name is None else str(self.name)

    @property
    def quoted(self) -> str:
        """The name of the target in a sentence, in quotation marks where it has one."""
        return self.called if self.name is None else quoted(self.name, 30)


@dataclass
class Subject:
    """What a report is on.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    X : pandas.DataFrame
        The columns of the rows that are measured.
    parts : list of Part
        One for each target.
    seen : {'held out', 'trained on', 'unknown'}
        Whether the model was trained on these rows.
    n_rows : int
        The number of rows before a sample was drawn of them.
    X_train : pandas.DataFrame or None
        The columns of the rows that the model was trained on, where they are at hand.
    row_names : list of str
        What the rows that are measured are called.
    """

    model: Any
    X: pd.DataFrame
    parts: list[Part]
    seen: str
    n_rows: int
    X_train: pd.DataFrame | None
    row_names: list[str]


def make_subject(
    model: Any,
    X: pd.DataFrame,
    targets: Sequence[pd.Series],
    seen: str,
    training: tuple[pd.DataFrame, Sequence[pd.Series]] | None = None,
    first_row: int | None = None,
) -> Subject:
    """Read the true values of the rows of a report, and draw a sample where there are many.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    X : pandas.DataFrame
    targets : sequence of pandas.Series
        One for each target of the model, in their order.
    seen : {'held out', 'trained on', 'unknown'}
    training : (pandas.DataFrame, sequence of pandas.Series), optional
        The same of the rows that the model was trained on.
    first_row : int, optional
        The number of the first row of the whole table, whose index counts from 0; without it, rows
        are called as the index of X says.

    Returns
    -------
    Subject

    Raises
    ------
    DataError
        When there are no rows, or when a target is missing or does not fit the model.
    """
    models, forms = models_of(model), target_forms(model)
    if len(targets) != len(models):
        raise DataError(f"the model has {len(models)} targets, and y has {len(targets)}")
    if not len(X):
        raise DataError("the table has no rows to measure the model on")
    called = zip(targets, target_names(model), strict=True)
    target_of = [y.name if known is None else known for y, known in called]
    values = []
    for one, y, form in zip(models, targets, forms, strict=True):
        check_consistent_length(X, y)
        values.append(_true_values(one, y, form, seen != HELD_OUT))
    known: list[Training | None] = [None] * len(models)
    if training is not None:
        for i, (one, y, form) in enumerate(zip(models, training[1], forms, strict=True)):
            check_consistent_length(training[0], y)
            known[i] = Training(training[0], _true_values(one, y, form, False))
    rows = sample(len(X), MOST_ROWS)
    parts = [
        Part(
            name,
            one,
            y[rows],
            [str(label) for label in one.classes_] if is_classifier(one) else [],
            fitted_levels(one),
            learned,
        )
        for name, one, y, learned in zip(target_of, models, values, known, strict=True)
    ]
    X_train = None if training is None else training[0]
    some = X.iloc[rows]
    names = [str(label if first_row is None else label + first_row) for label in some.index]
    return Subject(model, some, parts, seen, len(X), X_train, names)


def _true_values(model: Any, y: pd.Series, form: str, is_strict: bool) -> NDArray[Any]:
    """Return the numbers of classes, or the numbers, in a target."""
    y = plain_target(y)
    check_complete(y)
    if not is_classifier(model):
        return numeric_target(y, "the model predicts numbers", form)
    labels = labels_like(model.classes_, y)
    if is_strict:
        check_known(labels, model.classes_, target_called(y))
    places = {label: i for i, label in enumerate(model.classes_.tolist())}
    return np.array([places.get(label, -1) for label in labels.tolist()], dtype=np.intp)


def column_of(frame: pd.DataFrame, name: Hashable) -> pd.Series:
    """Return the column of a frame with a name, which may be a tuple or not-a-number."""
    place: Any = frame.columns.get_loc(name)
    return frame.iloc[:, place]


def sample(n_rows: int, most: int) -> NDArray[np.intp]:
    """Return the numbers of at most so many rows, drawn at random, in increasing order."""
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(0).choice(n_rows, most, replace=False))
