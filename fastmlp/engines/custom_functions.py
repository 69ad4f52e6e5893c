"""The two functions of a custom loss: copies before they are compiled, and errors that they raise.

numba compiles the values of globals and enclosed variables into a function, so that it has to be
compiled again when these have changed. The caches of the engines tell functions apart by identity.
Therefore this module makes new function objects whenever a value that they use has changed, and
returns the same objects as long as none has.
"""

import dis
import hashlib
import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from math import isfinite
from types import FunctionType
from typing import Any

import numpy as np

from ..exceptions import CustomLossError
from ..network.plan import LossFunctions
from .forks import hold_at_fork, importing

# Custom losses whose functions, and whose kernels, are kept: those that were used lately.
MOST_KEPT = 16
# The copies that were used last, by the digest of their content.
_kept: OrderedDict[bytes, tuple[FunctionType, ...]] = OrderedDict()
_lock = threading.Lock()
hold_at_fork(_lock)

NAMES = "value", "derivative"
# Largest number of targets and predictions that are searched for one without a loss.
_MOST_SEARCHED = 20_000


def frozen(functions: LossFunctions) -> tuple[FunctionType, ...]:
    """Return copies of functions, which are the same while nothing that they use has changed.

    Parameters
    ----------
    functions : tuple of functions
        Value and derivative of a loss.

    Returns
    -------
    tuple of functions

    Raises
    ------
    ValueError
        When one is no Python function, or can raise an exception, which compiled kernels cannot.
    """
    copies = tuple(_copy(name, f) for name, f in zip(NAMES, functions, strict=True))
    for name, function in zip(NAMES, copies, strict=True):
        _check_cannot_raise(name, function)
    content = _content(copies)
    if content is None:
        return copies
    with _lock:
        copies = _kept.setdefault(content, copies)
        _kept.move_to_end(content)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return copies


def _copy(name: str, function: Any) -> FunctionType:
    """Copy a Python function, or the one that numba has compiled."""
    function = getattr(function, "py_func", function)
    if not isinstance(function, FunctionType):
        raise ValueError(
            f"the {name} function of the custom loss must be made by def or lambda, or by "
            f"numba.njit, got a {type(function).__name__}"
        )
    copy = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__module__ = "__main__"  # so that its content is pickled, not its name
    return copy


def _content(functions: tuple[FunctionType, ...]) -> bytes | None:
    """Compute a digest of functions and all values that they use; None where that fails."""
    with importing:
        from ._numba import cloudpickle  # imported here, since other losses need no numba

    if cloudpickle is None:
        return None
    try:
        return hashlib.sha256(b"".join(map(cloudpickle.dumps, functions))).digest()
    except Exception:  # an object's own pickling may raise anything
        return None


def _check_cannot_raise(name: str, function: Any, seen: tuple[Any, ...] = ()) -> None:
    """Raise ValueError where a function, or one that it calls, can raise an exception."""
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


def failure(
    functions: LossFunctions, number: int, y: Any, p: Any, compiled: Callable[[], Any] | None = None
) -> CustomLossError:
    """Make the error that says which function of a custom loss raised which exception, and when.

    Parameters
    ----------
    functions : tuple of functions
    number : int
        The number of the function in NAMES.
    y, p : numpy number
        Target and prediction, to which the function is applied once more to get the exception.
    compiled : callable or None
        Applies the compiled function to both, for the case that Python raises nothing.

    Returns
    -------
    CustomLossError
        What the function raised is its cause.
    """
    function = functions[number]
    cause: BaseException | None = None
    for call in (lambda: function(y, p), compiled):
        if call is not None and cause is None:
            try:
                with np.errstate(all="ignore"):
                    call()
            except Exception as error:  # whatever the user's function raises
                cause = error
    raised = "an exception" if cause is None else type(cause).__name__
    if cause is not None and str(cause):
        raised += f": {' '.join(str(cause).split())}"
    found = CustomLossError(
        f"{_described(functions, number)} cannot be computed for target {y:.6g} and prediction "
        f"{p:.6g} ({raised}); it must return a number for every target and prediction"
    )
    found.__cause__ = cause
    return found


def _described(functions: LossFunctions, number: int) -> str:
    name = getattr(functions[number], "__name__", "<lambda>")
    called = "" if name == "<lambda>" else f" `{name}`"
    return f"the {NAMES[number]} function{called} of the custom loss"


def without_number(functions: LossFunctions, Y: np.ndarray, P: np.ndarray) -> str | None:
    """Look for a target and a prediction for which a custom loss gives no finite number.

    Parameters
    ----------
    functions : tuple of functions
    Y, P : ndarray of shape (n_rows, n_outputs)
        Targets and predictions, of which the first 20 000 are tried.

    Returns
    -------
    str or None
        What was found, in words; None where nothing was.
    """
    functions = tuple(getattr(function, "py_func", function) for function in functions)
    pairs = zip(Y.ravel(), P.ravel(), strict=True)
    with np.errstate(all="ignore"):
        for y, p in islice(pairs, _MOST_SEARCHED):
            for number, function in enumerate(functions):
                try:
                    result = function(y, p)
                    is_finite = isfinite(result)
                except Exception as error:  # whatever the user's function raises
                    result, is_finite = type(error).__name__, False
                if not is_finite and isfinite(p):
                    what = _described(functions, number)
                    return f"{what} gives {result} for target {y:.6g} and prediction {p:.6g}"
    return None
