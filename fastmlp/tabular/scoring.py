"""Scores of predictions with intervals of confidence, and of two models on the same rows.

An interval is that of the bootstrap: scores are computed anew for samples of the rows, drawn with
replacement, and the middle part of what they come to is the interval. Each sample says how often
each row counts, so that two models are compared on the very same samples.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_classifier

from .metrics import classification_metrics, regression_metrics
from .quantiles import as_columns, fitted_levels, quantile_metrics

Scores = dict[str, float]

# Samples of the rows: as many as an interval needs, and fewer of many rows, whose intervals are
# narrow.
_MOST_SAMPLES, _FEWEST_SAMPLES, _MOST_DRAWS = 1000, 200, 20_000_000


@dataclass
class Predicted:
    """What a model predicts for rows whose target is known.

    Attributes
    ----------
    values : ndarray of shape (n_rows,)
        The true labels or numbers.
    predicted : ndarray of shape (n_rows,), (n_rows, n_classes) or (n_rows, n_levels)
        Numbers, the probability of each class, or quantiles.
    classes : ndarray of shape (n_classes,) or None
        The classes of a classification.
    threshold : float, default=0.5
        The probability above which the second of two classes is predicted.
    levels : tuple of float
        The levels of quantiles, if these are predicted.
    """

    values: NDArray[Any]
    predicted: NDArray[Any]
    classes: NDArray[Any] | None = None
    threshold: float = 0.5
    levels: tuple[float, ...] = ()
    _weigh: Callable[[NDArray[np.float64]], Scores] | None = field(default=None, repr=False)

    def rows(self, chosen: NDArray[Any]) -> "Predicted":
        """Return a part of the rows, chosen by places or by a mask."""
        return Predicted(
            self.values[chosen], self.predicted[chosen], self.classes, self.threshold, self.levels
        )

    def scores(self) -> Scores:
        """Return the metrics of all rows, by their names."""
        if self.classes is not None:
            known = np.isin(self.values, self.classes)
            return classification_metrics(
                self.values, self.predicted, self.classes, known, self.threshold
            )
        if self.levels:
            return quantile_metrics(self.values, self.predicted, self.levels)
        return regression_metrics(self.values, self.predicted)

    def weighted_scores(self, weight: NDArray[np.float64]) -> Scores:
        """Return the metrics of rows that count as often as `weight` says.

        Parameters
        ----------
        weight : ndarray of shape (n_rows,), float64
            Not all zero.

        Returns
        -------
        dict of str to float
            A metric that these rows do not have is not-a-number, or is left out.
        """
        if self._weigh is None:
            if self.classes is not None:
                self._weigh = _of_classes(self)
            else:
                self._weigh = _of_quantiles(self) if self.levels else _of_numbers(self)
        return self._weigh(weight)


def predicted_by(model: Any, frame: Any, values: NDArray[Any]) -> Predicted:
    """Let a model of one target predict rows whose target is known.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    frame : data frame
    values : ndarray of shape (n_rows,)

    Returns
    -------
    Predicted
    """
    if is_classifier(model):
        threshold = getattr(model, "threshold_", 0.5)
        return Predicted(values, model.predict_proba(frame), model.classes_, threshold)
    return Predicted(values, model.predict(frame), levels=fitted_levels(model))


def samples(n_rows: int, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """Yield how often each row is in a sample drawn with replacement, for many samples.

    Parameters
    ----------
    n_rows : int
    seed : int, default=0

    Yields
    ------
    ndarray of shape (n_rows,), float64
        1000 times, and less often for more than 20 000 rows, down to 200 times.
    """
    rng = np.random.default_rng(seed)
    for _ in range(n_samples(n_rows)):
        drawn = rng.integers(0, n_rows, size=n_rows)
        yield np.bincount(drawn, minlength=n_rows).astype(np.float64)


def n_samples(n_rows: int) -> int:
    """Return the number of samples for a table."""
    return int(np.clip(_MOST_DRAWS // max(n_rows, 1), _FEWEST_SAMPLES, _MOST_SAMPLES))


def interval(found: list[float], level: float) -> list[float] | None:
    """Return the middle part of what samples have come to.

    Parameters
    ----------
    found : list of float
        Not-a-number where a sample has no such score.
    level : float
        The share of the samples within the interval.

    Returns
    -------
    list of two floats or None
        None where less than half of the samples have the score.
    """
    finite = [value for value in found if np.isfinite(value)]
    if not finite or 2 * len(finite) < len(found):
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]


def intervals(parts: list[Predicted], level: float) -> list[dict[str, list[float] | None]]:
    """Compute the interval of each metric of the predictions for one or several targets.

    Parameters
    ----------
    parts : list of Predicted
        For the same rows. With several, the first of the results is about the mean of their R^2.
    level : float
        Such as 0.95.

    Returns
    -------
    list of dict
        For the mean, where there are several targets, and for each of `parts`; it has
        None for a metric without interval. Less than two rows have none at all.
    """
    found: list[dict[str, list[float]]] = [{} for _ in range(len(parts) + (len(parts) > 1))]
    n_rows = len(parts[0].values)
    if n_rows < 2:
        return [{} for _ in found]
    for weight in samples(n_rows):
        for kept, scores in zip(found, weighted(parts, weight), strict=True):
            for name, value in scores.items():
                kept.setdefault(name, []).append(value)
    n = n_samples(n_rows)
    return [
        {name: interval(values + [np.nan] * (n - len(values)), level) for name, values in k.items()}
        for k in found
    ]


def weighted(parts: list[Predicted], weight: NDArray[np.float64]) -> list[Scores]:
    """Return the weighted metrics of each target, after the mean of R^2 where there are several."""
    scores = [part.weighted_scores(weight) for part in parts]
    if len(parts) == 1:
        return scores
    return [{"r2": float(np.mean([one["r2"] for one in scores]))}, *scores]


def _mean(weight: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    # Not by BLAS, whose sums depend on its threads.
    return float(np.sum(weight * losses) / np.sum(weight))


def _of_numbers(part: Predicted) -> Callable[[NDArray[np.float64]], Scores]:
    y = part.values.astype(np.float64)
    y = y - np.mean(y)  # R^2 subtracts squares
    errors = np.abs(part.values - part.predicted).astype(np.float64)
    squares, own = errors * errors, y * y

    def scores(weight: NDArray[np.float64]) -> Scores:
        mean_square = _mean(weight, squares)
        variance = _mean(weight, own) - _mean(weight, y) ** 2
        r2 = 1 - mean_square / variance if variance > 0 else float("nan")
        return {"r2": r2, "rmse": float(np.sqrt(mean_square)), "mae": _mean(weight, errors)}

    return scores


def _of_quantiles(part: Predicted) -> Callable[[NDArray[np.float64]], Scores]:
    columns, levels = as_columns(part.predicted), np.array(part.levels)
    missing = part.values[:, None] - columns
    losses = np.maximum(levels * missing, (levels - 1) * missing).mean(axis=1)
    below = (missing <= 0).astype(np.float64)

    def scores(weight: NDArray[np.float64]) -> Scores:
        shares: Mapping[str, float] = {
            f"below_{level:g}": _mean(weight, column)
            for level, column in zip(part.levels, below.T, strict=True)
        }
        return {"pinball_loss": _mean(weight, losses), **shares}

    return scores


def _of_classes(part: Predicted) -> Callable[[NDArray[np.float64]], Scores]:
    classes, y = part.classes, part.values
    assert classes is not None
    guesses = classes[np.argmax(part.predicted, axis=1)]
    if len(classes) == 2:
        guesses = classes[(part.predicted[:, 1] > part.threshold).astype(int)]
    hits = (guesses == y).astype(np.float64)
    places = np.unique(y, return_inverse=True)[1]
    known = np.isin(y, classes)
    p = part.predicted[known].astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    own = pd.Index(classes).get_indexer(y[known])
    smallest = np.finfo(np.float64).eps  # as scikit-learn has it
    losses = -np.log(np.clip(p[np.arange(len(p)), own], smallest, 1 - smallest))
    area = _area(p[:, 1], own == 1) if len(classes) == 2 else None

    def scores(weight: NDArray[np.float64]) -> Scores:
        counts = np.bincount(places, weights=weight)
        right = np.bincount(places, weights=weight * hits)
        found = {
            "accuracy": _mean(weight, hits),
            "balanced_accuracy": float(np.mean(right[counts > 0] / counts[counts > 0])),
        }
        if known.any():
            of_known = weight[known]
            if of_known.any():
                found["log_loss"] = _mean(of_known, losses)
                if area is not None:
                    found["roc_auc"] = area(of_known)
        return found

    return scores


def _area(score: NDArray[np.float64], is_second: NDArray[np.bool_]) -> Any:
    """Return a function of weights that computes the area under the ROC curve."""
    order = np.argsort(score, kind="stable")
    ordered, is_second = score[order], is_second[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # of equal scores

    def area(weight: NDArray[np.float64]) -> float:
        weight = weight[order]
        second = np.add.reduceat(weight * is_second, starts)
        first = np.add.reduceat(weight * ~is_second, starts)
        pairs = second.sum() * first.sum()
        if pairs == 0:
            return float("nan")
        below = np.cumsum(first) - first / 2
        return float(np.sum(second * below) / pairs)

    return area
