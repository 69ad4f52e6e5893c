"""How every CUDA kernel and device function is compiled."""

from functools import cache

from numba import cuda

from ..narrowing import with_narrow_constants
from .support import is_simulated

if is_simulated():

    def number_like(number, like):
        """A number in the type of another one."""
        return type(like)(number)

else:
    from numba.cuda.extending import intrinsic

    @intrinsic
    def number_like(typing_context, number, like):
        """A number in the type of another one."""

        def codegen(context, builder, signature, args):
            return context.cast(builder, args[0], number, like)

        return like(number, like), codegen


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
    return with_narrow_constants(function, {}, number_like, compile_device, compile_formula)
