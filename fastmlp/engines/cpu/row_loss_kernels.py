"""Kernels of the losses of rows that are not trained on, by the same formulas as in training."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ...network.formulas import losses
from ...network.plan import Loss
from .._numba import Dispatcher
from .jit import compile_formula, compile_inline, compile_kernel, compile_variant
from .jobs import ROW_OUTPUTS, ROW_PARAMETERS, ROW_RESULT, ROW_TARGETS
from .views import matrix_at, vector_at, vector_from

margin = compile_formula(losses.margin)


@compile_kernel
def _arrays_at(job):
    """Return the four arrays of a job of row losses."""
    arrays = vector_from(job)
    return (
        matrix_at(arrays, ROW_TARGETS, np.float64),
        matrix_at(arrays, ROW_OUTPUTS, np.float64),
        vector_at(arrays, ROW_PARAMETERS, np.float64),
        vector_at(arrays, ROW_RESULT, np.float64),
    )


@cache
def row_loss_kernel(loss: Loss) -> Dispatcher:
    """Make the kernel of a loss.

    Parameters
    ----------
    loss : Loss
        Any loss but the custom one.

    Returns
    -------
    numba dispatcher
        ``(job,)``, a pointer to the description of four arrays of float64, whose numbers are named
        in jobs.py: the matrices of targets and of predictions, a vector with a number for each
        output, and the vector that gets the loss of each row.
    """
    if loss == Loss.MARGIN:
        return _margin_kernel()
    value = compile_formula(losses.value_of(loss))
    if not (loss.clips_probabilities or loss.has_parameter):
        value = _with_parameter(value)
    return compile_variant(loss.name.lower())(_sums_over_outputs(value))


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
        ``(job,)``, as :func:`row_loss_kernel` describes it.
    """

    def row_losses(job):
        Y, P, parameters, result = _arrays_at(job)
        for row in range(Y.shape[0]):
            total = 0.0
            for j in range(Y.shape[1]):
                total += value(Y[row, j], P[row, j], parameters[j])
            result[row] = total

    return row_losses


def _margin_kernel() -> Dispatcher:
    """Make the kernel of the margin loss, which compares the outputs of a row."""

    @compile_variant("margin")
    def row_losses(job):
        Y, P, parameters, result = _arrays_at(job)
        for row in range(Y.shape[0]):
            own = other = 0.0
            for j in range(Y.shape[1]):
                if Y[row, j] != 0:
                    own = P[row, j]
                elif P[row, j] > other:
                    other = P[row, j]
            result[row] = margin(own, other, parameters[0])

    return row_losses
