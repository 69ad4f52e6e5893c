"""Calls through addresses: one table says what every kernel takes, and callers are checked."""

import ast
import gc
import weakref
from pathlib import Path

import numba
import numpy as np
import pytest
from helpers import imported_by
from numba import types

from fastmlp.engines.cpu import custom_loss, engine, slots
from fastmlp.engines.cpu.arguments import Inputs, Matrix, Network, Size, StridedMatrix
from fastmlp.engines.cpu.custom_loss import compile_custom
from fastmlp.engines.cpu.indirect_call import (
    address,
    call,
    call_of_layer,
    has_layer_slot,
    signature,
)
from fastmlp.engines.cpu.jit import compile_kernel
from fastmlp.engines.cpu.slots import (
    ACTIVATE,
    BACKWARD,
    DECAY_WEIGHTS,
    FINISH_UPDATE,
    MULTIPLY,
    NAMES,
    SIGNATURES,
)
from fastmlp.engines.cpu.views import arrays_of
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan

FOLDER = Path(engine.__file__).parent
FLOAT32 = np.dtype(np.float32)
NETWORK = signature(BACKWARD, FLOAT32)[0]
DOUBLES = types.Array(types.float64, 1, "C")


def compile_for(caller, *types_of_arguments):
    compile_kernel(caller).compile(types_of_arguments)


def refusal(caller, *types_of_arguments):
    """The part of numba's message that is ours."""
    with pytest.raises(numba.TypingError) as error:
        compile_for(caller, *types_of_arguments)
    lines = [line for line in str(error.value).splitlines() if "TypingError: " in line]
    return lines[0].split("TypingError: ")[1]


def test_right_arguments_compile():
    def caller(network, i):
        arena, _, _, calls = arrays_of(network)
        call(calls, BACKWARD, network, i, 1)
        call(calls, DECAY_WEIGHTS, arena, i, np.int8(3), np.uint32(i))
        call_of_layer(calls, i, ACTIVATE, arena, i, i)

    compile_for(caller, NETWORK, types.int64)


def test_wrong_number_of_arguments():
    def caller(network, i):
        call(arrays_of(network)[3], BACKWARD, network, i)

    message = refusal(caller, NETWORK, types.int64)
    assert message == (
        "the kernel in slot BACKWARD takes 3 arguments, (Network, int64, int64), and is called "
        "with 2, (Network, int64)"
    )


def test_wrong_type_of_an_argument():
    def caller(network, i):
        call(arrays_of(network)[3], BACKWARD, network, i, 1.0)

    message = refusal(caller, NETWORK, types.int64)
    assert "BACKWARD takes 3 arguments, (Network, int64, int64)" in message
    assert message.endswith("is called with 3, (Network, int64, float64)")


def test_wrong_tuple_and_wrong_field():
    def swapped(network, i):
        arena, _, _, calls = arrays_of(network)
        size = Size(i, i, i)
        call(calls, MULTIPLY, arena, size, size, size, size, size)

    assert "(array(float32, 1d, C), Size, StridedMatrix, Matrix" in refusal(
        swapped, NETWORK, types.int64
    )

    def fractional(network, i):
        calls = arrays_of(network)[3]
        call(calls, BACKWARD, Network(network.arena, network.layers, i, network.calls), i, i)

    message = refusal(fractional, NETWORK, types.int64)
    assert "is called with 3, (Network(" in message


def test_wrong_precision():
    """Sums are float64 also where the network is float32."""

    def caller(network, sums):
        arena, _, _, calls = arrays_of(network)
        call(calls, FINISH_UPDATE, network, arena, 0, 1, 2)

    message = refusal(caller, NETWORK, DOUBLES)
    assert "(Network, array(float64, 1d, C), int64" in message
    assert "(Network, array(float32, 1d, C), int64" in message


def test_only_addresses_are_called():
    def caller(network, i):
        call(arrays_of(network)[2], BACKWARD, network, i, i)

    message = refusal(caller, NETWORK, types.int64)
    assert message == "kernels are called by a vector of addresses, not by array(int64, 1d, C)"


def test_slots_of_layers_and_of_the_network_do_not_mix():
    def of_network(network, i):
        arena, _, _, calls = arrays_of(network)
        call(calls, ACTIVATE, arena, i, i)

    assert refusal(of_network, NETWORK, types.int64) == "ACTIVATE is no slot of a network"

    def of_layer(network, i):
        call_of_layer(arrays_of(network)[3], 0, BACKWARD, network, i, i)

    assert refusal(of_layer, NETWORK, types.int64) == "BACKWARD is no slot of a layer"


