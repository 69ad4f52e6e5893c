"""Losses given as two functions of target and prediction, compiled when a network needs them.

A function may raise an exception, such as an IndexError where a target has no entry in a table.
Kernels cannot raise it. They note the first element of the batch for which it happened in the
setting FAILED_AT: twice the number of the element, plus the number of the function in NAMES.
Training then stops before the step changes a weight; see :func:`raise_failure`.
"""

import dis
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numba import from_dtype, njit, types
from numba.extending import intrinsic

from ...network.plan import LossFunctions
from .._numba import Dispatcher, NumbaError, TypingError, own_machine_code, result_of
from ..custom_functions import MOST_KEPT, NAMES, failure
from . import layout as at
from .indirect_call import address
from .jit import compile_entry, compile_variant
from .jobs import N_SUMS
from .row_reductions import row_sums
from .slots import LOSSES
from .views import view

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "boundscheck": True,  # otherwise an index out of range reads any memory
}
_NUMBERS = types.Integer | types.Float | types.Boolean


class CustomLoss(NamedTuple):
    """The compiled functions of a custom loss."""

    kernel: Dispatcher
    """The kernel of the slot LOSSES; see :func:`fastmlp.engines.cpu.outputs.loss_kernel`."""
    value: Dispatcher
    """The loss as a function of target and prediction."""


@lru_cache(maxsize=MOST_KEPT)
def compile_custom(functions: LossFunctions, dtype: np.dtype) -> CustomLoss:
    """Compile a custom loss, or return the result of an earlier call.

    Parameters
    ----------
    functions : tuple of functions
        Value and derivative, as :func:`fastmlp.engines.custom_functions.frozen` returns them.
    dtype : numpy.dtype
        The type of the network's numbers.

    Returns
    -------
    CustomLoss
        Its machine code is freed together with it.

    Raises
    ------
    ValueError
        When numba cannot compile a function, or one does not return a number.
    """
    real = from_dtype(dtype)
    with own_machine_code():
        value, derivative = (
            _compile(name, f, real) for name, f in zip(NAMES, functions, strict=True)
        )
        kernel = _losses_kernel(value, derivative)
        address(LOSSES, kernel, dtype)
    return CustomLoss(kernel, value)


def _options(function: Callable[..., Any]) -> dict[str, Any]:
    """Return numba's options for a function of a custom loss.

    Divisions by zero are infinite or NaN, as in NumPy. Where a function rounds them, or takes
    remainders, they raise ZeroDivisionError: for integers the result would be 0.
    """
    rounds = any(
        step.opname == "BINARY_OP" and step.argrepr.rstrip("=") in ("//", "%")
        for step in dis.get_instructions(function)
    )
    return {"error_model": "python" if rounds else "numpy", **_OPTIONS}


def _compile(name: str, function: Callable[..., Any], real: Any) -> Dispatcher:
    """Compile one function of a custom loss, and check what it returns.

    Parameters
    ----------
    name : {'value', 'derivative'}
        What the function computes, for messages.
    function : function
    real : numba type
        The type of target and prediction.

    Returns
    -------
    numba dispatcher

    Raises
    ------
    ValueError
        When numba cannot compile the function, or it does not return a number.
    """
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **_options(function)}
    compiled = njit(**options)(function)
    try:
        compiled.compile((real, real))
    except (NumbaError, TypeError) as error:
        reason = " ".join(str(error).split("During:")[0].split())
        raise ValueError(
            f"the {name} function of the custom loss cannot be compiled by numba, as a function "
            f"of two numbers, target and prediction: {reason}"
        ) from error
    (result,) = compiled.nopython_signatures
    if not isinstance(result.return_type, _NUMBERS):
        raise ValueError(
            f"the {name} function of the custom loss must return a number, not {result.return_type}"
        )
    return compiled


