"""Checks and copies of a custom loss's two functions, before they are compiled.

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
from types import FunctionType
from typing import Any

from ..network.plan import LossFunctions
from .forks import hold_at_fork

# Custom losses whose functions, and whose kernels, are kept: those that were used lately.
MOST_KEPT = 16
# The copies that were used last, by the digest of their content.
_kept: OrderedDict[bytes, tuple[FunctionType, ...]] = OrderedDict()
_lock = threading.Lock()
hold_at_fork(_lock)

NAMES = "value", "derivative"


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
