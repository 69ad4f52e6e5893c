"""Every name of numba, and of numba-cuda, that they do not promise to keep.

Other modules import these names from here, and public ones (``njit``, ``types``, ``intrinsic``,
``cuda``) from numba itself. Names of numba-cuda are looked up when they are first asked for, so
that importing this module does not import ``numba.cuda``.

Where a comment below does not say how fastmlp does without a name, kernels cannot be written
without it: importing this module is then an ImportError that names the version of numba.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from ..exceptions import DeviceError

try:
    import numba
except ValueError as error:  # a setting, such as NUMBA_NUM_THREADS=0
    raise DeviceError(
        f"numba cannot be imported: {str(error).rstrip('.')}; look at the environment variables "
        "NUMBA_..."
    ) from error

VERSION: str = numba.__version__

try:
    # Writes loops, branches, tuples and copies of memory into a kernel.
    from numba.core import cgutils as cgutils

    # The type of a compiled function, for annotations.
    from numba.core.dispatcher import Dispatcher as Dispatcher

    # What a function raises that numba cannot compile, and what an intrinsic raises to say so.
    from numba.core.errors import NumbaError as NumbaError
    from numba.core.errors import TypingError as TypingError

    # Fills an array that borrows its memory: a slice without bounds and reference counts.
    from numba.np.arrayobj import populate_array as populate_array
except ImportError as error:
    raise ImportError(
        f"numba {numba.__version__} lacks a name that fastmlp compiles its kernels with "
        f"({error}); install a version of numba that fastmlp was released for"
    ) from error

try:
    # Tells custom losses from one another by what they say, values of their globals included.
    # Without it, each fit compiles its custom loss anew.
    from numba import cloudpickle as cloudpickle
except ImportError:
    cloudpickle = None

# Kernels are stored on disk with subclasses of what numba has for this: a cache for each function,
# how it turns results into bytes, its files, and the folders they may lie in. Without any of these
# names, kernels are compiled in memory in each process, and `fastmlp doctor` says so.
_CACHE_METHODS = ("_dump",)


def _parts_of_cache(
    caching: str, base: str, impl: str, locators: tuple[str, ...]
) -> SimpleNamespace | None:
    """Collect what :func:`fastmlp.engines.kernel_cache.kernel_cache` is made of.

    Parameters
    ----------
    caching : str
        The module of the files and locators.
    base, impl : str
        The module and the name of the cache and of how it stores results, as ``module:name``.
    locators : tuple of str
        Names of the classes that find a folder.

    Returns
    -------
    SimpleNamespace or None
        With `files`, `base`, `impl` and `locators`; None where this version lacks one of them.
    """

    def named(place: str) -> Any:
        module, name = place.split(":")
        return getattr(import_module(module), name)

    try:
        parts = SimpleNamespace(
            files=named(f"{caching}:IndexDataCacheFile"),
            base=named(base),
            impl=named(impl),
            locators=[named(f"{caching}:{name}") for name in locators],
        )
    except (ImportError, AttributeError):
        return None
    is_whole = (
        all(hasattr(parts.files, name) for name in _CACHE_METHODS)
        and hasattr(parts.impl, "_locator_classes")
        and hasattr(parts.base, "_impl_class")
        and hasattr(parts.base, "_index_key")
    )
    return parts if is_whole else None


def cuda_cache_parts() -> SimpleNamespace | None:
    """Return the parts of numba-cuda's disk cache; None where they are missing or others."""
    return _parts_of_cache(
        "numba.cuda.core.caching",
        "numba.cuda.dispatcher:CUDACache",
        "numba.cuda.dispatcher:CUDACacheImpl",
        ("_UserProvidedCacheLocator", "_InTreeCacheLocator", "_UserWideCacheLocator"),
    )


def require_compiler() -> None:
    """Raise an error where numba was told to compile nothing, or what kernels cannot do.

    Raises
    ------
    DeviceError
        When numba's setting DISABLE_JIT or BOUNDSCHECK is on.
    """
    if numba.config.DISABLE_JIT:
        raise DeviceError(
            "fastmlp trains and predicts with code that numba compiles, which NUMBA_DISABLE_JIT "
            "(or numba.config.DISABLE_JIT) switches off; unset it"
        )
    if numba.config.BOUNDSCHECK:
        raise DeviceError(
            "fastmlp's compiled code reads memory by views that do not know its size, and the "
            "checks of NUMBA_BOUNDSCHECK (or numba.config.BOUNDSCHECK) would take each such read "
            "for one out of range; unset it"
        )


# The settings of numba by which the same source becomes different machine code, and their usual
# values.
_SETTINGS = {
    "OPT": "3", "DEBUGINFO_DEFAULT": "0", "LOOP_VECTORIZE": "1", "SLP_VECTORIZE": "0",
    "EXTEND_VARIABLE_LIFETIMES": "0", "LLVM_REFPRUNE_PASS": "1",
}  # fmt: skip


