"""The two functions of a custom loss, before either compiler sees them.

numba compiles the values of globals and enclosed variables into a function, so that a function is
another one when these have changed. Engines and their caches tell functions by identity: here each
content gets function objects of its own.
"""

import dis
import hashlib
import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable
from types import FunctionType
from typing import Any

_MOST_KEPT = 16
_kept: OrderedDict[bytes, tuple[FunctionType, ...]] = OrderedDict()  # the latest ones
_lock = threading.Lock()

NAMES = "value", "derivative"


def frozen(functions: tuple[Callable, ...]) -> tuple[FunctionType, ...]:
    """Return copies of functions: the same objects as long as nothing that they use has changed.

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
        Where one is no Python function, or could raise: compiled kernels cannot.
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
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return copies


def _copy(name: str, function: Any) -> FunctionType:
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
    copy.__module__ = "__main__"  # which makes it be pickled by what it says
    return copy


def _content(functions: tuple[FunctionType, ...]) -> bytes | None:
    """Digest functions with all values that they use; None where an object has no content."""
    from ._numba import cloudpickle  # late: an ordinary fit needs no custom loss

    if cloudpickle is None:
        return None
    try:
        return hashlib.sha256(b"".join(map(cloudpickle.dumps, functions))).digest()
    except Exception:  # whatever an object's own pickling raises
        return None


def _check_cannot_raise(name: str, function: Any, seen: tuple = ()) -> None:
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
