"""Every kernel compiles for GPUs that are not here, within budget."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from test_cuda_engine import quartic, quartic_derivative

from fastmlp.engines.cuda.specialization import (
    gradient_specialization,
    prediction_specialization,
    training_specialization,
)
from fastmlp.engines.cuda.support import is_simulated
from fastmlp.exceptions import DeviceError
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan

if is_simulated():
    pytest.skip("the simulator compiles nothing", allow_module_level=True)

# Registers of a thread, of 65536 for the 256 threads of a block: with 255, the most that a thread
# can have, one block fits a multiprocessor, which is what the launches of training and prediction
# have; with 128 two do.
MOST_REGISTERS = {
    "train": 255, "train_wide": 255, "train_many": 255, "train_rows": 255, "train_weights": 255,
    "predict": 255, "differentiate": 255, "wide_product": 255, "wide_outputs": 255,
    "wide_update": 255, "add_step": 64, "transpose": 64, "add_up": 64, "find_infinite": 64,
    "take": 128, "wide_gather": 128, "clip_norm": 128, "limit_columns": 128,
}  # fmt: skip
# Bytes that a thread keeps in local memory: none in float32 with what is usual, and elsewhere some
# places that a launch of many steps computes once.
MOST_LOCAL = {("train", "float64"): 256, ("train_wide", "float64"): 512}
MOST_LOCAL_WITH_OPTIONS = {
    **MOST_LOCAL, ("train", "float32"): 128, ("train_wide", "float32"): 256,
    ("train_many", "float32"): 128, ("train_many", "float64"): 256,
}  # fmt: skip
# Bytes that a block shares.
MOST_SHARED = 48 * 1024


def ordinary():
    """A classifier as it is by default."""
    return TrainingPlan((5, 4, 3), Activation.RELU, Loss.CROSS_ENTROPY, Optimizer.ADAM, alpha=1e-4)


def with_options():
    """All options at once, and functions of a custom loss."""
    return TrainingPlan(
        (5, 4, 3), Activation.GELU, Loss.CUSTOM, Optimizer.NADAM, alpha=1e-4, l1=0.1,
        weight_decay=0.1, clip_value=1.0, clip_norm=1.0, max_norm=1.0, dropout=(0.5,),
        custom_loss=(quartic, quartic_derivative),
    )  # fmt: skip


def several(specialization):
    """The same with all activations, losses and optimisers, as many networks may need them."""
    return replace(
        specialization,
        activations=frozenset(Activation),
        losses=frozenset(Loss),
        optimizers=frozenset(Optimizer),
    )


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


def packed(kind, *fields):
    """The type of a named tuple of arrays."""
    from numba.cuda import types

    return types.BaseTuple.from_types(fields, kind)


def signature(name, dtype):
    """Types of a kernel's arguments, as the engine passes them."""
    from numba import from_dtype, int64, types

    from fastmlp.engines.cuda.arguments import Network, Rows, StepRecord

    element = from_dtype(np.dtype(dtype))
    vector, matrix = types.Array(element, 1, "C"), types.Array(element, 2, "C")
    integers, layers = types.Array(int64, 1, "C"), types.Array(int64, 2, "C")
    doubles = types.Array(types.float64, 1, "C")
    totals = types.Array(types.float64, 2, "C")
    network = packed(Network, vector, layers, integers, vector)
    networks = packed(Network, vector, types.Array(int64, 3, "C"), layers, matrix)
    rows = packed(Rows, vector, vector, vector, integers)
    record = packed(StepRecord, matrix, vector, vector, vector)
    train = network, rows, record, int64, int64, int64
    return {
        "train": train,
        "train_wide": train,
        "train_many": (networks, rows, record, layers, totals),
        "train_rows": (network, rows, record, int64, int64),
        "train_weights": (network, record, int64, int64),
        "clip_norm": (network, record, int64),
        "limit_columns": (network,),
        "add_step": (network, record, int64, int64),
        "predict": (network, vector, int64, matrix),
        "differentiate": (network, vector, int64, integers, int64, matrix),
        "transpose": (network,),
        "add_up": (record, doubles),
        "take": (types.Array(element, 2, "A"), integers, matrix),
        "find_infinite": (vector, integers),
        "wide_gather": (network, rows, int64),
        "wide_product": (network, int64, int64, int64, int64, types.boolean),
        "wide_outputs": (network, rows, record, int64, int64),
        "wide_update": (network, record, int64, int64),
    }[name]


