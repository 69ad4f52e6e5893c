"""Losses of rows that are not trained on, computed in float64 by the formulas of training."""

from functools import cache, lru_cache
from typing import Any

import numpy as np
from numba import cuda

from ...network.formulas import losses
from ...network.plan import Loss, TrainingPlan
from ..custom_functions import MOST_KEPT
from .blocks import THREADS
from .custom_loss import check_row_losses, custom_functions, number_or_nan
from .elements import load, store
from .jit import Function, compile_device, compile_formula, compile_kernel, inside_kernels
from .specialization import Specialization

# Largest number of rows of one launch.
_ROWS = 16384

margin = compile_formula(losses.margin)


def row_losses(plan: TrainingPlan, Y: np.ndarray, outputs: np.ndarray, n_blocks: int) -> np.ndarray:
    """Compute the loss of each row, which is the sum over its outputs.

    For the squared error it is the mean over the outputs.

    Parameters
    ----------
    plan : TrainingPlan
        The loss and its parameters; probabilities are clipped by the machine epsilon of the plan's
        dtype.
    Y : ndarray of shape (n_rows, n_outputs)
        Targets as they are trained on.
    outputs : ndarray of shape (n_rows, n_outputs)
        Activations of the output layer, all finite.
    n_blocks : int
        Largest number of blocks of a launch.

    Returns
    -------
    ndarray of shape (n_rows,), float64
        Infinite where a loss overflows.

    Raises
    ------
    CustomLossError
        When the value of a custom loss raises an exception.
    """
    if plan.custom_loss is not None:
        kernel = _custom_kernel(*plan.custom_loss)
    else:
        kernel = _kernel(Loss(plan.loss))
    parameters = cuda.to_device(plan.row_loss_parameters())
    result = np.empty(len(outputs))
    for start in range(0, len(outputs), _ROWS):
        y, p = (
            cuda.to_device(np.array(array[start : start + _ROWS], np.float64).ravel())
            for array in (Y, outputs)
        )
        found = cuda.device_array(min(_ROWS, len(outputs) - start), np.float64)
        n_needed = -(-found.size // THREADS)
        kernel[min(n_blocks, n_needed), THREADS](y, p, parameters, found)
        result[start : start + _ROWS] = found.copy_to_host()
    if plan.custom_loss is not None:
        check_row_losses(plan.custom_loss, Y, outputs, result)
    return result / plan.n_outputs if plan.loss == Loss.SQUARED_ERROR else result


@cache
def _kernel(loss: Loss) -> Any:
    """Make the kernel ``(Y, P, parameters, result)`` of a loss; each thread computes whole rows."""
    specialization = Specialization(frozenset(), frozenset([loss]))
    if loss == Loss.MARGIN:
        return _compiled(_margin_of_row, specialization)
    value = compile_formula(losses.value_of(loss))
    if not (loss.clips_probabilities or loss.has_parameter):
        value = _with_parameter(value)
    return _compiled(_sum_over_outputs(value), specialization)


@lru_cache(MOST_KEPT)
def _custom_kernel(value: Function, derivative: Function) -> Any:
    """Make the kernel ``(Y, P, parameters, result)`` of a custom loss."""
    specialization = Specialization(
        frozenset(), frozenset([Loss.CUSTOM]), custom_loss=(value, derivative)
    )
    compiled, _ = custom_functions(value, derivative)

    @compile_device
    def value_or_nan(y, p, parameter):
        return number_or_nan(compiled, y, p, parameter)

    return _compiled(_sum_over_outputs(value_or_nan), specialization)


def _compiled(loss_of_row: Function, specialization: Specialization) -> Any:
    """Make the kernel that calls a function ``(Y, P, parameters, start)`` for each row."""

    @compile_kernel(specialization)
    def row_losses(Y, P, parameters, result):
        first = inside_kernels.grid(1)
        for row in range(first, result.size, inside_kernels.gridsize(1)):
            store(result, row, loss_of_row(Y, P, parameters, row * parameters.size))

    return row_losses


def _with_parameter(value: Function) -> Function:
    """Add a third argument, which is ignored, to a function of target and prediction."""

    @compile_device
    def value_with_parameter(y, p, parameter):
        return value(y, p)

    return value_with_parameter


def _sum_over_outputs(value: Function) -> Function:
    """Make the function ``(Y, P, parameters, start)`` that sums the losses of a row's outputs.

    The row begins at element `start` of both matrices.
    """

    @compile_device
    def loss_of_row(Y, P, parameters, start):
        total = 0.0
        for j in range(parameters.size):
            total += value(load(Y, start + j), load(P, start + j), load(parameters, j))
        return total

    return loss_of_row


@compile_device
def _margin_of_row(Y, P, parameters, start):
    """Compute the margin loss of the row that begins at element `start` of both matrices."""
    own = other = 0.0
    for j in range(parameters.size):
        p = load(P, start + j)
        if load(Y, start + j) != 0:
            own = p
        elif p > other:
            other = p
    return margin(own, other, load(parameters, 0))