def test_a_slot_is_a_constant():
    def caller(network, i):
        call(arrays_of(network)[3], i, network, i, i)

    with pytest.raises(numba.TypingError, match="No match"):
        compile_for(caller, NETWORK, types.int64)


def test_a_kernel_that_does_not_take_its_signature_is_not_compiled():
    @compile_kernel
    def takes_two(arena, start):
        pass

    with pytest.raises(TypeError):
        address(ACTIVATE, takes_two, FLOAT32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arguments_arrive(dtype):
    """Small integers are widened, tuples keep their fields, and layers have their own kernels."""

    def write(arena, start, size):
        for i in range(size):
            arena[start + i] += 1 + i

    def product(arena, size, a, b, c, init):
        arena[8] = size.rows * 100 + size.width * 10 + size.depth
        arena[9] = a.start * 100 + a.row_step * 10 + a.column_step
        arena[10] = init.start * 10 + init.row_step

    dtype = np.dtype(dtype)
    kernels = [compile_kernel(f) for f in (write, product)]
    calls = np.zeros(slots.n_slots(3), np.uint64)
    calls[ACTIVATE + 2 * slots.N_LAYER_SLOTS] = address(ACTIVATE, kernels[0], dtype)
    calls[MULTIPLY] = address(MULTIPLY, kernels[1], dtype)

    @numba.njit
    def run(arena, calls):
        for layer in range(3):
            if has_layer_slot(calls, layer, ACTIVATE):
                call_of_layer(calls, layer, ACTIVATE, arena, np.int8(2), np.uint16(3))
        size, a, b = Size(1, 2, 3), StridedMatrix(np.int32(4), 5, 6), Matrix(7, 8)
        call(calls, MULTIPLY, arena, size, a, b, b, b)

    arena = np.zeros(16, dtype)
    run(arena, calls)
    np.testing.assert_array_equal(arena[:6], [0, 0, 1, 2, 3, 0])
    np.testing.assert_array_equal(arena[8:11], [123, 456, 78])


def squared(y, p):
    return (p - y) * (p - y)


def slope(y, p):
    return 2 * (p - y)


def test_a_custom_loss_that_no_cache_keeps_lives_as_long_as_its_engine(monkeypatch):
    """Addresses keep no machine code alive."""
    compiled = []

    def compile_and_note(functions, dtype):
        result = compile_custom(functions, dtype)
        compiled.append(weakref.ref(result.kernel))
        return result

    monkeypatch.setattr(custom_loss, "compile_custom", compile_and_note)
    plan = TrainingPlan(
        (2, 1), Activation.RELU, Loss.CUSTOM, Optimizer.SGD, custom_loss=(squared, slope)
    )
    X = np.ones((1, 2))
    with engine.CpuEngine(plan, np.zeros(3), X, np.ones((1, 1))) as one:
        compile_custom.cache_clear()
        gc.collect()
        assert [kernel() is None for kernel in compiled] == [False]
        assert one.run_epoch(np.arange(1), 0.1) == 1.0
        np.testing.assert_allclose(one.pull(), 0.2)


def called_slots():
    """Names of the slots that kernels call."""
    found = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = {"call": 1, "call_of_layer": 2}.get(node.func.id)
                if place is not None:
                    found.add(ast.unparse(node.args[place]))
    return found


def filled_slots():
    """Names of the slots that get an address."""
    tree = ast.parse((FOLDER / "dispatch.py").read_text())
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "slots"
    }


def test_every_slot_has_a_signature_a_kernel_and_a_call():
    names = set(NAMES.values())
    assert called_slots() == names
    assert filled_slots() & names == names
    assert set(NAMES) == set(SIGNATURES) == set(range(slots.n_slots(1)))


def test_kernels_take_few_arguments():
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert len(node.args.args) <= 12, f"{path.name}: {node.name}"


def test_tuples_of_the_table_have_all_their_fields():
    for cls, kinds in slots.FIELDS.items():
        assert len(cls._fields) == len(kinds), cls
    used = {kind for kinds in SIGNATURES.values() for kind in kinds}
    assert used >= set(slots.FIELDS) >= {Network, Inputs, Size}


def test_the_table_needs_no_compiler():
    assert not imported_by("import fastmlp.engines.cpu.slots") & {"numba", "llvmlite"}
