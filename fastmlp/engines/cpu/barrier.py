"""The barrier at which the threads of a team wait for each other, in compiled code."""

import sys

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import compile_kernel
from .threads import ABORT, ARRIVALS

# How often a thread looks whether the others have arrived before it lets other threads run.
SPINS_BEFORE_YIELD = 2000


def _element(context, builder, array_type, array, index):
    """Write what computes a pointer to an element of an array.

    Parameters
    ----------
    context, builder
        The arguments of an intrinsic's ``codegen``.
    array_type : numba type
    array, index : llvmlite values

    Returns
    -------
    llvmlite value
    """
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def _atomic_increment(typing_context, array, index):
    """Add one to an element of an int64 array, as an atomic and sequentially consistent step.

    Parameters
    ----------
    array : vector of int64
        Modified in place.
    index : int
    """

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, signature.args[0], *args)
        one = ir.Constant(ir.IntType(64), 1)
        builder.atomic_rmw("add", pointer, one, "seq_cst")
        return context.get_dummy_value()

    return types.void(array, index), codegen


@intrinsic
def _atomic_load(typing_context, array, index):
    """Read an element of an int64 array that another thread may write at the same time.

    Parameters
    ----------
    array : vector of int64
    index : int

    Returns
    -------
    int
    """

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, signature.args[0], *args)
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(array, index), codegen


@intrinsic
def _yield_processor(typing_context):
    """Let another thread run: one of the team may be waiting for this processor core."""

    def codegen(context, builder, signature, args):
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        function_type = ir.FunctionType(ir.IntType(32), [])
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, function_type, name)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


@compile_kernel
def wait(barrier, generation, n_threads):
    """Wait until every thread of the team has arrived `generation` times.

    Parameters
    ----------
    barrier : vector of int64
        It has `BARRIER_SIZE` elements, which are all zero when the team starts. Modified in place.
    generation : int
        The number of calls of this thread, this one included.
    n_threads : int
        The number of threads of the team.

    Returns
    -------
    bool
        False where the team has been told to give up.
    """
    if n_threads == 1:
        return True
    _atomic_increment(barrier, ARRIVALS)
    spins = 0
    while _atomic_load(barrier, ARRIVALS) < generation * n_threads:
        spins += 1
        if spins > SPINS_BEFORE_YIELD:
            if _atomic_load(barrier, ABORT) != 0:
                return False
            _yield_processor()
    return True