def compile_and_assemble(kernel, types, capability, most, tmp_path, most_local=0):
    """Compile a kernel; it needs so many registers at most, and so many bytes of local memory."""
    from numba import cuda, void

    ptx, _ = cuda.compile_ptx(
        kernel.py_func, void(*types), cc=capability,
        launch_bounds=kernel.targetoptions.get("launch_bounds"),
    )  # fmt: skip
    (tmp_path / "kernel.ptx").write_text(ptx)
    architecture = f"sm_{capability[0]}{capability[1]}"
    # Cooperative kernels call into a library: they are only assembled here, not linked.
    result = subprocess.run(
        [PTXAS, "-v", "-c", f"-arch={architecture}", "kernel.ptx", "-o", "kernel.cubin"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    stacks = [int(n) for n in re.findall(r"(\d+) bytes stack frame", result.stderr)]
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", result.stderr)]
    assert registers and max(registers) <= most, result.stderr
    assert max(stacks, default=0) <= most_local, result.stderr
    shared = re.findall(r"\.shared \.align (\d+) [^;]*\[(\d+)\];", ptx)
    assert sum(int(size) for _, size in shared) <= MOST_SHARED
    if re.search(r"(ld|st)\.shared\.v", ptx):
        assert max(int(alignment) for alignment, _ in shared) >= 16
    return ptx


def busiest_block(ptx):
    """Instructions of the straight line of code with the most multiply-adds."""
    blocks, block = [], []
    for line in ptx.splitlines():
        words = line.split()
        if line.startswith("$") or (words and words[-1].endswith(":")):
            blocks.append(block)
            block = []
        elif words and line.strip().endswith(";") and not words[0].startswith("."):
            block.append(words[1] if words[0].startswith("@") else words[0])
    return max([*blocks, block], key=lambda block: sum("fma" in word for word in block))


def all_kernels(plan, dtype, specialization):
    """Every kernel of a plan, those that only other specialization launch included."""
    from fastmlp.engines.cuda.gradient_pass import gradient_kernels
    from fastmlp.engines.cuda.kernels import prediction_kernels, training_kernels
    from fastmlp.engines.cuda.wide import wide_kernels

    return {
        **training_kernels(dtype, specialization),
        **wide_kernels(dtype, specialization),
        **prediction_kernels(dtype, prediction_specialization(plan)),
        **gradient_kernels(dtype, gradient_specialization(plan)),
    }


needs_assembler = pytest.mark.skipif(PTXAS is None, reason="ptxas is not installed")
each_type = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_capability = pytest.mark.parametrize("capability", [(8, 0), (9, 0)])


@needs_assembler
@each_type
@each_capability
@pytest.mark.parametrize("name", MOST_REGISTERS)
def test_kernel_compiles_within_budget(name, capability, dtype, pretended_device, tmp_path):
    pretended_device(capability)
    kernels = all_kernels(ordinary(), np.dtype(dtype), training_specialization(ordinary()))
    assert set(kernels) == set(MOST_REGISTERS)
    compile_and_assemble(
        kernels[name], signature(name, dtype), capability, MOST_REGISTERS[name], tmp_path,
        MOST_LOCAL.get((name, dtype), 0),
    )  # fmt: skip


@needs_assembler
@each_type
@each_capability
@pytest.mark.parametrize(
    "name",
    ["train", "train_many", "train_rows", "train_weights", "clip_norm", "limit_columns",
     "add_step", "predict", "train_wide", "wide_product", "wide_outputs", "wide_update",
     "differentiate"],
)  # fmt: skip
def test_options_compile_within_budget(name, capability, dtype, pretended_device, tmp_path):
    pretended_device(capability)
    plan = with_options()
    specialization = training_specialization(plan)
    if name == "train_many":
        specialization = several(specialization)
    kernel = all_kernels(plan, np.dtype(dtype), specialization)[name]
    compile_and_assemble(
        kernel, signature(name, dtype), capability, MOST_REGISTERS[name], tmp_path,
        MOST_LOCAL_WITH_OPTIONS.get((name, dtype), 0),
    )  # fmt: skip


@needs_assembler
@pytest.mark.parametrize("activation", list(Activation))
def test_each_activation_by_itself(activation, pretended_device, tmp_path):
    capability = (9, 0)
    pretended_device(capability)
    loss = list(Loss)[activation % len(Loss)]
    plan = replace(
        with_options(), activation=activation, loss=loss, dropout=(), optimizer=Optimizer.SGD
    )
    kernels = all_kernels(plan, np.dtype(np.float32), training_specialization(plan))
    for name in ("train_rows", "predict"):
        ptx = compile_and_assemble(
            kernels[name], signature(name, "float32"), capability, MOST_REGISTERS[name], tmp_path
        )
        # It would make a number of what is none; the maximum in softmax does no harm.
        assert "min.f32" not in ptx


@needs_assembler
def test_most_of_inner_loops_are_multiply_adds(pretended_device, tmp_path):
    capability = (9, 0)
    pretended_device(capability)
    kernels = all_kernels(ordinary(), np.dtype(np.float32), training_specialization(ordinary()))
    for name, n_multiply_adds in {
        "train_rows": 128,
        "train_weights": 128,
        "wide_product": 256,
    }.items():
        ptx = compile_and_assemble(
            kernels[name], signature(name, "float32"), capability, MOST_REGISTERS[name], tmp_path
        )
        block = busiest_block(ptx)
        assert sum("fma" in word for word in block) == n_multiply_adds
        loads = [word for word in block if word.startswith("ld.")]
        assert any(".v4" in word for word in loads)
        assert len(block) < 2 * n_multiply_adds, (name, len(block))


def test_squares_are_rounded_in_the_same_way_for_one_network_and_for_many(pretended_device):
    """A sum of a product, unless it is fused, may be rounded once here and twice there."""
    from numba import cuda, void

    pretended_device((9, 0))
    dtype = np.dtype(np.float32)
    single = training_specialization(replace(ordinary(), clip_norm=1.0))
    others = training_specialization(replace(ordinary(), optimizer=Optimizer.SGD))
    for name, specialization in {"train_weights": single, "train_many": single | others}.items():
        kernel = all_kernels(ordinary(), dtype, specialization)[name]
        ptx, _ = cuda.compile_ptx(kernel.py_func, void(*signature(name, "float32")), cc=(9, 0))
        squares = set(re.findall(r"mul[.a-z]*\.f32\s+(%\w+), (%\w+), \2;", ptx))
        sums = re.findall(r"add[.a-z]*\.f32\s+%\w+, (%\w+), (%\w+);", ptx)
        assert sums and not {name for name, _ in squares} & {name for pair in sums for name in pair}


@needs_assembler
@pytest.mark.parametrize("loss", list(Loss))
def test_losses_of_rows_compile_within_budget(loss, pretended_device, tmp_path):
    from numba import types

    from fastmlp.engines.cuda import row_losses

    pretended_device((8, 0))
    if loss == Loss.CUSTOM:
        kernel = row_losses._custom_kernel(quartic, quartic_derivative)
    else:
        kernel = row_losses._kernel(loss)
    vectors = [types.Array(types.float64, 1, "C")] * 4
    ptx = compile_and_assemble(kernel, vectors, (8, 0), 64, tmp_path)
    # It would make a number of what is none.
    assert "min.f64" not in ptx and "max.f64" not in ptx


def returns_text(y, p):
    return "none"


def reads_a_file(y, p):
    return open("loss").read()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (returns_text, "the derivative function of the custom loss must return a number"),
        (reads_a_file, "the derivative function of the custom loss cannot be compiled for a GPU"),
        (lambda p: p, "the derivative function of the custom loss cannot be compiled for a GPU"),
        (len, "the derivative function of the custom loss cannot be compiled for a GPU"),
    ],
)
def test_custom_losses_that_do_not_compile(function, message, pretended_device):
    from fastmlp.engines.cuda.kernels import training_kernels

    pretended_device((9, 0))
    plan = replace(with_options(), custom_loss=(quartic, function))
    with pytest.raises(DeviceError, match=message):
        training_kernels(np.dtype(np.float32), training_specialization(plan))


def test_few_blocks_are_no_reason_to_warn(monkeypatch):
    from numba import cuda
    from numba.cuda.core import config
    from numba.cuda.core.errors import NumbaPerformanceWarning

    from fastmlp.engines.cuda.jit import compile_kernel

    def kernel(x):
        x[0] = 1

    monkeypatch.setattr(config, "CUDA_LOW_OCCUPANCY_WARNINGS", 1)
    compile_kernel()(kernel)[1, 32]
    compile_kernel(n_threads=256)(kernel)[1, 32]
    with pytest.warns(NumbaPerformanceWarning, match="Grid size 1"):
        cuda.jit(kernel)[1, 32]  # which is not one of these