def has_usual_settings() -> bool:
    """Tell whether numba compiles as it does where no setting was changed."""
    if getattr(numba.config.OPT, "is_opt_max", False):  # NUMBA_OPT=max, which counts as 3, too
        return False
    return all(
        str(int(getattr(numba.config, name, usual))) == usual for name, usual in _SETTINGS.items()
    )


def slow_settings() -> list[str]:
    """Name the settings that make numba compile code that is slower than it could be.

    Returns
    -------
    list of str
        The environment variables that set them.
    """
    config = numba.config
    is_slow = {
        "NUMBA_OPT": int(config.OPT) < 3,
        "NUMBA_DEBUGINFO": bool(config.DEBUGINFO_DEFAULT),
        "NUMBA_LOOP_VECTORIZE": not config.LOOP_VECTORIZE,
        "NUMBA_CPU_NAME": config.CPU_NAME is not None,
        "NUMBA_CPU_FEATURES": config.CPU_FEATURES is not None,
        "NUMBA_ENABLE_AVX": not config.ENABLE_AVX,
    }
    return [name for name, holds in is_slow.items() if holds]


def use_cache(dispatcher: Any, cache: Any) -> None:
    """Let a function that is not yet compiled look for its machine code in a cache.

    Parameters
    ----------
    dispatcher : Dispatcher
    cache : object
        An instance of what :func:`fastmlp.engines.kernel_cache.kernel_cache` returns.
    """
    dispatcher._cache = cache


def _compiled(kernel: Any, signature: tuple[Any, ...]) -> Any:
    """Return what numba keeps of a kernel for a signature, for which it is compiled if need be."""
    if signature not in kernel.overloads:
        kernel.compile(signature)
    return kernel.overloads[signature]


def address_of(kernel: Any, signature: tuple[Any, ...]) -> int:
    """Compile a kernel for a signature, or load it from the cache, and return its address.

    numba gives addresses only to functions with a wrapper for C, which costs as much to compile
    as a small kernel.

    Parameters
    ----------
    kernel : Dispatcher
    signature : tuple of numba types

    Returns
    -------
    int
    """
    result = _compiled(kernel, signature)
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


def object_of(kernel: Any, signature: tuple[Any, ...]) -> tuple[bytes, str]:
    """Return the object file of a kernel that :func:`address_of` has compiled.

    Parameters
    ----------
    kernel : Dispatcher
    signature : tuple of numba types

    Returns
    -------
    code : bytes
        Empty where numba does not give it.
    symbol : str
        The name of the kernel in the object file.
    """
    result = kernel.overloads[signature]
    try:
        code: bytes = result.library._get_compiled_object()
    except (AttributeError, RuntimeError, ValueError):
        code = b""
    return code, result.fndesc.llvm_func_name


def bitcode_of(kernel: Any, signature: tuple[Any, ...]) -> tuple[bytes, str]:
    """Compile a kernel, and return LLVM's optimised code of it, before that is machine code.

    Parameters
    ----------
    kernel : Dispatcher
    signature : tuple of numba types

    Returns
    -------
    code : bytes
    symbol : str
        The name of the kernel in it.
    """
    result = _compiled(kernel, signature)
    return result.library._final_module.as_bitcode(), result.fndesc.llvm_func_name


def compiles_for() -> tuple[str, str, str]:
    """Return what numba compiles for: LLVM's platform, processor and features."""
    from numba.core.registry import cpu_target

    return cpu_target.target_context.codegen().magic_tuple()


def compile_for(cpu: str, features: str) -> None:
    """Let numba compile for a processor that may be another one; before it compiles anything.

    Parameters
    ----------
    cpu, features : str
        LLVM's names.
    """
    numba.config.CPU_NAME, numba.config.CPU_FEATURES = cpu, features


def call_at(
    context: Any, builder: Any, address: Any, argument_types: tuple[Any, ...], values: list[Any]
) -> None:
    """Write a call of a kernel at an address, in numba's own calling convention.

    Parameters
    ----------
    context, builder : object
        The arguments of an intrinsic's ``codegen``.
    address : llvmlite value
        An integer.
    argument_types : tuple of numba types
    values : list of llvmlite values
    """
    none = numba.types.none
    function_type = context.call_conv.get_function_type(none, argument_types)
    pointer = builder.inttoptr(address, function_type.as_pointer())
    context.call_conv.call_function(builder, pointer, none, argument_types, values)


