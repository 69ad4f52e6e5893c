"""Losses given as two functions of target and prediction, compiled when a network needs them."""

import dis
import hashlib
import inspect
import threading
from collections import OrderedDict
from types import FunctionType
from typing import NamedTuple

from numba import njit, types

from .._numba import Dispatcher, NumbaError, cloudpickle
from .jit import compile_inline
from .outputs import elementwise_kernel

_MOST_KEPT = 16
_kept = OrderedDict()  # by what the functions say: the latest ones
_lock = threading.Lock()


class CustomLoss(NamedTuple):
    """What is compiled of a custom loss."""

    kernel: Dispatcher
    """As :func:`fastmlp.engines.cpu.outputs.loss_kernel` makes them."""
    row_losses: Dispatcher
    """``row_losses(Y, P, result)`` writes the loss of each row."""
    functions: tuple
    """The functions, as objects of their own: others where the content differs."""


def compile_custom(functions):
    """Compile a custom loss, or find it where it was compiled lately.

    numba compiles the values of globals and enclosed variables into a function, so that a
    function is another one when these have changed.

    Parameters
    ----------
    functions : tuple of functions
        Value and derivative.

    Returns
    -------
    CustomLoss
        Its machine code lives as long as this.

    Raises
    ------
    ValueError
        Where a function is none that numba can compile, can raise, or returns no number.
    """
    functions = tuple(_copy(name, f) for name, f in zip(_NAMES, functions, strict=True))
    key = _content(functions)
    with _lock:
        if key is not None and key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    value, derivative = (_compile(name, f) for name, f in zip(_NAMES, functions, strict=True))
    # The cache on disk knows kernels by their names, and these functions may be any.
    result = CustomLoss(
        elementwise_kernel(value, derivative, "custom", is_cached=False),
        _row_losses(value),
        functions,
    )
    if key is not None:
        with _lock:
            _kept[key] = result
            while len(_kept) > _MOST_KEPT:
                _kept.popitem(last=False)
    return result


_NAMES = "value", "derivative"


def _copy(name, function):
    function = getattr(function, "py_func", function)
    if not isinstance(function, FunctionType):
        raise ValueError(
            f"the {name} function of the custom loss must be made by def or lambda, or by "
            f"numba.njit, got a {type(function).__name__}"
        )
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__,
        function.__closure__,
    )  # fmt: skip
    copy.__module__ = "__main__"  # which makes it be pickled by what it says
    return copy


def _content(functions):
    """A digest of functions and of all values that they use; None where there is none."""
    if cloudpickle is None:
        return None
    try:
        return hashlib.sha256(b"".join(map(cloudpickle.dumps, functions))).digest()
    except Exception:  # whatever an object's own pickling raises
        return None


def _compile(name, function):
    _check_cannot_raise(name, function)
    compiled = compile_inline(function)
    try:
        compiled.compile((types.float64, types.float64))
    except (NumbaError, TypeError) as error:
        reason = " ".join(str(error).split("During:")[0].split())
        raise ValueError(
            f"the {name} function of the custom loss cannot be compiled by numba, as a function "
            f"of two numbers, target and prediction: {reason}"
        ) from error
    (result,) = compiled.nopython_signatures
    if not isinstance(result.return_type, types.Integer | types.Float | types.Boolean):
        raise ValueError(
            f"the {name} function of the custom loss must return a number, not {result.return_type}"
        )
    return compiled


def _check_cannot_raise(name, function, seen=()):
    """Raise ValueError where a function, or one that it calls, can raise: kernels cannot."""
    function = getattr(function, "py_func", function)
    if not isinstance(function, FunctionType) or function in seen:
        return
    if any(step.opname == "RAISE_VARARGS" for step in dis.get_instructions(function)):
        raise ValueError(
            f"the {name} function of the custom loss raises or asserts in {function.__name__}, "
            "which compiled training cannot; return math.nan instead, which ends training"
        )
    used = inspect.getclosurevars(function)
    for callee in (*used.globals.values(), *used.nonlocals.values()):
        _check_cannot_raise(name, callee, (*seen, function))


def _row_losses(value):
    @njit(nogil=True, error_model="numpy")
    def row_losses(Y, P, result):
        for row in range(Y.shape[0]):
            total = 0.0
            for column in range(Y.shape[1]):
                total += value(Y[row, column], P[row, column])
            result[row] = total

    return row_losses
