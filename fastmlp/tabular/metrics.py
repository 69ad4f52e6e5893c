"""How good the predictions for a table are, and what a trivial prediction would reach."""

import warnings

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)


def regression_metrics(y, predicted):
    """R^2, root mean squared error and mean absolute error."""
    return {
        "r2": float(r2_score(y, predicted)) if len(y) > 1 else float("nan"),
        "rmse": float(root_mean_squared_error(y, predicted)),
        "mae": float(mean_absolute_error(y, predicted)),
    }


def classification_metrics(y, probabilities, classes, known=None):
    """Accuracy, balanced accuracy, log loss and, for two classes, the area under the ROC curve.

    Rows whose class is not `known` count as wrong, and not at all in the last two.
    """
    known = np.ones(len(y), bool) if known is None else known
    predicted = classes[np.argmax(probabilities, axis=1)]
    if len(classes) == 2:
        predicted = classes[(probabilities[:, 1] > 0.5).astype(int)]
    metrics = {"accuracy": float(accuracy_score(y, predicted))}
    with warnings.catch_warnings():
        # Classes that are predicted but do not occur are no mistake of the data.
        warnings.simplefilter("ignore", UserWarning)
        metrics["balanced_accuracy"] = float(balanced_accuracy_score(y, predicted))
    if known.any():
        p = probabilities[known].astype(np.float64)
        p /= p.sum(axis=1, keepdims=True)
        metrics["log_loss"] = float(log_loss(y[known], p, labels=classes))
        if len(classes) == 2 and len(np.unique(y[known])) == 2:
            metrics["roc_auc"] = float(roc_auc_score(y[known] == classes[1], p[:, 1]))
    return metrics


def baseline_metrics(task, y_train, y_test):
    """Metrics of always predicting the class shares, or the mean, of the training part."""
    if task == "regression":
        return regression_metrics(y_test, np.full(len(y_test), np.mean(y_train)))
    classes, counts = np.unique(y_train, return_counts=True)
    shares = np.tile(counts / counts.sum(), (len(y_test), 1))
    return classification_metrics(y_test, shares, classes, np.isin(y_test, classes))