def result_of(
    context: Any, builder: Any, function: Any, signature: Any, values: list[Any]
) -> tuple[Any, Any]:
    """Write a call of a compiled function that does not raise what the function raises.

    Parameters
    ----------
    context, builder : object
        The arguments of an intrinsic's ``codegen``.
    function : Dispatcher
        It has been compiled for the signature's arguments.
    signature : numba signature
        The arguments and the result of the function.
    values : list of llvmlite values

    Returns
    -------
    is_error, result : llvmlite values
        Whether the function has raised an exception, and what it has returned otherwise.
    """
    compiled = function.overloads[signature.args]
    context.active_code_library.add_linking_library(compiled.library)
    status, result = context.call_internal_no_propagate(builder, compiled.fndesc, signature, values)
    return status.is_error, result


def result_on_device(
    context: Any, builder: Any, function: Any, signature: Any, values: list[Any]
) -> tuple[Any, Any]:
    """Write a call of a device function of numba-cuda, in the way of :func:`result_of`."""
    compiled = function.compile_device(signature.args)
    context.active_code_library.add_linking_library(compiled.library)
    status, result = compiled.fndesc.call_conv.call_internal_no_propagate(
        builder, compiled.fndesc, signature, values
    )
    return status.is_error, result


@contextmanager
def own_machine_code() -> Iterator[None]:
    """Return a context whose compiled functions are freed when nothing refers to them any more.

    numba's own engine keeps the code of every function for as long as the process lives, and
    llvmlite never frees what optimises it: together about one megabyte for each small function. In
    the context functions are compiled by an engine of their own, which ends with the last of them.
    Where numba or llvmlite lack a name that this needs, functions are compiled as usual.
    """
    try:
        from numba.core.codegen import JITCPUCodegen
        from numba.core.compiler_lock import global_compiler_lock
        from numba.core.registry import cpu_target

        target = cpu_target.target_context
        codegen = _disposing(JITCPUCodegen)("fastmlp.own")
    except (ImportError, AttributeError):
        yield
        return
    with global_compiler_lock:
        usual = target._internal_codegen
        try:
            target._internal_codegen = codegen
            yield
        finally:
            target._internal_codegen = usual
            codegen.finish()


@cache
def _disposing(base: Any) -> Any:
    """Make a subclass of numba's JITCPUCodegen that frees its pass managers."""
    from llvmlite.binding import newpassmanagers
    from llvmlite.binding.ffi import ObjectRef
    from numba.core.environment import lookup_environment

    free = newpassmanagers.NewPassManager._dispose

    class Disposing(base):
        def __init__(self, name: str) -> None:
            self._managers: list[Any] = []
            self._environments: set[str] = set()
            super().__init__(name)

        def _module_pass_manager(self, **options: Any) -> Any:
            manager, builder = super()._module_pass_manager(**options)
            self._managers.append(manager)
            return manager, builder

        def _function_pass_manager(self, **options: Any) -> Any:
            manager, builder = super()._function_pass_manager(**options)
            self._managers.append(manager)
            return manager, builder

        def _add_module(self, module: Any) -> None:
            super()._add_module(module)
            names = (variable.name for variable in module.global_variables)
            self._environments |= {name for name in names if "NumbaEnv" in name}

        def finish(self) -> None:
            """Free the pass managers where llvmlite would not.

            A function that was compiled before and is part of new ones also gets its constants.
            """
            for name in self._environments:
                environment = lookup_environment(name)
                if environment is not None and self._engine.get_global_value_address(name):
                    self.set_env(name, environment)
            for manager in self._managers:
                if type(manager)._dispose is ObjectRef._dispose and not manager.closed:
                    free(manager)
                    manager.detach()
            self._managers.clear()

    return Disposing


def array_of(view: Any) -> Any:
    """Return the value of an array that :func:`populate_array` has filled."""
    return view._getvalue()


def free_pending_memory(context: Any) -> None:
    """Free the memory of a GPU that is no longer in use, which numba-cuda would do later.

    Where it has no such queue, as in the simulator, nothing is pending.
    """
    manager = getattr(context, "memory_manager", None)
    deallocations = getattr(manager, "deallocations", None)
    if deallocations is not None:
        deallocations.clear()


_OF_CUDA = {
    # Refers to ``np.row_stack`` when it is imported, which NumPy 2.5 lacks.
    "cuda_arrays": ("numba.cuda.np.arrayobj", ""),
    # The driver itself: its version, its process, and on which GPU an address lies.
    "cuda_driver": ("numba.cuda.cudadrv.driver", "driver"),
    "cuda_binding": ("numba.cuda.cudadrv.driver", "binding"),
    # Switches off the warning of grids with few blocks, and tells debug information.
    "cuda_config": ("numba.cuda.core", "config"),
    # The running kernel of the simulator, as kernels in other modules must see it.
    "simulated_kernel": ("numba.cuda.simulator.kernel", "_get_kernel_context"),
}


def __getattr__(name: str) -> Any:
    """Look up one of numba-cuda's names when it is asked for."""
    if name not in _OF_CUDA:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _OF_CUDA[name]
    found = import_module(module)
    return getattr(found, attribute) if attribute else found
