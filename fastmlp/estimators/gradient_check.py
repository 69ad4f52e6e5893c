"""check_gradient, which compares backpropagation with central differences."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from ..engines.devices import open_engine
from ..engines.engine import Data
from ..network.plan import Loss, TrainingPlan
from ..network.weights import checked, flatten, initialise, penalty, views
from . import inputs, planning
from ._sklearn import validate_parameters
from .base import BaseMLP


class Objective(NamedTuple):
    """The objective that training follows, as a function of the parameters.

    Parameters
    ----------
    plan : TrainingPlan
        A plan with the optimiser ``GRADIENT``, in float64, and with all rows in a batch.
    theta : ndarray of shape (n_parameters,)
        The parameters of the network.
    data : Data
    """

    plan: TrainingPlan
    theta: np.ndarray
    data: Data


def objective_of(estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> Objective:
    """Return the objective of an estimator for some rows, without a change of the estimator.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        If it is fitted the objective has its weights and classes, otherwise the initial weights
        that its ``random_state`` gives.
    X : array-like of shape (n_rows, n_features)
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
    sample_weight : array-like of shape (n_rows,), optional

    Returns
    -------
    Objective

    Raises
    ------
    TypeError
        For another kind of estimator.
    """
    if not isinstance(estimator, BaseMLP):
        raise TypeError(
            "gradients are checked of MLPClassifier and MLPRegressor, got "
            f"{type(estimator).__name__}"
        )
    validate_parameters(estimator)
    is_fitted = hasattr(estimator, "coefs_")
    if not is_fitted:
        estimator = type(estimator)(**estimator.get_params(deep=False))
    targets = estimator._targets()
    X, y = inputs.read_rows(estimator, X, y, reset=not is_fitted, is_numeric=targets.is_numeric)
    if is_fitted:
        targets.check_known(y, all_required=False)
    else:
        targets = targets.learned_from(y)
    X, Y = X.astype(np.float64), targets.encode(y).astype(np.float64)
    given = inputs.read_weight(sample_weight, X, dtype=np.float64)
    weight = targets.row_weight(y, given)
    if is_fitted:
        coefs, intercepts = checked(estimator.coefs_, estimator.intercepts_)
        units = planning.plan_of_weights(estimator, coefs).layer_units
        theta = flatten(coefs, intercepts, np.float64)
    else:
        units = (X.shape[1], *planning.hidden_units(estimator), Y.shape[1])
        rng = check_random_state(estimator.random_state)
        activation = planning.activations(estimator, len(units) - 2)
        theta = initialise(units, activation, rng, np.float64, estimator.init)
    plan = planning.objective_plan(estimator, targets, units, np.float64, X.shape[0])
    return Objective(plan, theta, Data(X, targets.to_train(Y), weight))


def analytic_gradient(objective: Objective) -> np.ndarray:
    """Compute the gradient of an objective by backpropagation, in the compiled kernels."""
    with open_engine("cpu", *objective) as engine:
        return engine.loss_and_gradient(objective.theta)[1]


def numerical_gradient(
    objective: Callable[[np.ndarray], float], theta: np.ndarray, step: float = 1e-5
) -> np.ndarray:
    """Compute central differences, (f(x + h) - f(x - h)) / 2h, for one coordinate after the other.

    Parameters
    ----------
    objective : callable
        Maps a vector like `theta` to a float.
    theta : ndarray of shape (n_parameters,), float64
    step : float
        The difference h, as a multiple of max(1, abs(x)).

    Returns
    -------
    ndarray of shape (n_parameters,)
    """
    gradient = np.empty_like(theta)
    moved = theta.copy()
    for i, centre in enumerate(theta):
        h = step * max(1.0, abs(centre))
        moved[i] = centre + h
        above = objective(moved)
        moved[i] = centre - h
        gradient[i] = (above - objective(moved)) / (2 * h)
        moved[i] = centre
    return gradient


def check_gradient(estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
    """Compare the gradient of an estimator's network with central differences.

    All rows of `X` are one batch, in float64. A fitted estimator is checked at its weights,
    another one at the initial weights that its ``random_state`` gives. The estimator is not
    modified. The objective is the one that training minimises, which for several regression
    outputs is the sum of their squared errors, although the reported loss is their mean. With
    dropout both gradients are computed with the same mask.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    X : array-like of shape (n_samples, n_features)
        Few rows are enough: the cost is two passes over them for each parameter of the network.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : array-like of shape (n_samples,), optional

    Returns
    -------
    float
        The largest relative error over all weight matrices and bias vectors,
        ``norm(a - n) / max(norm(a), norm(n))`` of the analytic and the numerical gradient.
        Below 1e-6 the gradient is right; above 1e-4 it is wrong, or the network sits on a
        kink of its activation.
    """
    objective = objective_of(estimator, X, y, sample_weight)
    return relative_error(objective, analytic_gradient(objective))


def relative_error(objective: Objective, gradient: np.ndarray) -> float:
    """Compare a gradient of an objective with central differences.

    Parameters
    ----------
    objective : Objective
    gradient : ndarray of shape (n_parameters,)

    Returns
    -------
    float
        What :func:`check_gradient` returns.
    """
    plan = objective.plan
    unpenalised = replace(plan, alpha=0.0, l1=0.0)
    scale = plan.n_outputs if plan.loss == Loss.SQUARED_ERROR else 1
    with open_engine("cpu", unpenalised, *objective[1:]) as engine:

        def total_loss(theta: np.ndarray) -> float:
            engine.step = 0  # so that dropout has the same masks each time
            loss, _ = engine.loss_and_gradient(theta)
            return scale * loss + penalty(theta, plan, engine.total_weight)

        numerical = numerical_gradient(total_loss, objective.theta)
    errors = [
        np.linalg.norm(a - n) / max(np.linalg.norm(a), np.linalg.norm(n), np.finfo(float).tiny)
        for a, n in zip(
            chain(*views(gradient, plan.layer_units)),
            chain(*views(numerical, plan.layer_units)),
            strict=True,
        )
    ]
    return float(max(errors))
