"""The build of a wheel's object files: all kernels for one level of processors and one dtype.

It runs as ``python -m fastmlp.engines.cpu.build DTYPE FOLDER``, in a process of its own, in whose
environment ``FASTMLP_LEVEL`` names the level: that is fixed when the package is imported. Nothing
that is compiled is run, so that the building machine need not have the level. ``setup.py`` starts
such processes.

numba compiles each kernel as it does for a fit. LLVM then links all of them into one module, where
what they share is there once and only the kernels can be seen from outside.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import binding

from .._numba import bitcode_of
from .catalogue import names_of
from .compilation import kernel, types_of
from .library import without_collections
from .objects import description, name_in_package, packed
from .vector_unit import IS_CHOSEN, LEVEL, LEVELS

#: What machine code may call: the C library's functions, and no name of Python or numba.
FROM_SYSTEM = frozenset({"memcpy", "memset", "sched_yield", "syscall", "SwitchToThread"})
# Functions of which LLVM makes instructions.
_INSTRUCTIONS = frozenset({"sqrt", "sqrtf"})
# Arrays in kernels never own memory: whatever counts references to it is nothing to do. A strong
# definition takes the place of those that numba adds to each kernel.
_NO_COUNTING = """
define void @NRT_incref(ptr %memory) alwaysinline { ret void }
define void @NRT_decref(ptr %memory) alwaysinline { ret void }
"""


def build(dtype: np.dtype, names: Sequence[str]) -> bytes:
    """Compile kernels for the chosen level, and return the content of their object file.

    Parameters
    ----------
    dtype : numpy.dtype
    names : sequence of str
        Names of :mod:`fastmlp.engines.cpu.catalogue`.

    Returns
    -------
    bytes

    Raises
    ------
    RuntimeError
        When no level is chosen, or the code calls what it must not.
    """
    if LEVEL is None or not IS_CHOSEN:
        raise RuntimeError("FASTMLP_LEVEL must name the level to build for")
    exports = {name: f"fastmlp_{name.replace('.', '_')}_{dtype.name}" for name in names}
    with without_collections():
        found = [bitcode_of(kernel(name), types_of(name, dtype)) for name in names]
        symbols = {symbol: exports[name] for name, (_, symbol) in zip(names, found, strict=True)}
        module = _linked([code for code, _ in found], symbols)
        machine = _machine()
        _clean(module, machine)
        code = machine.emit_object(module)
    return packed(description(exports, LEVEL, numba.__version__), code)


def _machine() -> Any:
    """Return LLVM's target machine of the level, for code that can be loaded anywhere."""
    assert LEVEL is not None
    level = LEVELS[LEVEL]
    return binding.Target.from_triple(binding.get_process_triple()).create_target_machine(
        cpu=level.cpu, features=level.tuning, opt=3, reloc="pic", codemodel="small"
    )


def _linked(modules: Sequence[bytes], symbols: dict[str, str]) -> Any:
    """Link modules into one, in which only some functions can be seen, under new names.

    Parameters
    ----------
    modules : sequence of bytes
        LLVM's bitcode.
    symbols : dict of str to str
        The new name of each function that can be seen.

    Returns
    -------
    llvmlite ModuleRef
    """
    linked = binding.parse_assembly(_NO_COUNTING)
    first = binding.parse_bitcode(modules[0])
    linked.triple, linked.data_layout = first.triple, first.data_layout
    for code in modules:
        linked.link_in(binding.parse_bitcode(code))
    for function in linked.functions:
        if function.name in symbols:
            function.name = symbols[function.name]
            function.linkage = "external"
        elif not function.is_declaration:
            function.linkage = "internal"
    for variable in linked.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    return linked


def _clean(module: Any, machine: Any) -> None:
    """Remove what nobody calls, and make one function of those that are the same.

    Raises
    ------
    RuntimeError
        When the rest calls what machine code must not.
    """
    passes = binding.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_combine_pass()
    passes.add_aggressive_dce_pass()
    passes.add_merge_functions_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    tuning = binding.create_pipeline_tuning_options(speed_level=3)
    passes.run(module, binding.create_pass_builder(machine, tuning))
    module.verify()
    declared = {f.name for f in module.functions if f.is_declaration}
    declared |= {g.name for g in module.global_variables if g.is_declaration}
    called = {name for name in declared if not name.startswith("llvm.")}
    if unknown := called - FROM_SYSTEM - _INSTRUCTIONS:
        raise RuntimeError(f"the code would need {', '.join(sorted(unknown))}")


def main(dtype_name: str, folder: str, *names: str) -> None:
    """Write the object file of a dtype to a folder; without names it has all kernels."""
    dtype = np.dtype(dtype_name)
    content = build(dtype, names or names_of(dtype))
    assert LEVEL is not None
    file = Path(folder, name_in_package(LEVEL, dtype))
    begun = file.with_suffix(f".{os.getpid()}")
    begun.write_bytes(content)
    begun.replace(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
