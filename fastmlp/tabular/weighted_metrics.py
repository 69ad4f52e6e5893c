"""The metrics of predictions as functions of how often each row counts, for many samples at once.

The names are those of :mod:`fastmlp.tabular.metrics`. Sums are not left to BLAS, whose results
depend on its number of threads.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .quantiles import as_columns

Floats: TypeAlias = NDArray[np.float64]
# The value of a metric for each row of a matrix of weights of shape (n_samples, n_rows).
Metric: TypeAlias = Callable[[Floats], Floats]


def weighted_regression_metrics(y: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Metric]:
    """Return R^2, root mean squared error and mean absolute error.

    Parameters
    ----------
    y, predicted : ndarray of shape (n_rows,)

    Returns
    -------
    dict of str to callable
        R^2 is not-a-number in a sample whose target does not vary.
    """
    errors = (y - predicted).astype(np.float64)
    squares = errors**2
    return {
        "r2": _explained(squares, y.astype(np.float64) - np.mean(y, dtype=np.float64)),
        "rmse": lambda weights: np.sqrt(_mean(squares)(weights)),
        "mae": _mean(np.abs(errors)),
    }


def weighted_quantile_metrics(
    y: NDArray[Any], predicted: NDArray[Any], levels: Sequence[float]
) -> dict[str, Metric]:
    """Return the pinball loss, and the share of rows below each quantile.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
    predicted : ndarray of shape (n_rows,) or (n_rows, n_levels)
    levels : sequence of float

    Returns
    -------
    dict of str to callable
    """
    columns, alphas = as_columns(predicted), np.asarray(levels)
    missing = y[:, np.newaxis] - columns
    losses = np.maximum(alphas * missing, (alphas - 1) * missing).mean(axis=1)
    below = (missing <= 0).astype(np.float64)
    shares = {f"below_{level:g}": _mean(one) for level, one in zip(levels, below.T, strict=True)}
    return {"pinball_loss": _mean(losses), **shares}


def weighted_classification_metrics(
    y: NDArray[Any], labels: NDArray[Any], places: NDArray[np.intp], shares: Floats
) -> dict[str, Metric]:
    """Return accuracy, balanced accuracy, log loss and the area under the ROC curve.

    Parameters
    ----------
    y, labels : ndarray of shape (n_rows,)
        The true and the predicted labels.
    places : ndarray of shape (n_rows,), int
        The column of the true class in `shares`; -1 for a class that the model does not know,
        which counts neither for the log loss nor for the area.
    shares : ndarray of shape (n_rows, n_classes), float64
        The probability of each class.

    Returns
    -------
    dict of str to callable
        The log loss only where a class is known, the area only for two classes. They are
        not-a-number in a sample that has no such rows.
    """
    hits = (labels == y).astype(np.float64)
    known = np.flatnonzero(places >= 0)
    found = {"accuracy": _mean(hits), "balanced_accuracy": _balanced(y, hits)}
    if len(known):
        smallest = np.finfo(np.float64).eps  # as scikit-learn has it
        losses = np.zeros(len(y))
        own = shares[known, places[known]]
        losses[known] = -np.log(np.clip(own, smallest, 1 - smallest))
        found["log_loss"] = _mean(losses, (places >= 0).astype(np.float64))
        if shares.shape[1] == 2:
            found["roc_auc"] = _area(known, shares[known, 1], places[known] == 1)
    return found


def _sum(weights: Floats, values: Floats) -> Floats:
    found: Floats = np.einsum("ij,j->i", weights, values)
    return found


def _mean(values: Floats, counts: Floats | None = None) -> Metric:
    """Average values, of the rows that `counts` has a 1 for; of all without it."""

    def metric(weights: Floats) -> Floats:
        total = weights.sum(axis=1) if counts is None else _sum(weights, counts)
        with np.errstate(invalid="ignore"):
            return _sum(weights, values) / total

    return metric


def _balanced(y: NDArray[Any], hits: Floats) -> Metric:
    """Average the share that is right over the classes that a sample has."""
    places = np.unique(y, return_inverse=True)[1]
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    hits = hits[order]

    def metric(weights: Floats) -> Floats:
        ordered = np.take(weights, order, axis=1)
        n_rows = np.add.reduceat(ordered, starts, axis=1)
        right = np.add.reduceat(ordered * hits, starts, axis=1)
        shares = right / np.where(n_rows > 0, n_rows, 1)
        averaged: Floats = shares.sum(axis=1) / np.count_nonzero(n_rows, axis=1)
        return averaged

    return metric


def _explained(squares: Floats, centred: Floats) -> Metric:
    """Compute R^2 from squared errors and from the target less its mean."""
    own = centred**2

    def metric(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        power = _sum(weights, own)
        spread = power - _sum(weights, centred) ** 2 / total
        has_spread = spread > 1e-12 * power  # what is less comes from rounding
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(has_spread, 1 - _sum(weights, squares) / spread, np.nan)

    return metric


def _area(known: NDArray[np.intp], score: Floats, is_second: NDArray[np.bool_]) -> Metric:
    """Compute how often a row of the second class has the higher score; equal ones are half."""
    order = np.argsort(score, kind="stable")
    ranked, is_second, rows = score[order], is_second[order], known[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] > ranked[:-1]))  # of equal scores

    def metric(weights: Floats) -> Floats:
        ordered = np.take(weights, rows, axis=1)
        second = np.add.reduceat(ordered * is_second, starts, axis=1)
        first = np.add.reduceat(ordered * ~is_second, starts, axis=1)
        below = np.cumsum(first, axis=1) - first / 2
        pairs = second.sum(axis=1) * first.sum(axis=1)
        with np.errstate(invalid="ignore"):
            area: Floats = (second * below).sum(axis=1) / pairs
        return area

    return metric
