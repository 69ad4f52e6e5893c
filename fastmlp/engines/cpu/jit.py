"""How every CPU kernel is compiled: numba's options and the on-disk cache."""

import contextlib
import math
from functools import cache, partial

from numba import njit
from numba.extending import intrinsic

from .._numba import cpu_cache_parts, use_cache
from ..kernel_cache import is_switched_on, kernel_cache
from ..literals import with_typed_literals
from . import vector_math
from .vector_unit import HOST

# None where this version of numba has no such cache.
KernelCache = kernel_cache(
    "cpu",
    cpu_cache_parts(),
    HOST,
    # The function's name, under which it is filed, tells what it encloses.
    key=lambda cache, signature, codegen: (signature, codegen.magic_tuple()),
)

# What a formula calls, and what is compiled in its place.
VECTORISED = {
    getattr(math, name): getattr(vector_math, name) for name in ("exp", "log", "tanh", "erf")
}

# Not-a-number and infinity keep their meaning: divergence must stay visible.
FASTMATH = frozenset({"contract", "nsz", "arcp"})
# Sums are split into the lanes of a vector: not the order written, but always the same one.
REORDERED = FASTMATH | {"reassoc"}


def compile_kernel(function, fastmath=FASTMATH, entry=False, is_cached=True):
    """Compile a function lazily, in nopython mode, without the interpreter lock.

    Parameters
    ----------
    function : function
    fastmath : frozenset of str
        LLVM's flags for floating-point instructions.
    entry : bool
        Whether Python calls it. The others are spared the wrapper for it, which takes as long to
        compile as a small kernel.
    is_cached : bool
        Whether its machine code may be kept on disk.

    Returns
    -------
    numba dispatcher
    """
    dispatcher = njit(
        nogil=True,
        error_model="numpy",
        fastmath=set(fastmath),
        no_cpython_wrapper=not entry,
        no_cfunc_wrapper=True,
    )(function)
    if is_cached and is_switched_on() and KernelCache is not None:
        # Without any writable folder: compile in memory.
        with contextlib.suppress(RuntimeError):
            use_cache(dispatcher, KernelCache(function))
    return dispatcher


compile_entry = partial(compile_kernel, entry=True)


def compile_variant(choice, **options):
    """A decorator for a kernel that encloses a choice, such as an activation's formula.

    Parameters
    ----------
    choice : str
        Becomes part of the kernel's name, and so of its place in the cache.
    **options
        As for :func:`compile_kernel`.
    """

    def decorate(function):
        function.__qualname__ = f"{function.__name__}_{choice}"
        return compile_kernel(function, **options)

    return decorate


@intrinsic
def number_like(typing_context, number, like):
    """A number in the type of another one."""

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[0], number, like)

    return like(number, like), codegen


@cache
def compile_formula(function):
    """Compile a scalar formula, with the formulas of its module that it calls.

    It becomes part of its kernels, so it is neither compiled nor cached by itself.

    Parameters
    ----------
    function : function
        Of a module of :mod:`fastmlp.network.formulas`.

    Returns
    -------
    numba dispatcher
    """
    return with_typed_literals(function, VECTORISED, number_like, compile_inline, compile_formula)


def compile_inline(function):
    """Compile a function that becomes part of its kernels."""
    return njit(error_model="numpy", fastmath=set(FASTMATH), inline="always")(function)
