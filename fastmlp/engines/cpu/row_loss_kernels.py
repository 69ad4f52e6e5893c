"""Kernels of the losses of rows that are not trained on, by the same formulas as in training."""

from collections.abc import Callable
from functools import cache
from typing import Any

from ...network.formulas import losses
from ...network.plan import Loss
from .._numba import Dispatcher
from .jit import compile_formula, compile_inline, compile_variant

margin = compile_formula(losses.margin)


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
        ``(Y, P, parameters, result)``, as :func:`row_loss_kernel` describes it.
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
