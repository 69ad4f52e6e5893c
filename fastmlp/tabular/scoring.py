"""Scores of predictions with intervals of confidence, and of two models on the same rows.

An interval is that of the bootstrap: scores are computed anew for samples of the rows, drawn with
replacement, and the middle part of what they come to is the interval. Each sample says how often
each row counts, so that several models are compared on the very same samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier

from .metrics import classification_metrics, predicted_labels, regression_metrics
from .quantiles import as_columns, fitted_levels, quantile_metrics
from .weighted_metrics import (
    Floats,
    Metric,
    weighted_classification_metrics,
    weighted_quantile_metrics,
    weighted_regression_metrics,
)

Scores = dict[str, float]

# Samples of the rows: as many as an interval needs, and fewer of many rows, whose intervals are
# narrow.
_MOST_SAMPLES, _FEWEST_SAMPLES, _MOST_DRAWS = 1000, 200, 20_000_000
_DRAWS_AT_A_TIME = 1_000_000


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

    def rows(self, chosen: NDArray[Any]) -> "Predicted":
        """Return a part of the rows, chosen by places or by a mask."""
        return replace(self, values=self.values[chosen], predicted=self.predicted[chosen])

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The class that is predicted for each row, for a classification."""
        assert self.classes is not None
        return predicted_labels(self.predicted, self.classes, self.threshold)

    @cached_property
    def shares(self) -> Floats:
        """The probability of each class, in float64 with the sum 1."""
        exact: Floats = self.predicted.astype(np.float64)
        return exact / exact.sum(axis=1, keepdims=True)

    @cached_property
    def columns(self) -> Floats:
        """Predicted numbers in float64, with a column for each level, or one alone."""
        exact: Floats = as_columns(self.predicted).astype(np.float64)
        return exact

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

    @cached_property
    def weighted_metrics(self) -> dict[str, Metric]:
        """The same metrics as functions of how often each row counts.

        One that the rows do not have may be there nevertheless, and is not-a-number then.
        """
        if self.classes is not None:
            places = pd.Index(self.classes).get_indexer(pd.Index(self.values))
            return weighted_classification_metrics(self.values, self.labels, places, self.shares)
        if self.levels:
            return weighted_quantile_metrics(self.values, self.predicted, self.levels)
        return weighted_regression_metrics(self.values, self.predicted)


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


def samples(n_rows: int, seed: int = 0) -> Iterator[Floats]:
    """Yield how often each row is in samples that are drawn with replacement.

    Parameters
    ----------
    n_rows : int
    seed : int, default=0

    Yields
    ------
    ndarray of shape (n_some, n_rows), float64
        Some samples at a time, as many as the memory should hold, :func:`n_samples` in all.
    """
    rng = np.random.default_rng(seed)
    n_left = n_samples(n_rows)
    at_a_time = max(1, _DRAWS_AT_A_TIME // n_rows)
    while n_left:
        n_now = min(at_a_time, n_left)
        drawn = rng.integers(0, n_rows, size=(n_now, n_rows))
        drawn += np.arange(n_now)[:, np.newaxis] * n_rows
        counts = np.bincount(drawn.ravel(), minlength=n_now * n_rows)
        yield counts.reshape(n_now, n_rows).astype(np.float64)
        n_left -= n_now


def n_samples(n_rows: int) -> int:
    """Return the number of samples: 1000, and fewer of over 20 000 rows, down to 200."""
    return int(np.clip(_MOST_DRAWS // max(n_rows, 1), _FEWEST_SAMPLES, _MOST_SAMPLES))


def sampled(parts: Sequence[Predicted]) -> list[dict[str, Floats]]:
    """Compute the metrics of several predictions for the same samples of their rows.

    Parameters
    ----------
    parts : sequence of Predicted
        For the same rows.

    Returns
    -------
    list of dict of str to ndarray of shape (n_samples,)
        For each of `parts`, not-a-number where a sample has no such metric.
    """
    found: list[dict[str, list[Floats]]] = [{n: [] for n in p.weighted_metrics} for p in parts]
    for weights in samples(len(parts[0].values)):
        for part, kept in zip(parts, found, strict=True):
            for name, metric in part.weighted_metrics.items():
                kept[name].append(metric(weights))
    return [{name: np.concatenate(some) for name, some in kept.items()} for kept in found]


def with_mean(found: list[dict[str, Floats]]) -> list[dict[str, Floats]]:
    """Put the mean of R^2 before the metrics of several targets; a single one's stay alone."""
    if len(found) == 1:
        return found
    return [{"r2": np.mean([one["r2"] for one in found], axis=0)}, *found]


def interval(found: ArrayLike, level: float) -> list[float] | None:
    """Return the middle part of what samples have come to.

    Parameters
    ----------
    found : array-like of shape (n_samples,)
        Not-a-number where a sample has no such score.
    level : float
        The share of the samples within the interval.

    Returns
    -------
    list of two floats or None
        None where less than half of the samples have the score.
    """
    values = np.asarray(found, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite) or 2 * len(finite) < len(values):
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
    if len(parts[0].values) < 2:
        return [{} for _ in range(len(parts) + (len(parts) > 1))]
    return [
        {name: interval(values, level) for name, values in one.items()}
        for one in with_mean(sampled(parts))
    ]
