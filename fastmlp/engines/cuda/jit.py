"""Compiles CUDA kernels and device functions, and caches kernels on disk."""

import contextlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from numba import cuda

from .._numba import cuda_cache_parts, use_cache
from ..kernel_cache import is_switched_on, kernel_cache
from ..literals import with_typed_literals
from .support import is_simulated

if TYPE_CHECKING:
    from .specialization import Specialization

# A Python function that numba compiles, or the result. numba has no types for them.
Function = Callable[..., Any]

if is_simulated():
    from .._numba import simulated_kernel

    class _RunningKernel:
        """Stands for the module ``numba.cuda`` inside of the kernel that the simulator runs.

        The simulator replaces ``cuda`` only in the globals of the kernel's own module, and device
        functions in other modules need it, too.
        """

        def __getattr__(self, name: str) -> Any:
            return getattr(simulated_kernel(), name)

    inside_kernels: Any = _RunningKernel()

    def number_like(number, like):
        """Convert a number to the type of another one."""
        return type(like)(number)

else:
    import numba_cuda
    from numba.cuda.extending import intrinsic

    from .._numba import cuda_config as config

    inside_kernels = cuda

    @intrinsic
    def number_like(typing_context, number, like):
        """Convert a number to the type of another one."""

        def codegen(context, builder, signature, args):
            return context.cast(builder, args[0], number, like)

        return like(number, like), codegen

    KernelCache = kernel_cache(
        "cuda",
        cuda_cache_parts(),
        (numba_cuda.__version__, config.CUDA_DEBUGINFO_DEFAULT),
        key=lambda cache, signature, codegen: (
            signature, codegen.magic_tuple(), cache.specialization
        ),
    )  # fmt: skip


def _for_few_blocks(kernel: Any) -> Any:
    """Keep numba from warning of grids with few blocks, which are intended here."""
    configure = kernel.configure

    def configure_quietly(*args: Any) -> Any:
        warns = config.CUDA_LOW_OCCUPANCY_WARNINGS
        config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
        try:
            return configure(*args)
        finally:
            config.CUDA_LOW_OCCUPANCY_WARNINGS = warns

    kernel.configure = configure_quietly
    return kernel


def compile_kernel(
    specialization: "Specialization | None" = None, n_threads: int | None = None
) -> Function:
    """Make a decorator for a kernel, which numba compiles when it is first launched.

    Parameters
    ----------
    specialization : Specialization or None
        The options that the kernel is made for, which are a part of its key in the cache on disk.
        None is a kernel that is the same for all plans.
    n_threads : int or None
        Number of threads of its blocks. The compiler uses so few registers that a multiprocessor
        can run such a block. None sets no limit.

    Returns
    -------
    callable
        The decorator, which turns a Python function into a kernel.
    """
    if is_simulated():
        return cuda.jit
    options: dict[str, Any] = {} if n_threads is None else {"launch_bounds": (n_threads, 1)}

    def decorate(function: Function) -> Any:
        kernel = _for_few_blocks(cuda.jit(**options)(function))
        is_cached = specialization is None or specialization.custom_loss is None
        if is_cached and is_switched_on() and KernelCache is not None:
            # Where no folder can be written, the kernel is compiled in each process.
            with contextlib.suppress(RuntimeError):
                own = KernelCache(function)
                own.specialization = specialization and specialization.key()
                use_cache(kernel, own)
        return kernel

    return decorate


def compile_device(function: Function) -> Function:
    """Make a device function, which is compiled with the kernels that call it.

    The simulator calls the Python function itself.
    """
    return function if is_simulated() else cuda.jit(device=True)(function)


@cache
def compile_formula(function: Function) -> Function:
    """Compile a scalar formula, and the formulas of its module that it calls."""
    return with_typed_literals(function, {}, number_like, compile_device, compile_formula)


def chosen(functions: dict[int, Function]) -> Function:
    """Make a device function that calls one of several functions by its first argument.

    Parameters
    ----------
    functions : dict
        Device functions by code; the last one is called for all other codes, too.

    Returns
    -------
    device function
        ``(code, *args)`` to what the function with the code returns for the other arguments.
    """
    (first_code, function), *others = functions.items()
    if not others:

        @compile_device
        def call(code, *args):
            return function(*args)

    else:
        call_another = chosen(dict(others))

        @compile_device
        def call(code, *args):
            if code == first_code:
                return function(*args)
            return call_another(code, *args)

    return call
