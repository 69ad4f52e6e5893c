"""How every CUDA kernel and device function is compiled."""

from functools import cache

from numba import cuda

from ..narrowing import with_small_integers
from .support import is_simulated


def compile_kernel(function):
    """A kernel, compiled when it is first launched."""
    return cuda.jit(function)


def compile_device(function):
    """A function that kernels call, compiled with them.

    The simulator gives kernels their module ``cuda`` through the globals of this package's
    functions: they can be plain Python.
    """
    return function if is_simulated() else cuda.jit(device=True)(function)


@cache
def compile_formula(function):
    """A scalar formula, with the formulas of its module that it calls."""
    return with_small_integers(function, {}, compile_device, compile_formula)
