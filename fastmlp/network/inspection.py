"""What hidden layers do with rows: pre-activations, and the units that are never active."""

from dataclasses import replace

import numpy as np

from .plan import Activation, Loss, Optimizer
from .weights import flatten, views


def preactivations(plan, theta, X, layer, predict):
    """Pre-activations of one hidden layer.

    They are the outputs of the network that ends there, with the identity as its output
    activation, which is that of the squared error.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
    layer : int
        Number of the hidden layer, from 0.
    predict : callable
        ``predict(plan, theta, X)`` is an engine's prediction.

    Returns
    -------
    ndarray of shape (n_rows, n_units)
    """
    coefs, intercepts = views(theta, plan.layer_units)
    truncated = replace(
        plan,
        layer_units=plan.layer_units[: layer + 2],
        activation=plan.activations[:layer],
        dropout=(),
        loss=Loss.SQUARED_ERROR,
        optimizer=Optimizer.GRADIENT,
    )
    parameters = flatten(coefs[: layer + 1], intercepts[: layer + 1], plan.dtype)
    return predict(truncated, parameters, X)


def relu_layers(plan):
    """Numbers, from 0, of the hidden layers with the activation relu."""
    return [i for i, kind in enumerate(plan.activations) if kind == Activation.RELU]


def dead_units(plan, theta, X, predict):
    """Share of the units of each hidden relu layer that are zero for all rows.

    Such a unit has no gradient, so that training cannot bring it back for these rows.

    Parameters
    ----------
    plan, theta, X, predict
        As for :func:`preactivations`.

    Returns
    -------
    list of float
        One for each relu layer; empty where there are none.
    """
    return [
        float((preactivations(plan, theta, X, layer, predict).max(axis=0) <= 0).mean())
        for layer in relu_layers(plan)
    ]


def some_rows(X, most):
    """At most so many rows of X, evenly spaced, as neighbours are often alike."""
    n_rows = X.shape[0]
    return X if n_rows <= most else X[np.linspace(0, n_rows - 1, most).astype(np.intp)]
