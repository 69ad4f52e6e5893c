"""Losses of rows that are not trained on, in float64, by the same formulas as in training."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...network.formulas import losses
from ...network.plan import Loss, TrainingPlan
from .._numba import Dispatcher
from .custom_loss import raise_failure, row_losses_kernel
from .jit import compile_formula, compile_inline, compile_variant

margin = compile_formula(losses.margin)


def row_losses(plan: TrainingPlan, Y: ArrayLike, outputs: ArrayLike) -> np.ndarray:
    """Compute the loss of each row, without weights and penalties.

    It is the sum of the losses of the row's outputs, or for the squared error their mean.

    Parameters
    ----------
    plan : TrainingPlan
        It has the loss and its parameters. Losses that clip probabilities use the machine epsilon
        of its dtype.
    Y : array-like of shape (n_rows, n_outputs)
        Targets as they are trained on.
    outputs : array-like of shape (n_rows, n_outputs)
        Activations of the output layer, all finite.

    Returns
    -------
    ndarray of shape (n_rows,), float64
        A loss that is too large for a number is infinite.

    Raises
    ------
    CustomLossError
        When the value of a custom loss raises an exception.
    """
    # The kernel is compiled for one type of array. Copies have it: they are not marked read-only.
    Y, P = (np.array(array, dtype=np.float64, order="C") for array in (Y, outputs))
    result = np.empty(len(P))
    if plan.custom_loss is not None:
        element = row_losses_kernel(plan.custom_loss)(Y, P, result)
        if element >= 0:
            raise_failure(plan.custom_loss, 0, Y.ravel()[element], P.ravel()[element])
        return result
    _kernel(Loss(plan.loss))(Y, P, plan.row_loss_parameters(), result)
    return result / plan.n_outputs if plan.loss == Loss.SQUARED_ERROR else result


@cache
def _kernel(loss: Loss) -> Dispatcher:
    """Make the kernel of a loss.

    Parameters
    ----------
    loss : Loss
        Any loss but the custom one.

    Returns
    -------
    numba dispatcher
        ``(Y, P, parameters, result)``, where Y and P are matrices of float64 with targets and
        predictions, and `parameters` is a vector of float64 with a number for each output. The
        loss of each row is written to the vector `result`.
    """
    if loss == Loss.MARGIN:
        return _margin_kernel()
    value = compile_formula(losses.value_of(loss))
    if not (loss.clips_probabilities or loss.has_parameter):
        value = _with_parameter(value)
    return compile_variant(loss.name.lower(), entry=True)(_sums_over_outputs(value))


def _with_parameter(value: Dispatcher) -> Dispatcher:
    """Make a function of target, prediction and a parameter that it ignores."""

    @compile_inline
    def value_with_parameter(y, p, parameter):
        return value(y, p)

    return value_with_parameter


def _sums_over_outputs(value: Dispatcher) -> Callable[..., Any]:
    """Make the function, not yet compiled, that sums a loss over the outputs of each row.

    Parameters
    ----------
    value : numba dispatcher
        The loss as a function of target, prediction and parameter.

    Returns
    -------
    function
        ``(Y, P, parameters, result)``, as :func:`_kernel` describes it.
    """

    def row_losses(Y, P, parameters, result):
        for row in range(Y.shape[0]):
            total = 0.0
            for j in range(Y.shape[1]):
                total += value(Y[row, j], P[row, j], parameters[j])
            result[row] = total

    return row_losses


def _margin_kernel() -> Dispatcher:
    """Make the kernel of the margin loss, which compares the outputs of a row."""

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
