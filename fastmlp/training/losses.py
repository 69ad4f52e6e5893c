"""The training losses in plain numpy, for rows that are not trained on."""

import numpy as np
from scipy.special import xlogy

from ..network.plan import Loss


def _squared_error(plan, Y, P):
    return ((P - Y) ** 2 / 2).mean(axis=1)


def _poisson(plan, Y, P):
    return (xlogy(Y, Y) - xlogy(Y, P) - Y + P).sum(axis=1)


def _cross_entropy(plan, Y, P):
    return -xlogy(Y, _clipped(plan, P)).sum(axis=1)


def _binary_cross_entropy(plan, Y, P):
    P = _clipped(plan, P)
    return -(xlogy(Y, P) + xlogy(1 - Y, 1 - P)).sum(axis=1)


def _absolute_error(plan, Y, P):
    return np.abs(P - Y).sum(axis=1)


def _huber(plan, Y, P):
    e, limit = np.abs(P - Y), np.array(plan.loss_parameters)
    return np.where(e <= limit, e * e / 2, limit * (e - limit / 2)).sum(axis=1)


def _quantile(plan, Y, P):
    e, levels = Y - P, np.array(plan.loss_parameters)
    return np.maximum(levels * e, (levels - 1) * e).sum(axis=1)


def _margin(plan, Y, P):
    own = np.where(Y > 0, P, 0).sum(axis=1)
    other = np.where(Y > 0, 0, P).max(axis=1)
    return np.maximum(0, 1 - (own - other) / plan.loss_parameters[0])


def _binary_margin(plan, Y, P):
    own = np.where(Y > 0, P, 1 - P)
    return np.maximum(0, 1 - (2 * own - 1) / plan.loss_parameters[0]).sum(axis=1)


def _custom(plan, Y, P):
    from ..engines.cpu.custom_loss import compile_custom  # late: it imports numba

    result = np.empty(len(Y))
    compile_custom(plan.custom_loss).row_losses(Y, P, result)
    return result


def _clipped(plan, probabilities):
    epsilon = np.finfo(plan.dtype).eps
    return np.clip(probabilities, epsilon, 1 - epsilon)


# One function for each loss: (plan, targets, output activations) to one number for each row, both
# float64 of shape (n_rows, n_outputs). The plan has the constants of a loss.
_ROW_LOSSES = {
    Loss.SQUARED_ERROR: _squared_error,
    Loss.POISSON: _poisson,
    Loss.CROSS_ENTROPY: _cross_entropy,
    Loss.BINARY_CROSS_ENTROPY: _binary_cross_entropy,
    Loss.ABSOLUTE_ERROR: _absolute_error,
    Loss.HUBER: _huber,
    Loss.QUANTILE: _quantile,
    Loss.MARGIN: _margin,
    Loss.BINARY_MARGIN: _binary_margin,
    Loss.CUSTOM: _custom,
}


def mean_loss(plan, Y, outputs, sample_weight=None):
    """Mean loss of predictions, of the kind that training minimises, without penalties.

    Parameters
    ----------
    plan : TrainingPlan
    Y : ndarray of shape (n_rows, n_outputs)
        Targets as they are trained on.
    outputs : ndarray of shape (n_rows, n_outputs)
        Activations of the output layer.
    sample_weight : ndarray of shape (n_rows,) or None

    Returns
    -------
    float
        In float64; not a number where outputs are not finite.
    """
    if not np.isfinite(outputs).all():
        return np.nan
    with np.errstate(over="ignore"):  # infinity is the right word for it
        rows = _ROW_LOSSES[plan.loss](plan, Y.astype(np.float64), outputs.astype(np.float64))
        return float(np.average(rows, weights=sample_weight))
