"""Compilation of the kernels for the CPU: numba's options."""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from numba import njit
from numba.extending import intrinsic

from ...exceptions import DeviceError
from .._numba import Dispatcher, compile_for, compiles_for, require_compiler
from ..literals import with_typed_literals
from . import vector_math
from .vector_unit import IS_CHOSEN, LEVEL, LEVELS, OVERRIDE, compiler_target

if LEVEL is not None and IS_CHOSEN:
    compile_for(LEVELS[LEVEL].cpu, LEVELS[LEVEL].tuning)
    # numba keeps the features of its first function.
    if compiles_for() != compiler_target():
        raise DeviceError(
            f"numba has compiled for this processor already, and so cannot compile for {LEVEL}; "
            f"let fastmlp compile before other code does, or unset {OVERRIDE}"
        )

# The functions that formulas call, and those that are compiled in their places.
VECTORISED = {
    getattr(math, name): getattr(vector_math, name) for name in ("exp", "log", "tanh", "erf")
}

# What replaces operators of formulas. Without LLVM's flags for fast mathematics, every operation is
# rounded as it is written, so that results are the same on every processor. See
# ``vector_math.multiply_add`` for what these flags would be used for.
ARITHMETIC = {
    "multiply_add": vector_math.multiply_add, "power": vector_math.power, "sqrt": math.sqrt
}  # fmt: skip


def compile_kernel(
    function: Callable[..., Any],
    entry: bool = False,
) -> Dispatcher:
    """Compile a function lazily, in nopython mode, without the interpreter lock.

    Parameters
    ----------
    function : function
    entry : bool
        Whether Python calls the function. Only then it gets a wrapper for such calls, which takes
        as long to compile as a small kernel.

    Returns
    -------
    numba dispatcher

    Raises
    ------
    DeviceError
        When numba's compiler is switched off.
    """
    require_compiler()
    return njit(
        nogil=True,
        error_model="numpy",
        no_cpython_wrapper=not entry,
        no_cfunc_wrapper=True,
    )(function)


compile_entry = partial(compile_kernel, entry=True)


def compile_variant(choice: str, **options: Any) -> Callable[[Callable[..., Any]], Dispatcher]:
    """Make a decorator that compiles a kernel for one choice, such as one activation.

    Parameters
    ----------
    choice : str
        What the kernel encloses. It becomes part of the kernel's name.
    **options
        The options of :func:`compile_kernel`.

    Returns
    -------
    callable
    """

    def decorate(function: Callable[..., Any]) -> Dispatcher:
        function.__qualname__ = f"{function.__name__}_{choice}"
        return compile_kernel(function, **options)

    return decorate


@intrinsic
def number_like(typing_context, number, like):
    """Convert a number to the type of another one.

    Parameters
    ----------
    number, like : numbers

    Returns
    -------
    number
        `number` in the type of `like`.
    """

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[0], number, like)

    return like(number, like), codegen


@cache
def compile_formula(function: Callable[..., Any]) -> Dispatcher:
    """Compile a scalar formula, together with the formulas of its module that it calls.

    A formula becomes part of the kernels that call it, so that it is not cached by itself.

    Parameters
    ----------
    function : function
        A function of a module of :mod:`fastmlp.network.formulas`.

    Returns
    -------
    numba dispatcher
    """
    return with_typed_literals(
        function, VECTORISED, number_like, compile_inline, compile_formula, ARITHMETIC
    )


def compile_inline(function: Callable[..., Any]) -> Dispatcher:
    """Compile a function that becomes part of the kernels that call it."""
    require_compiler()
    return njit(error_model="numpy", inline="always")(function)
