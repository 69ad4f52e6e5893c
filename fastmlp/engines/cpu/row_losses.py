"""Losses of rows that are not trained on, in float64: the formulas of training, and no deltas."""

from functools import cache, lru_cache

import numpy as np

from ...network.formulas import losses
from ...network.plan import Loss
from .custom_loss import MOST_KEPT, compile_custom
from .jit import compile_entry, compile_formula, compile_inline, compile_variant

margin = compile_formula(losses.margin)


def row_losses(plan, Y, outputs):
    """The loss of each row: the sum over its outputs, for the squared error their mean.

    Parameters
    ----------
    plan : TrainingPlan
        It has the loss and its parameters; probabilities are clipped by the machine's epsilon of
        its dtype.
    Y : array-like of shape (n_rows, n_outputs)
        Targets as they are trained on.
    outputs : array-like of shape (n_rows, n_outputs)
        Activations of the output layer, all finite.

    Returns
    -------
    ndarray of shape (n_rows,), float64
        Infinite where a loss is too large for a number.
    """
    # Copies: the kernel is compiled for arrays of one kind, which are not marked read-only.
    Y, P = (np.array(array, dtype=np.float64, order="C") for array in (Y, outputs))
    result = np.empty(len(P))
    if plan.loss == Loss.CUSTOM:
        kernel = _custom_kernel(compile_custom(plan.custom_loss).value)
    else:
        kernel = _kernel(Loss(plan.loss))
    kernel(Y, P, plan.row_loss_parameters(), result)
    return result / plan.n_outputs if plan.loss == Loss.SQUARED_ERROR else result


@cache
def _kernel(loss):
    """Makes the kernel ``(Y, P, parameters, result)`` of a loss."""
    if loss == Loss.MARGIN:
        return _margin_kernel()
    value = compile_formula(losses.value_of(loss))
    if not (loss.clips_probabilities or loss.has_parameter):
        value = _with_parameter(value)
    return compile_variant(loss.name.lower(), entry=True)(_sums_over_outputs(value))


@lru_cache(MOST_KEPT)
def _custom_kernel(value):
    """The same for a custom loss, by its compiled function."""
    return compile_entry(_sums_over_outputs(_with_parameter(value)), is_cached=False)


def _with_parameter(value):
    """A function of target, prediction and a parameter that it ignores."""

    @compile_inline
    def value_with_parameter(y, p, parameter):
        return value(y, p)

    return value_with_parameter


def _sums_over_outputs(value):
    def row_losses(Y, P, parameters, result):
        for row in range(Y.shape[0]):
            total = 0.0
            for j in range(Y.shape[1]):
                total += value(Y[row, j], P[row, j], parameters[j])
            result[row] = total

    return row_losses


def _margin_kernel():
    @compile_variant("margin", entry=True)
    def row_losses(Y, P, parameters, result):
        for row in range(Y.shape[0]):
            own = other = 0.0
            for j in range(Y.shape[1]):
                if Y[row, j] != 0:
                    own = P[row, j]
                elif P[row, j] > other:
                    other = P[row, j]
            result[row] = margin(own, other, parameters[0])

    return row_losses
