"""Backpropagation against central differences."""

from dataclasses import replace
from itertools import chain

import numpy as np

from ..network.plan import Loss
from ..network.weights import penalty, views


def analytic_gradient(plan, theta, X, Y, sample_weight=None):
    """Gradient of the training objective by backpropagation, in the compiled kernels."""
    from ..engines.cpu.engine import loss_and_gradient

    return loss_and_gradient(plan, theta, X, Y, sample_weight)[1]


def numerical_gradient(objective, theta, step=1e-5):
    """Central differences: (f(x + h) - f(x - h)) / 2h for one coordinate after the other.

    Parameters
    ----------
    objective : callable
        Maps a vector like `theta` to a float.
    theta : ndarray of shape (n_parameters,), float64
    step : float
        h, relative to max(1, abs(x)).

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


def check_gradient(estimator, X, y, sample_weight=None):
    """Compare the gradient of an estimator's network with central differences.

    The whole of `X` is one batch, in float64. A fitted estimator is checked at its weights,
    another one at the initial weights that its ``random_state`` gives; it is not modified.
    The objective is the one that training follows: for several regression outputs, the sum of
    their squared errors (scikit-learn reports the mean but descends the sum). With dropout both
    gradients are those of one and the same mask.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    X : array-like of shape (n_samples, n_features)
        Few rows and a small network: the cost is two passes for each parameter.
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
    from ..engines.cpu.engine import loss_and_gradient

    plan, theta, X, Y, sample_weight = estimator._objective(X, y, sample_weight)
    unpenalised = replace(plan, alpha=0.0, l1=0.0)
    scale = plan.n_outputs if plan.loss == Loss.SQUARED_ERROR else 1
    total_weight = X.shape[0] if sample_weight is None else sample_weight.sum()

    def objective(moved):
        loss, _ = loss_and_gradient(unpenalised, moved, X, Y, sample_weight)
        return scale * loss + penalty(moved, plan, total_weight)

    analytic = analytic_gradient(plan, theta, X, Y, sample_weight)
    numerical = numerical_gradient(objective, theta)
    errors = [
        np.linalg.norm(a - n) / max(np.linalg.norm(a), np.linalg.norm(n), np.finfo(float).tiny)
        for a, n in zip(
            chain(*views(analytic, plan.layer_units)),
            chain(*views(numerical, plan.layer_units)),
            strict=True,
        )
    ]
    return float(max(errors))