@intrinsic
def attempt(typing_context, function, y, p):
    """Call a function of a custom loss, which may raise an exception.

    Parameters
    ----------
    function : numba dispatcher
    y, p : float
        Target and prediction.

    Returns
    -------
    is_error : bool
        Whether the function has raised an exception.
    result : number
        What it has returned otherwise.
    """
    called = function.get_call_type(typing_context, (y, p), {})
    if not isinstance(called.return_type, _NUMBERS):
        raise TypingError(f"the function returns {called.return_type}, which is no number")
    returned = types.Tuple((types.boolean, called.return_type))

    def codegen(context, builder, signature, values):
        is_error, result = result_of(
            context, builder, function.dispatcher, called, [values[1], values[2]]
        )
        is_error = context.cast(builder, is_error, types.boolean, types.boolean)
        return context.make_tuple(builder, returned, [is_error, result])

    return returned(function, y, p), codegen


@intrinsic
def _lower(typing_context, array, index, number):
    """Replace an element of an int64 array by a number that is lower, as an atomic step.

    Parameters
    ----------
    array : vector of int64
        Modified in place.
    index, number : int
    """

    def codegen(context, builder, signature, values):
        data = context.make_array(array)(context, builder, values[0]).data
        number = context.cast(builder, values[2], signature.args[2], types.int64)
        builder.atomic_rmw("min", builder.gep(data, [values[1]]), number, "seq_cst")
        return context.get_dummy_value()

    return types.void(array, index, number), codegen


def _losses_kernel(value: Dispatcher, derivative: Dispatcher) -> Dispatcher:
    """Make the kernel of the slot LOSSES.

    Where a function raises an exception the kernel ends, and leaves the prediction of that element
    in place. Functions are not applied to the zeros of padding, for which they need not be defined.
    """

    @compile_variant("custom")
    def losses_and_deltas(
        arena, settings, targets, predictions, row_stride, n_rows, n_columns, sums, to
    ):  # fmt: skip
        n = n_rows * row_stride
        length, apart = n_columns, row_stride
        if 2 * n_columns > row_stride:
            # Whole vectors are faster, so that padding becomes a copy of the last output.
            length = apart = n
            y, p = view(arena, targets, n), view(arena, predictions, n)
            for row in range(n_rows):
                last = row * row_stride + n_columns - 1
                for j in range(last + 1, (row + 1) * row_stride):
                    y[j], p[j] = y[last], p[last]
        for first in range(0, n, apart):
            y, p = view(arena, targets + first, length), view(arena, predictions + first, length)
            for j in range(length):
                no_loss, loss = attempt(value, y[j], p[j])
                no_slope, slope = attempt(derivative, y[j], p[j])
                if no_loss or no_slope:
                    row = to - N_SUMS + (first + j) // row_stride
                    element = row * n_columns + (first + j) % row_stride
                    _lower(settings, at.FAILED_AT, 2 * element + (0 if no_loss else 1))
                    return
                y[j] = loss
                p[j] = slope
        row_sums(arena, targets, row_stride, n_rows, n_columns, sums, to)

    return losses_and_deltas


@lru_cache(MOST_KEPT)
def row_losses_kernel(functions: LossFunctions) -> Dispatcher:
    """Make the kernel that computes the losses of rows that are not trained on.

    Parameters
    ----------
    functions : tuple of functions
        As for :func:`compile_custom`.

    Returns
    -------
    numba dispatcher
        ``(Y, P, result)``, where Y and P are matrices of float64. The loss of each row is written
        to the vector `result`. It returns the number of the first element whose value raised an
        exception, or -1.
    """
    value = compile_custom(functions, np.dtype(np.float64)).value

    def row_losses(Y, P, result):
        for row in range(Y.shape[0]):
            total = 0.0
            for j in range(Y.shape[1]):
                no_loss, loss = attempt(value, Y[row, j], P[row, j])
                if no_loss:
                    return row * Y.shape[1] + j
                total += loss
            result[row] = total
        return -1

    matrix = types.Array(types.float64, 2, "C")
    with own_machine_code():
        kernel = compile_entry(row_losses)
        kernel.compile((matrix, matrix, types.Array(types.float64, 1, "C")))
    return kernel


def raise_failure(functions: LossFunctions, number: int, y: Any, p: Any) -> NoReturn:
    """Raise what a function of a custom loss raises, as a clear error.

    Parameters
    ----------
    functions : tuple of functions
    number : int
        The number of the function in NAMES.
    y, p : numpy number
        Target and prediction.

    Raises
    ------
    CustomLossError
    """
    function = functions[number]
    raise failure(functions, number, y, p, lambda: njit(**_options(function))(function)(y, p))
