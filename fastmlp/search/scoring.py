"""How candidates are judged: by the metrics that ``fastmlp evaluate`` prints."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score

from ..exceptions import InputError
from ..tabular.base import BaseTabular
from ..tabular.frames import read_target
from ..tabular.metrics import classification_metrics, regression_metrics
from ..tabular.quantiles import quantile_levels, quantile_metrics
from ..tabular.several import true_numbers
from ..tabular.targets import labels_like
from .models import final_of

# Names of metrics, and whether larger is better.
_OF_CLASSES = {"log_loss": False, "accuracy": True, "balanced_accuracy": True, "roc_auc": True}
_OF_NUMBERS = {"r2": True, "rmse": False, "mae": False}
_OF_QUANTILES = {"pinball_loss": False}
METRICS = {**_OF_CLASSES, **_OF_NUMBERS, **_OF_QUANTILES}

Scorer: TypeAlias = Callable[[Any, Any, Any], float]


class Scoring:
    """A metric by which candidates are compared.

    Parameters
    ----------
    estimator : estimator
    y : array-like of shape (n_rows,) or (n_rows, n_targets)
    scoring : str, callable or None
        The name of a metric, a function ``(estimator, X, y)`` of which larger is better, or None
        for the log loss, R^2 or the pinball loss, whichever the estimator is for.

    Attributes
    ----------
    name : str
    is_larger_better : bool

    Raises
    ------
    InputError
        When the metric is not one of such an estimator.
    """

    def __init__(self, estimator: Any, y: Any, scoring: str | Scorer | None) -> None:
        final = final_of(estimator)[1]
        self._function: Scorer | None = None
        if callable(scoring):
            self._function = scoring
            self.name = getattr(scoring, "__name__", "score")
            self.is_larger_better = True
            return
        if is_classifier(final):
            self._known = _OF_CLASSES if _n_columns(y) == 1 else {"accuracy": True}
        else:
            is_quantile = getattr(final, "loss", None) == "quantile"
            self._known = _OF_QUANTILES if is_quantile else _OF_NUMBERS
        self.name = next(iter(self._known)) if scoring is None else scoring
        if self.name not in self._known:
            raise InputError(
                f"scoring={scoring!r} is no metric of a {type(final).__name__} like this; choose "
                f"{', '.join(self._known)}"
            )
        if self.name == "roc_auc" and len(np.unique(np.asarray(y).astype(str))) != 2:
            raise InputError("scoring='roc_auc' is for two classes; choose log_loss or accuracy")
        self.is_larger_better = self._known[self.name]

    def score(self, model: Any, X: Any, y: Any) -> float:
        """Return the metric of a fitted model on rows that it has not seen.

        Parameters
        ----------
        model : estimator
        X : data frame, array-like or sparse matrix of shape (n_rows, n_columns)
        y : array-like of shape (n_rows,) or (n_rows, n_targets)

        Returns
        -------
        float
            Not-a-number where the rows do not define it.
        """
        if self._function is not None:
            return float(self._function(model, X, y))
        return float(self._metrics(model, X, y).get(self.name, np.nan))

    def _metrics(self, model: Any, X: Any, y: Any) -> dict[str, float]:
        final = final_of(model)[1]
        is_tabular = isinstance(final, BaseTabular)
        if not is_classifier(final):
            levels = quantile_levels(final)
            values = true_numbers(final, y) if is_tabular else np.asarray(y, dtype=np.float64)
            predicted = model.predict(X)
            if levels:
                return quantile_metrics(values.ravel(), predicted, levels)
            return regression_metrics(values.reshape(predicted.shape), predicted)
        if _n_columns(y) > 1:
            return {"accuracy": float(accuracy_score(y, model.predict(X)))}
        labels = labels_like(final.classes_, read_target(final, y)) if is_tabular else np.ravel(y)
        known = np.isin(labels, final.classes_)
        threshold = getattr(final, "threshold_", 0.5)
        return classification_metrics(
            labels, model.predict_proba(X), final.classes_, known, threshold
        )


def _n_columns(y: Any) -> int:
    shape = np.shape(y)
    return shape[1] if len(shape) > 1 else 1
