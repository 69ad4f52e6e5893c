"""The machine code of kernels, by their names: loaded from files, or else compiled.

A kernel is looked for in three places: in the package, where the build of a wheel has put object
files; in the cache folder, where earlier processes have left what they compiled; and last in this
process, where it is found once it has been loaded or compiled. numba is imported only to compile.
"""

import ctypes
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from ...exceptions import DeviceError
from ..forks import hold_at_fork, importing
from . import objects
from .catalogue import signature
from .slots import Kind
from .vector_unit import IS_CHOSEN, LEVEL, OVERRIDE, compiler_target, runs

_PLACES = "the package", "the cache", "compiled in this process"
_PACKAGE, _CACHE, _COMPILED = _PLACES
# Where numba's calling convention wants a function's result and exception; kernels have neither.
_nothing = ctypes.create_string_buffer(64)
_NOTHING = ctypes.addressof(_nothing)
_C_TYPES = {Kind.INTEGER: ctypes.c_int64}
# The addresses of kernels by name and dtype, and the place where each was found.
_addresses: dict[tuple[str, np.dtype], int] = {}
_places: dict[tuple[str, np.dtype], str] = {}
_functions: dict[tuple[str, np.dtype], Any] = {}
# The dtypes whose object in the package was looked for, with the reason why it is not used.
_looked_for: dict[np.dtype, str] = {}
# Whether the loaded kernels can be called by what numba compiles; see share_with_compiler.
_is_shared = False
# What empties the caches that have addresses of kernels in other modules.
_clear: list[Callable[[], None]] = []
# Held while a kernel is looked for, which a child that is forked meanwhile has to do itself.
_lock = threading.RLock()
hold_at_fork(_lock)


class _Cached(Protocol):
    """A function that :func:`functools.lru_cache` has made."""

    def cache_clear(self) -> None: ...


_C = TypeVar("_C", bound=_Cached)


def holds_addresses(cached: _C) -> _C:
    """Let a cached function forget its results together with the addresses of kernels.

    Parameters
    ----------
    cached : function that :func:`functools.lru_cache` has made

    Returns
    -------
    function
        The same one.
    """
    _clear.append(cached.cache_clear)
    return cached


def is_just_in_time() -> bool:
    """Tell whether the user wants every kernel to be compiled in this process."""
    return os.environ.get("FASTMLP_JIT", "0") not in ("", "0")


def address(name: str, dtype: np.dtype) -> int:
    """Return the address of a kernel, which is loaded or compiled where it is not there yet.

    Parameters
    ----------
    name : str
        A name of :mod:`fastmlp.engines.cpu.catalogue`.
    dtype : numpy.dtype
        The type of the network's numbers.

    Returns
    -------
    int
        It can be used as long as the process lives.
    """
    found = _addresses.get((name, dtype))
    if found is not None:
        return found
    with _lock:
        if (name, dtype) not in _addresses:
            _find(name, dtype)
        return _addresses[name, dtype]


def require_level() -> None:
    """Raise an error where the user has chosen a level that this processor cannot run.

    Raises
    ------
    DeviceError
        When the user has chosen a level whose code this processor cannot run.
    """
    if IS_CHOSEN and LEVEL is not None and not runs(LEVEL):
        raise DeviceError(
            f"this processor does not run the code of {LEVEL}; set {OVERRIDE} to a lower level, "
            "or unset it"
        )


def _find(name: str, dtype: np.dtype) -> None:
    """Look for a kernel in all places, and note its address.

    Raises
    ------
    DeviceError
        When the user has chosen a level whose code this processor cannot run.
    """
    require_level()
    if is_just_in_time():
        _compile(name, dtype)
        return
    if dtype not in _looked_for:
        why_not_from_package(dtype)
        if (name, dtype) in _addresses:
            return
    found = objects.from_cache(name, dtype)
    if found is not None:
        _note(name, dtype, found, _CACHE)
    else:
        _compile(name, dtype)


