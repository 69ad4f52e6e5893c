"""The pre-activations of hidden layers, and the units that are active for no row."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from .plan import Activation, Loss, Optimizer, TrainingPlan
from .weights import flatten, views

# A sum is certainly positive where it is above this share of the sum of absolute values.
_CERTAINLY = 1e-3
# ``predict(plan, theta, X)`` returns the outputs of a network, of shape (n_rows, n_outputs).
Predict: TypeAlias = Callable[[TrainingPlan, np.ndarray, Any], np.ndarray]


def preactivations(
    plan: TrainingPlan, theta: np.ndarray, X: Any, layer: int, predict: Predict
) -> np.ndarray:
    """Compute the pre-activations of one hidden layer.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
    layer : int
        Number of the hidden layer, from 0.
    predict : callable
        ``predict(plan, theta, X)`` returns the outputs of a network.

    Returns
    -------
    ndarray of shape (n_rows, n_units)
    """
    return _between(plan, views(theta, plan.layer_units), X, 0, layer, predict)


def _between(
    plan: TrainingPlan,
    parameters: tuple[list[np.ndarray], list[np.ndarray]],
    inputs: Any,
    first: int,
    last: int,
    predict: Predict,
) -> np.ndarray:
    """Compute the pre-activations of the hidden layer `last` from the inputs of `first`.

    They are the outputs of the network of these layers that has the identity as its output
    activation, which is the one of the squared error.
    """
    coefs, intercepts = parameters
    part = replace(
        plan,
        layer_units=plan.layer_units[first : last + 2],
        activation=plan.activations[first:last],
        dropout=(),
        loss=Loss.SQUARED_ERROR,
        optimizer=Optimizer.GRADIENT,
    )
    layers = slice(first, last + 1)
    return predict(part, flatten(coefs[layers], intercepts[layers], plan.dtype), inputs)


def relu_layers(plan: TrainingPlan) -> list[int]:
    """Return the numbers of the hidden layers with the activation relu, counted from 0."""
    return [i for i, kind in enumerate(plan.activations) if kind == Activation.RELU]


def dead_units(plan: TrainingPlan, theta: np.ndarray, X: Any, predict: Predict) -> list[float]:
    """Compute the share of the units of each hidden relu layer that are zero for all rows.

    Such a unit has no gradient, so that training on these rows cannot revive it.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
    predict : callable
        As for :func:`preactivations`.

    Returns
    -------
    list of float
        One share for each relu layer; the list is empty where there is none.
    """
    shares: list[float] = []
    parameters, first = views(theta, plan.layer_units), 0
    for layer in relu_layers(plan):
        # From one relu layer to the next, so that each layer of the network is computed once.
        reached = _between(plan, parameters, X, first, layer, predict)
        shares.append(float((reached.max(axis=0) <= 0).mean()))
        X, first = np.maximum(reached, 0), layer + 1
    return shares


def are_alive(plan: TrainingPlan, theta: np.ndarray, X: Any, share: float) -> bool:
    """Tell whether more than a share of each hidden layer's units is certainly positive for a row.

    It takes a few microseconds, where :func:`dead_units` takes a hundred.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
    X : ndarray of shape (n_rows, n_features)
        A few rows are enough.
    share : float

    Returns
    -------
    bool
        False where that is not certain, and for networks with other activations than relu.
    """
    if any(kind != Activation.RELU for kind in plan.activations):
        return False
    # The largest values that a layer's sums can have bound the errors of rounding.
    largest = np.abs(X)
    for weights, biases in list(zip(*views(theta, plan.layer_units), strict=True))[:-1]:
        X, largest = X @ weights + biases, largest @ np.abs(weights) + np.abs(biases)
        is_alive = (_CERTAINLY * largest < X).any(axis=0)
        if not is_alive.mean() > share:
            return False
        X = np.maximum(X, 0)
    return True


def some_rows(X: Any, most: int, among: np.ndarray | None = None) -> Any:
    """Select rows of X, evenly spaced, since neighbouring rows are often alike.

    Parameters
    ----------
    X : ndarray, DeviceMatrix or scipy.sparse matrix of shape (n_rows, n_features)
    most : int
        Largest number of rows to select.
    among : ndarray of int or None
        Numbers of the rows to select from; None is all, and then X itself is returned where it has
        no more than `most`.

    Returns
    -------
    ndarray, DeviceMatrix or scipy.sparse matrix of shape (min(n_rows, most), n_features)
    """
    n_rows = X.shape[0] if among is None else among.size
    if n_rows <= most:
        return X if among is None else X[among]
    chosen = np.linspace(0, n_rows - 1, most).astype(np.intp)
    return X[chosen if among is None else among[chosen]]
