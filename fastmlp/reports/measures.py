"""Metrics of predictions with intervals, from rows that are drawn again and again (bootstrap)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
# The value of a metric for each row of a matrix of weights of shape (n_draws, n_rows).
Metric: TypeAlias = Callable[[Floats], Floats]

_DRAWS = (300, 1000)
_MOST_CELLS = 8_000_000  # draws times rows, within these bounds
_CELLS_AT_A_TIME = 2_000_000
# Probabilities are kept away from 0 and 1 as scikit-learn's log loss does it for float32.
_SMALLEST = float(np.finfo(np.float32).eps)


@dataclass
class Predicted:
    """What a model says of the rows.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        For a classification, the number of the class that is predicted.
    shares : ndarray of shape (n_rows, n_classes)
        For a classification, the probability of each class.
    numbers : ndarray of shape (n_rows, n_levels)
        For a regression, what is predicted; several columns for several quantiles.
    """

    labels: NDArray[np.intp]
    shares: Floats
    numbers: Floats


def of_classes(shares: NDArray[np.floating], threshold: float = 0.5) -> Predicted:
    """Return the prediction that probabilities make.

    Parameters
    ----------
    shares : ndarray of shape (n_rows, n_classes)
    threshold : float, default=0.5
        The probability above which the second of two classes is predicted.
    """
    exact: Floats = shares.astype(np.float64)
    exact = exact / exact.sum(axis=1, keepdims=True)
    # Where labels are found by the probabilities as they are, as a model does.
    labels = np.argmax(shares, axis=1)
    if shares.shape[1] == 2:
        labels = (shares[:, 1] > threshold).astype(np.intp)
    return Predicted(labels, exact, np.empty((len(exact), 0)))


def of_numbers(numbers: NDArray[np.floating]) -> Predicted:
    """Return the prediction that numbers are, of shape (n_rows,) or (n_rows, n_levels)."""
    columns: Floats = numbers.astype(np.float64).reshape(len(numbers), -1)
    return Predicted(np.empty(0, np.intp), np.empty((len(columns), 0)), columns)


def class_metrics(codes: NDArray[np.intp], said: Predicted) -> dict[str, Metric]:
    """Return the metrics of a classification.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,), int
        The number of the true class; one that the model does not know is -1, and counts as wrong,
        but neither for the log loss nor for the area under the ROC curve.
    said : Predicted

    Returns
    -------
    dict of str to callable
        By the names of :mod:`fastmlp.tabular.metrics`, 'roc_auc' only where it is defined.
    """
    hit = (codes == said.labels).astype(np.float64)
    is_known = (codes >= 0).astype(np.float64)
    found: dict[str, Metric] = {
        "accuracy": _mean(hit),
        "balanced_accuracy": _balanced(codes, hit),
    }
    if is_known.any():
        chosen = said.shares[np.arange(len(codes)), np.maximum(codes, 0)]
        losses = -np.log(np.clip(chosen, _SMALLEST, 1 - _SMALLEST))
        found["log_loss"] = _ratio(losses * is_known, is_known)
        if said.shares.shape[1] == 2 and len(np.unique(codes[codes >= 0])) == 2:
            found["roc_auc"] = _area(codes, said.shares[:, 1])
    return found


def number_metrics(y: Floats, said: Predicted, levels: Sequence[float] = ()) -> dict[str, Metric]:
    """Return the metrics of a regression, or of quantiles.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
    said : Predicted
    levels : sequence of float, default=()
        Levels of the quantiles that are predicted.

    Returns
    -------
    dict of str to callable
        By the names of :mod:`fastmlp.tabular.metrics`.
    """
    if levels:
        errors = y[:, np.newaxis] - said.numbers
        alphas = np.asarray(levels)
        losses = np.maximum(alphas * errors, (alphas - 1) * errors).mean(axis=1)
        found = {"pinball_loss": _mean(losses)}
        for level, column in zip(levels, said.numbers.T, strict=True):
            found[f"below_{level:g}"] = _mean((y <= column).astype(np.float64))
        return found
    errors = y - said.numbers[:, 0]
    squared, centred = errors**2, y - y.mean()
    return {
        "r2": _explained(squared, centred),
        "rmse": lambda weights: np.sqrt(_mean(squared)(weights)),
        "mae": _mean(np.abs(errors)),
    }


def _mean(values: Floats) -> Metric:
    return lambda weights: (weights @ values) / weights.sum(axis=1)


def _ratio(values: Floats, shares: Floats) -> Metric:
    def metric(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return (weights @ values) / (weights @ shares)

    return metric


def _balanced(codes: NDArray[np.intp], hit: Floats) -> Metric:
    """Average the share that is right over classes; a class without rows has none."""
    classes, places = np.unique(codes, return_inverse=True)
    members = np.zeros((len(codes), len(classes)))
    members[np.arange(len(codes)), places] = 1
    hits = members * hit[:, np.newaxis]

    def metric(weights: Floats) -> Floats:
        n_rows = weights @ members
        shares = (weights @ hits) / np.maximum(n_rows, 1)
        return shares.sum(axis=1) / np.count_nonzero(n_rows, axis=1)

    return metric


def _explained(squared: Floats, centred: Floats) -> Metric:
    """R^2; not-a-number where the target does not vary among the rows."""
    powers = np.column_stack([squared, centred, centred**2])

    def metric(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        errors, sums, squares = (weights @ powers).T
        spread = squares - sums**2 / total
        has_spread = spread > 1e-12 * np.maximum(squares, 1e-300)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(has_spread, 1 - errors / spread, np.nan)

    return metric


def _area(codes: NDArray[np.intp], score: Floats) -> Metric:
    """Compute the area under the ROC curve: how often a row of class 1 has the higher score."""
    order = np.argsort(score, kind="stable")
    order = order[codes[order] >= 0]
    is_one = codes[order] == 1
    ranked = score[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] > ranked[:-1]))

    def metric(weights: Floats) -> Floats:
        drawn = weights[:, order]
        ones = np.add.reduceat(drawn * is_one, starts, axis=1)
        zeros = np.add.reduceat(drawn * ~is_one, starts, axis=1)
        below = np.cumsum(zeros, axis=1) - zeros / 2
        pairs = ones.sum(axis=1) * zeros.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return (ones * below).sum(axis=1) / pairs

    return metric


@dataclass
class Measured:
    """The values of a metric.

    Parameters
    ----------
    value : float
        Of the rows as they are.
    draws : ndarray of shape (n_draws,)
        Of rows that were drawn from them with replacement.
    """

    value: float
    draws: Floats

    def interval(self) -> tuple[float, float]:
        """Return the bounds between which 95 % of the draws lie; not-a-number without draws."""
        known = self.draws[np.isfinite(self.draws)]
        if len(known) < len(self.draws) / 2 or not len(known):
            return np.nan, np.nan
        low, high = np.quantile(known, [0.025, 0.975])
        return float(low), float(high)

    def minus(self, other: "Measured") -> "Measured":
        """Return the difference, on the same draws."""
        return Measured(self.value - other.value, self.draws - other.draws)


def measure(metrics: dict[str, dict[str, Metric]], n_rows: int) -> dict[str, dict[str, Measured]]:
    """Compute metrics of several models on the same rows, and on the same draws of rows.

    Parameters
    ----------
    metrics : dict of str to dict
        For each model its metrics by name.
    n_rows : int

    Returns
    -------
    dict of str to dict of str to Measured
        With 1000 draws, or fewer of many rows.
    """
    generator = np.random.default_rng(0)
    n_draws = int(np.clip(_MOST_CELLS // n_rows, *_DRAWS))
    whole = np.ones((1, n_rows))
    draws: dict[str, dict[str, list[Floats]]] = {
        model: {name: [] for name in named} for model, named in metrics.items()
    }
    at_a_time = max(1, min(n_draws, _CELLS_AT_A_TIME // n_rows))
    for first in range(0, n_draws, at_a_time):
        n_now = min(at_a_time, n_draws - first)
        drawn = generator.integers(0, n_rows, (n_now, n_rows))
        drawn += np.arange(n_now)[:, np.newaxis] * n_rows
        counts = np.bincount(drawn.ravel(), minlength=n_now * n_rows)
        weights = counts.reshape(n_now, n_rows).astype(np.float64)
        for model, named in metrics.items():
            for name, metric in named.items():
                draws[model][name].append(metric(weights))
    return {
        model: {
            name: Measured(float(metric(whole)[0]), np.concatenate(draws[model][name]))
            for name, metric in named.items()
        }
        for model, named in metrics.items()
    }
