"""How every CUDA kernel and device function is compiled, and cached on disk."""

import contextlib
from functools import cache

from numba import cuda

from .._numba import cuda_cache_parts, use_cache
from ..kernel_cache import is_switched_on, kernel_cache
from ..literals import with_typed_literals
from .support import is_simulated

if is_simulated():
    from .._numba import simulated_kernel

    class _RunningKernel:
        """The simulator's module ``cuda`` for the kernel that runs now.

        The simulator would replace ``cuda`` in the globals of the kernel's module only.
        """

        def __getattr__(self, name):
            return getattr(simulated_kernel(), name)

    inside_kernels = _RunningKernel()

    def number_like(number, like):
        """A number in the type of another one."""
        return type(like)(number)

else:
    import numba_cuda
    from numba.cuda.extending import intrinsic

    from .._numba import cuda_config as config

    inside_kernels = cuda

    @intrinsic
    def number_like(typing_context, number, like):
        """A number in the type of another one."""

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


def _for_few_blocks(kernel):
    """Keep numba from warning of a kernel's grids of few blocks, which are intended."""
    configure = kernel.configure

    def configure_quietly(*args):
        warns = config.CUDA_LOW_OCCUPANCY_WARNINGS
        config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
        try:
            return configure(*args)
        finally:
            config.CUDA_LOW_OCCUPANCY_WARNINGS = warns

    kernel.configure = configure_quietly
    return kernel


def compile_kernel(specialization=None, n_threads=None):
    """Decorates a kernel, which is compiled when it is first launched.

    Parameters
    ----------
    specialization : Specialization or None
        What the kernel is made for, which tells it in the cache from others of its name. None is a
        kernel that is the same for all plans.
    n_threads : int or None
        Threads of its blocks, of which at least one has to fit a multiprocessor. None is any
        number.

    Returns
    -------
    function
        From a Python function to a kernel.
    """
    if is_simulated():
        return cuda.jit
    options = {} if n_threads is None else {"launch_bounds": (n_threads, 1)}

    def decorate(function):
        kernel = _for_few_blocks(cuda.jit(**options)(function))
        is_cached = specialization is None or specialization.custom_loss is None
        if is_cached and is_switched_on() and KernelCache is not None:
            # Without any writable folder: compile in memory.
            with contextlib.suppress(RuntimeError):
                own = KernelCache(function)
                own.specialization = specialization and specialization.key()
                use_cache(kernel, own)
        return kernel

    return decorate


def compile_device(function):
    """A function that kernels call, compiled with them; plain Python in the simulator."""
    return function if is_simulated() else cuda.jit(device=True)(function)


@cache
def compile_formula(function):
    """Compile a scalar formula, and the formulas of its module that it calls."""
    return with_typed_literals(function, {}, number_like, compile_device, compile_formula)


def chosen(functions):
    """Make a device function that calls one of several, by the code that is its first argument.

    Parameters
    ----------
    functions : dict
        Device functions by code; the last one is called for other codes as well.
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