def why_not_from_package(dtype: np.dtype) -> str:
    """Load the kernels of a dtype that the package has, once.

    Parameters
    ----------
    dtype : numpy.dtype

    Returns
    -------
    str
        Why they are not used; empty where they are.
    """
    with _lock:
        if dtype not in _looked_for:
            found, _looked_for[dtype] = {}, ""
            try:
                found = objects.from_package(dtype)
            except objects.UnusableError as error:
                _looked_for[dtype] = str(error)
            for name, place in found.items():
                _note(name, dtype, place, _PACKAGE)
        return _looked_for[dtype]


def _note(name: str, dtype: np.dtype, found: int, place: str) -> None:
    _places[name, dtype] = place
    _addresses[name, dtype] = found


def _compile(name: str, dtype: np.dtype) -> None:
    """Compile a kernel, and write it to the cache."""
    with without_collections():
        with importing:
            from .. import _numba  # first, as it says what is wrong with numba
            from .compilation import compile_named

        _numba.require_compiler()
        compiled = compile_named(name, dtype)
    _note(name, dtype, compiled.address, _COMPILED)
    is_usual = _numba.has_usual_settings() and _numba.compiles_for() == compiler_target()
    if is_usual and compiled.code and not is_just_in_time():
        objects.to_cache(name, dtype, compiled.code, compiled.symbol)


@contextmanager
def without_collections() -> Iterator[None]:
    """Return a context in which Python does not look for garbage in circles.

    While numba compiles, that search takes an eighth of the time, and finds nothing.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def share_with_compiler() -> None:
    """Make sure that what numba compiles in this process can be called by the loaded kernels.

    Kernels call each other in numba's own way, which another version of numba may have changed.
    Where the package's kernels are of another version, kernels are looked for elsewhere from now
    on. Those that networks use already stay, each with all that it calls.
    """
    global _is_shared
    with _lock:
        if _is_shared:  # whatever was loaded since then was looked at
            return
        objects.require_this_numba()
        for dtype, reason in _looked_for.items():
            if not reason and (refusal := objects.why_not_in_package(dtype)):
                _looked_for[dtype] = refusal
                for key in [key for key in _addresses if key[1] == dtype]:
                    if _places[key] == _PACKAGE:
                        del _addresses[key]
                        _functions.pop(key, None)
                for clear in _clear:
                    clear()
        _is_shared = True


def function(name: str, dtype: np.dtype) -> Any:
    """Return a kernel as a function that Python can call with integers and addresses.

    It lets go of the interpreter lock during a call.

    Parameters
    ----------
    name : str
        The name of a kernel whose arguments are integers and pointers.
    dtype : numpy.dtype

    Returns
    -------
    callable
    """
    known = _functions.get((name, dtype))
    if known is not None:
        return known
    types = [_C_TYPES.get(kind, ctypes.c_void_p) for kind in signature(name)]
    made = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *types)
    with _lock:
        called = partial(made(address(name, dtype)), _NOTHING, _NOTHING)
        return _functions.setdefault((name, dtype), called)


class Entry:
    """A kernel that a team of threads calls, with the addresses of its arrays.

    To ask an array for its address takes longer than a call.

    Parameters
    ----------
    name : {'train', 'predict', 'differentiate'}
    arena : ndarray of shape (n_elements,)
        It has the network's dtype.
    job : ndarray of shape (n,), int64
    """

    def __init__(self, name: str, arena: np.ndarray, job: np.ndarray) -> None:
        self._function = function(name, arena.dtype)
        self._arrays = arena, job
        self._addresses = arena.ctypes.data, job.ctypes.data
        # The barrier of the last call, and its address.
        self._barrier: tuple[np.ndarray | None, int] = None, 0

    def __call__(self, number: int, n_threads: int, barrier: np.ndarray) -> None:
        """Do one thread's part.

        Parameters
        ----------
        number, n_threads : int
            The number of this thread, and the number of threads.
        barrier : ndarray of int64
            The barrier of the team.
        """
        known, place = self._barrier
        if known is not barrier:
            place = barrier.ctypes.data
            self._barrier = barrier, place
        self._function(number, n_threads, place, *self._addresses)


def origins() -> dict[str, int]:
    """Count the kernels that this process has found so far in each place."""
    return {place: list(_places.values()).count(place) for place in _PLACES}
