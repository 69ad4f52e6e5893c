"""What a model is compared with: a linear model, and a prediction that is the same for all rows."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold

from ..exceptions import DataError, collected_warnings
from ..tabular.preprocessing import TabularPreprocessor
from .measures import Predicted, of_classes, of_numbers
from .rows import Training, sample

_N_FOLDS = 5
_MOST_ROWS = 20_000
# The most products of rows, inputs and classes that a logistic regression is trained on.
_MOST_PRODUCTS = 20_000_000


@dataclass
class SimpleModels:
    """What simple models say of the rows of a report.

    Parameters
    ----------
    trivial : Predicted
    linear : Predicted or None
    why_no_linear : str
        Why there is no linear model.
    n_rows : int
        The number of rows that the linear model was trained on.
    is_crossed : bool
        Whether they were trained on the rows of the report, each row being predicted by models
        that have not seen it.
    """

    trivial: Predicted
    linear: Predicted | None
    why_no_linear: str
    n_rows: int
    is_crossed: bool


def references(
    X: pd.DataFrame,
    y: NDArray[Any],
    n_classes: int,
    levels: Sequence[float],
    training: Training | None,
) -> SimpleModels:
    """Train a linear model and a trivial one, and let them predict the rows of a report.

    Parameters
    ----------
    X : pandas.DataFrame
    y : ndarray of shape (n_rows,)
        As in :class:`Training`.
    n_classes : int
        0 for a regression.
    levels : sequence of float
        Levels of quantiles, if these are predicted.
    training : Training or None
        What the model was trained on. Without it the rows are cut into folds, and those of each
        are predicted by models of the others.

    Returns
    -------
    SimpleModels
    """
    rows = np.arange(len(y))
    if training is not None:
        parts = [(training, rows)]
    elif len(y) < 2:
        parts = [(Training(X, y), rows)]  # a single row is predicted by itself
    else:
        folds = KFold(min(_N_FOLDS, len(y)), shuffle=True, random_state=0).split(rows)
        parts = [(Training(X.iloc[known], y[known]), held) for known, held in folds]
    n_outputs = n_classes or max(1, len(levels))
    trivial = np.zeros((len(y), n_outputs))
    linear: NDArray[Any] | None = np.zeros((len(y), n_outputs))
    why, n_rows = "", 0
    if levels:
        linear, why = None, "quantiles have none here"
    for learned, held in parts:
        trivial[held] = _trivial(learned.y, len(held), n_classes, levels)
        if linear is None:
            continue
        try:
            linear[held], n_used = _linear(learned, X.iloc[held], n_classes)
            n_rows = max(n_rows, n_used)
        except (DataError, ValueError) as error:
            linear, why = None, str(error)
    of = of_classes if n_classes else of_numbers
    said = None if linear is None else of(linear)
    return SimpleModels(of(trivial), said, why, n_rows, training is None)


def _trivial(
    y: NDArray[Any], n_rows: int, n_classes: int, levels: Sequence[float]
) -> NDArray[np.float64]:
    """Predict the shares of the classes, the mean, or quantiles."""
    nothing = np.zeros((len(y), 1))
    asked = np.zeros((n_rows, 1))
    if n_classes:
        y = y[y >= 0]
        if not len(y):
            return np.full((n_rows, n_classes), 1 / n_classes)
        model = DummyClassifier(strategy="prior").fit(nothing[: len(y)], y)
        return _spread(model.predict_proba(asked), model.classes_, n_classes)
    if not levels:
        return DummyRegressor().fit(nothing, y).predict(asked)[:, np.newaxis]
    found = [
        DummyRegressor(strategy="quantile", quantile=level).fit(nothing, y).predict(asked)
        for level in levels
    ]
    return np.column_stack(found)


def _linear(training: Training, X: pd.DataFrame, n_classes: int) -> tuple[NDArray[np.float64], int]:
    """Train logistic or ridge regression on prepared columns, and predict.

    Returns
    -------
    predicted : ndarray of shape (n_rows, n_outputs), float64
    n_used : int
        The number of rows that were trained on.

    Raises
    ------
    DataError, ValueError
        When the rows cannot be learned from.
    """
    known = np.flatnonzero(training.y >= 0) if n_classes else np.arange(len(training.y))
    known = known[sample(len(known), _MOST_ROWS)]
    y = training.y[known]
    if n_classes and len(np.unique(y)) < 2:
        raise DataError("there is a single class to learn from")
    with collected_warnings():  # the model itself has told of the columns
        preprocessor = TabularPreprocessor()
        learned = preprocessor.fit_transform(training.X.iloc[known])
        asked = preprocessor.transform(X)
    if not n_classes:
        # In float64: where columns nearly add up, the penalty alone keeps weights small.
        model = RidgeCV(np.logspace(-2, 4, 7)).fit(learned.astype(np.float64), y)
        numbers = model.predict(asked.astype(np.float64))
        return np.clip(numbers, y.min(), y.max())[:, np.newaxis], len(y)
    most = max(200, _MOST_PRODUCTS // (learned.shape[1] * n_classes))
    some = sample(len(y), most)
    if len(np.unique(y[some])) < 2:
        some = np.arange(len(y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a little more would change little
        model = LogisticRegression(max_iter=200).fit(learned[some], y[some])
    return _spread(model.predict_proba(asked), model.classes_, n_classes), len(some)


def _spread(
    shares: NDArray[np.floating], classes: NDArray[Any], n_classes: int
) -> NDArray[np.float64]:
    """Put the probabilities of some classes into those of all."""
    whole = np.zeros((len(shares), n_classes))
    whole[:, classes] = shares
    return whole
