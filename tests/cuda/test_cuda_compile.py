"""Every kernel compiles for GPUs that are not here, within budget."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from fastmlp.cuda.support import is_simulated

if is_simulated():
    pytest.skip("the simulator compiles nothing", allow_module_level=True)

# Registers of a thread: what the kernels need, the most of both types and architectures, rounded
# up to the multiple of 8 that is given out. Blocks have 256 threads and a multiprocessor 65536
# registers: up to 128, two blocks fit there, else one.
MOST_REGISTERS = {
    "train": 176, "train_many": 208, "train_rows": 128, "train_weights": 96, "penalty": 32,
    "predict": 128, "transpose": 56, "add_up": 32, "take": 72, "find_infinite": 40,
    "wide_gather": 40, "wide_product": 160, "wide_losses": 80, "wide_update": 248,
}  # fmt: skip


def assembler():
    """Path of ptxas, or None."""
    try:
        import nvidia
    except ImportError:
        return shutil.which("ptxas")
    for folder in nvidia.__path__:
        for path in Path(folder).rglob("bin/ptxas"):
            return str(path)
    return shutil.which("ptxas")


PTXAS = assembler()


@pytest.fixture
def pretended_device(monkeypatch):
    """Compiling asks the current device for its capability; here is one to answer."""
    from types import SimpleNamespace

    from numba.cuda import compiler, dispatcher

    def pretend(capability):
        device = SimpleNamespace(compute_capability=capability)
        for module in (compiler, dispatcher):
            monkeypatch.setattr(module, "get_current_device", lambda: device, raising=False)

    return pretend


def signature(name, dtype):
    """Types of a kernel's arguments, as the engine passes them."""
    from numba import from_dtype, int64, types

    element = from_dtype(np.dtype(dtype))
    vector, matrix = types.Array(element, 1, "C"), types.Array(element, 2, "C")
    integers, layers = types.Array(int64, 1, "C"), types.Array(int64, 2, "C")
    doubles = types.Array(types.float64, 1, "C")
    totals = types.Array(types.float64, 2, "C")
    many = vector, types.Array(int64, 3, "C"), layers, matrix
    tables = vector, layers, integers, vector
    rows = vector, vector, vector, integers
    return {
        "train": (*tables, *rows, vector, vector, vector, vector, int64, int64),
        "train_many": (*many, *rows, vector, vector, vector, vector, layers, totals),
        "train_rows": (*tables, *rows, vector, vector, int64),
        "train_weights": (*tables, int64, vector, vector, int64),
        "penalty": (vector, integers, vector, int64, vector, vector, int64),
        "predict": (vector, layers, integers, vector, int64, matrix),
        "transpose": (vector, layers, integers),
        "add_up": (vector, doubles),
        "take": (types.Array(element, 2, "A"), integers, matrix),
        "find_infinite": (vector, integers),
        "wide_gather": (vector, layers, integers, vector, integers, int64),
        "wide_product": (vector, layers, integers, int64, int64, int64, types.boolean),
        "wide_losses": (*tables, vector, vector, integers, vector, vector, int64),
        "wide_update": (*tables, int64, vector, vector, int64, int64),
    }[name]


@pytest.mark.skipif(PTXAS is None, reason="ptxas is not installed")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
@pytest.mark.parametrize("name", MOST_REGISTERS)
def test_kernel_compiles_without_local_memory(name, capability, dtype, pretended_device, tmp_path):
    from numba import cuda, void

    from fastmlp.cuda.kernels import kernels
    from fastmlp.cuda.wide import wide_kernels

    pretended_device(capability)
    compiled = {**kernels(np.dtype(dtype)), **wide_kernels(np.dtype(dtype))}
    assert set(compiled) == set(MOST_REGISTERS)
    function = compiled[name].py_func
    ptx, _ = cuda.compile_ptx(function, void(*signature(name, dtype)), cc=capability)
    (tmp_path / "kernel.ptx").write_text(ptx)
    architecture = f"sm_{capability[0]}{capability[1]}"
    # Cooperative kernels call into a library: they are only assembled here, not linked.
    result = subprocess.run(
        [PTXAS, "-v", "-c", f"-arch={architecture}", "kernel.ptx", "-o", "kernel.cubin"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    spills = [int(n) for n in re.findall(r"(\d+) bytes spill", result.stderr)]
    stacks = [int(n) for n in re.findall(r"(\d+) bytes stack frame", result.stderr)]
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", result.stderr)]
    assert registers and max(registers) <= MOST_REGISTERS[name], result.stderr
    assert not any(spills) and not any(stacks), result.stderr
