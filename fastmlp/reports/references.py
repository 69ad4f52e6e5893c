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
from .rows import Training, sample

_N_FOLDS = 5
_MOST_ROWS = 10_000
# The most products of rows, inputs and classes that a logistic regression is trained on.
_MOST_PRODUCTS = 20_000_000


@dataclass
class SimpleModels:
    """What simple models say of the rows of a report.

    Parameters
    ----------
    trivial : ndarray of shape (n_rows,), (n_rows, n_classes) or (n_rows, n_levels)
        What it predicts: numbers, the probability of each class, or quantiles.
    linear : ndarray of shape (n_rows,) or (n_rows, n_classes), or None
    why_no_linear : str
        Why there is no linear model.
    n_rows : int
        The number of rows that the linear model was trained on.
    is_crossed : bool
        Whether they were trained on the rows of the report, each row being predicted by models
        that have not seen it.
    """

    trivial: NDArray[np.float64]
    linear: NDArray[np.float64] | None
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
    known = Training(X, y) if training is None else training
    if training is not None or len(y) < 2:  # a single row is predicted by itself
        parts = [(np.arange(len(known.y)), rows)]
    else:
        folds = KFold(min(_N_FOLDS, len(y)), shuffle=True, random_state=0)
        parts = list(folds.split(rows))
    n_outputs = n_classes or max(1, len(levels))
    trivial = np.zeros((len(y), n_outputs))
    for learned, held in parts:
        trivial[held] = _trivial(known.y[learned], len(held), n_classes, levels)
    is_flat = not n_classes and len(levels) < 2
    linear, why, n_rows = None, "quantiles have none here", 0
    if not levels:
        try:
            numbers, n_rows = _linear(known, None if training is None else X, parts, n_classes)
            linear, why = numbers[:, 0] if is_flat else numbers, ""
        except (DataError, ValueError) as error:
            why = str(error)
    trivial = trivial[:, 0] if is_flat else trivial
    return SimpleModels(trivial, linear, why, n_rows, training is None)


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


def _linear(
    known: Training, X: pd.DataFrame | None, parts: list[Any], n_classes: int
) -> tuple[NDArray[np.float64], int]:
    """Train logistic or ridge regression on prepared columns, and predict.

    Parameters
    ----------
    known : Training
        The rows to train on.
    X : pandas.DataFrame or None
        The rows to predict; None if they are the same.
    parts : list of tuple
        For each model the places of the rows to train on, and of those to predict.
    n_classes : int
        0 for a regression.

    Returns
    -------
    predicted : ndarray of shape (n_rows, n_outputs), float64
    n_used : int
        The number of rows that a model was trained on.

    Raises
    ------
    DataError, ValueError
        When the rows cannot be learned from.
    """
    chosen = np.arange(len(known.y)) if X is None else sample(len(known.y), _MOST_ROWS)
    with collected_warnings():  # the model itself has told of the columns
        preprocessor = TabularPreprocessor()
        # Medians and levels know nothing of the target, so that all folds can have the same.
        learned = preprocessor.fit_transform(known.X.iloc[chosen])
        asked = learned if X is None else preprocessor.transform(X)
    y = known.y[chosen]
    predicted = np.zeros((len(asked), n_classes or 1))
    n_used = 0
    for places, held in parts:
        rows = places if X is None else np.arange(len(chosen))
        if n_classes:
            rows = rows[y[rows] >= 0]
            predicted[held], n_rows = _logistic(learned[rows], y[rows], asked[held], n_classes)
        else:
            predicted[held], n_rows = _ridge(learned[rows], y[rows], asked[held])
        n_used = max(n_used, n_rows)
    return predicted, n_used


def _ridge(
    learned: NDArray[np.float32], y: NDArray[Any], asked: NDArray[np.float32]
) -> tuple[NDArray[np.float64], int]:
    # In float64: where columns nearly add up, the penalty alone keeps weights small.
    model = RidgeCV(np.logspace(-2, 4, 7)).fit(learned.astype(np.float64), y)
    numbers = model.predict(asked.astype(np.float64))
    return np.clip(numbers, y.min(), y.max())[:, np.newaxis], len(y)


def _logistic(
    learned: NDArray[np.float32], y: NDArray[Any], asked: NDArray[np.float32], n_classes: int
) -> tuple[NDArray[np.float64], int]:
    if len(np.unique(y)) < 2:
        raise DataError("there is a single class to learn from")
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
