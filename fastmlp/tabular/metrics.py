"""Metrics of predictions for a table, and of a trivial prediction to compare them with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from .quantiles import quantile_metrics


def regression_metrics(y: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """Compute R^2, root mean squared error and mean absolute error.

    Parameters
    ----------
    y, predicted : ndarray of shape (n_rows,)
        The true and the predicted numbers.

    Returns
    -------
    dict of str to float
        Has the keys 'r2' (not-a-number for a single row), 'rmse' and 'mae'.
    """
    return {
        "r2": float(r2_score(y, predicted)) if len(y) > 1 else float("nan"),
        "rmse": float(root_mean_squared_error(y, predicted)),
        "mae": float(mean_absolute_error(y, predicted)),
    }


def predicted_labels(
    probabilities: NDArray[Any], classes: NDArray[Any], threshold: float = 0.5
) -> NDArray[Any]:
    """Return the class that is predicted for each row.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_classes)
    classes : ndarray of shape (n_classes,)
    threshold : float, default=0.5
        The probability above which the second of two classes is predicted.

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    if len(classes) == 2:
        return classes[(probabilities[:, 1] > threshold).astype(int)]
    return classes[np.argmax(probabilities, axis=1)]


def classification_metrics(
    y: NDArray[Any],
    probabilities: NDArray[Any],
    classes: NDArray[Any],
    known: NDArray[np.bool_] | None = None,
    threshold: float = 0.5,
) -> dict[str, float]:
    """Compute accuracy, balanced accuracy, log loss and the area under the ROC curve.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        The true labels.
    probabilities : ndarray of shape (n_rows, n_classes)
        The predicted probability of each class.
    classes : ndarray of shape (n_classes,)
        The labels that belong to the columns of `probabilities`.
    known : ndarray of shape (n_rows,), bool, optional
        Tells for each row whether its true label is among `classes`; by default all are.
        The other rows count as wrong in the two accuracies, and are left out of the log loss
        and of the area.

    Returns
    -------
    dict of str to float
        Has the keys 'accuracy' and 'balanced_accuracy', 'log_loss' where a label is known, and
        'roc_auc' where there are two classes that both occur.
    """
    known = np.ones(len(y), bool) if known is None else known
    predicted = predicted_labels(probabilities, classes, threshold)
    metrics = {"accuracy": float(accuracy_score(y, predicted))}
    # scikit-learn's own function warns where a class is predicted that no row has.
    places = np.unique(y, return_inverse=True)[1]
    hits = np.bincount(places, weights=predicted == y)
    metrics["balanced_accuracy"] = float(np.mean(hits / np.bincount(places)))
    if known.any():
        p = probabilities[known].astype(np.float64)
        p /= p.sum(axis=1, keepdims=True)
        metrics["log_loss"] = float(log_loss(y[known], p, labels=classes))
        if len(classes) == 2 and len(np.unique(y[known])) == 2:
            metrics["roc_auc"] = float(roc_auc_score(y[known] == classes[1], p[:, 1]))
    return metrics


def baseline_metrics(
    task: str, y_train: NDArray[Any], y_test: NDArray[Any], levels: Sequence[float] = ()
) -> dict[str, float]:
    """Compute the metrics of a prediction that is the same for every row.

    Parameters
    ----------
    task : {'classification', 'regression'}
        The prediction is the share of each class for a classification, the mean for a
        regression.
    y_train : ndarray of shape (n_train_rows,)
        The labels or numbers that the shares or the mean are computed from.
    y_test : ndarray of shape (n_test_rows,)
        The labels or numbers that the prediction is compared with.
    levels : sequence of float, default=()
        Levels of quantiles, if these are predicted.

    Returns
    -------
    dict of str to float
        As from :func:`regression_metrics` or :func:`classification_metrics`, or for quantiles
        from :func:`fastmlp.tabular.quantiles.quantile_metrics`.
    """
    if levels:
        quantiles = np.quantile(y_train, levels)
        return quantile_metrics(y_test, np.tile(quantiles, (len(y_test), 1)), levels)
    if task == "regression":
        return regression_metrics(y_test, np.full(len(y_test), np.mean(y_train)))
    classes, counts = np.unique(y_train, return_counts=True)
    shares = np.tile(counts / counts.sum(), (len(y_test), 1))
    return classification_metrics(y_test, shares, classes, np.isin(y_test, classes))
