"""The training losses in plain numpy, for rows that are not trained on."""

import numpy as np
from scipy.special import xlogy

from .plan import Loss


def _squared_error(plan, Y, P):
    return ((P - Y) ** 2 / 2).mean(axis=1)


def _poisson(plan, Y, P):
    return (xlogy(Y, Y) - xlogy(Y, P) - Y + P).sum(axis=1)


def _cross_entropy(plan, Y, P):
    return -xlogy(Y, _clipped(plan, P)).sum(axis=1)


def _binary_cross_entropy(plan, Y, P):
    P = _clipped(plan, P)
    return -(xlogy(Y, P) + xlogy(1 - Y, 1 - P)).sum(axis=1)


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
