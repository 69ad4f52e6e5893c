"""The barrier of a team of threads: a kernel that waits, first awake and then asleep.

To look again and again whether the others have arrived is fastest while each thread has a processor
core of its own. Where one does not run, because other processes want its core, the others go to
sleep: the core of a sleeping thread is free for the one that is waited for. On Linux a futex lets
threads sleep; elsewhere they let other threads run and look again.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .barrier_array import (
    ARRIVALS,
    END,
    LEAST_SPINS,
    MOST_SPINS,
    NAP_SECONDS,
    NAPS,
    PATIENCE,
    SLEEPERS,
    SPINS,
    WAITS_PER_TRY,
)
from .jit import compile_kernel

# Numbers of Linux: the system call, by processor, and its operations for threads of one process.
_FUTEX = {"x86_64": 202, "aarch64": 98}
_WAIT, _WAKE = 128, 129
_ALL_SLEEPERS = 2**31 - 1


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
def _atomic_add(typing_context, array, index, number):
    """Add to an element of an int64 array, as an atomic and sequentially consistent step.

    Parameters
    ----------
    array : vector of int64
        Modified in place.
    index, number : int

    Returns
    -------
    int
        The element before.
    """

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, signature.args[0], args[0], args[1])
        number = context.cast(builder, args[2], signature.args[2], types.int64)
        return builder.atomic_rmw("add", pointer, number, "seq_cst")

    return types.int64(array, index, number), codegen


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
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(array, index), codegen


def _declare(builder, name, function_type):
    """Return a function of the system's C library, which is declared where it is not yet."""
    function = builder.module.globals.get(name)
    return function or ir.Function(builder.module, function_type, name)


def _futex_number(builder):
    """Return the number of the system call futex where code is compiled for; None for no Linux."""
    processor, *_ = builder.module.triple.split("-")
    return _FUTEX.get(processor) if "linux" in builder.module.triple else None


def _call_futex(builder, number, array, operation, value, duration):
    """Write the system call futex on the lower half of the first element of an array.

    Parameters
    ----------
    builder : llvmlite builder
    number : int
        The number of the system call.
    array, operation, value, duration : llvmlite values of type int64
        The address of the element, what to do, its operand, and the address of a duration or 0.
    """
    long = ir.IntType(64)
    function = _declare(builder, "syscall", ir.FunctionType(long, [long], var_arg=True))
    builder.call(function, [ir.Constant(long, number), array, operation, value, duration])


@intrinsic
def _sleep(typing_context, array, value):
    """Sleep until woken, or for a short while, if the arrivals still are what was seen before.

    Parameters
    ----------
    array : vector of int64
    value : int
        The arrivals that were seen.
    """

    def codegen(context, builder, signature, args):
        number = _futex_number(builder)
        if number is None:
            name = "SwitchToThread" if "windows" in builder.module.triple else "sched_yield"
            builder.call(_declare(builder, name, ir.FunctionType(ir.IntType(32), [])), [])
            return context.get_dummy_value()
        long, array_type = ir.IntType(64), signature.args[0]
        place, duration = (
            builder.ptrtoint(
                _element(context, builder, array_type, args[0], ir.Constant(long, index)), long
            )
            for index in (ARRIVALS, NAP_SECONDS)
        )
        lower = builder.and_(args[1], ir.Constant(long, 2**32 - 1))
        _call_futex(builder, number, place, ir.Constant(long, _WAIT), lower, duration)
        return context.get_dummy_value()

    return types.void(array, value), codegen


@intrinsic
def _wake_all(typing_context, array):
    """Wake all threads that sleep on the arrivals.

    Parameters
    ----------
    array : vector of int64
    """

    def codegen(context, builder, signature, args):
        number = _futex_number(builder)
        if number is not None:
            long = ir.IntType(64)
            place = _element(
                context, builder, signature.args[0], args[0], ir.Constant(long, ARRIVALS)
            )
            operation, everybody, none = (
                ir.Constant(long, value) for value in (_WAKE, _ALL_SLEEPERS, 0)
            )
            _call_futex(builder, number, builder.ptrtoint(place, long), operation, everybody, none)
        return context.get_dummy_value()

    return types.void(array), codegen


@compile_kernel
def _nap(barrier, arrived, wanted):
    """Sleep until all have arrived.

    Parameters
    ----------
    barrier : vector of int64
        Modified in place.
    arrived, wanted : int
        The arrivals that were seen last, and those that are waited for.

    Returns
    -------
    int
        The arrivals; negative where the team has been told to give up.
    """
    _atomic_add(barrier, NAPS, 1)
    _atomic_add(barrier, SLEEPERS, 1)
    arrived = _atomic_load(barrier, ARRIVALS)
    while 0 <= arrived < wanted:
        _sleep(barrier, arrived)
        arrived = _atomic_load(barrier, ARRIVALS)
    _atomic_add(barrier, SLEEPERS, -1)
    return arrived


@compile_kernel
def wait(barrier, generation, n_threads):
    """Wait until every thread of the team has arrived `generation` times.

    Parameters
    ----------
    barrier : vector of int64
        See :mod:`fastmlp.engines.cpu.barrier_array`. Modified in place.
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
    wanted = generation * n_threads
    arrived = _atomic_add(barrier, ARRIVALS, 1) + 1
    if arrived == wanted:
        # Who falls asleep has said so before it looks for the last time at who has arrived.
        if _atomic_load(barrier, SLEEPERS) > 0:
            _wake_all(barrier)
        return True
    limit = barrier[SPINS]
    if generation % WAITS_PER_TRY == 0:
        limit = MOST_SPINS
    spins = 0
    while spins < limit and 0 <= arrived < wanted:
        arrived = _atomic_load(barrier, ARRIVALS)
        spins += 1
    if 0 <= arrived < wanted:
        barrier[SPINS] = max(barrier[SPINS] // 2, LEAST_SPINS)
        arrived = _nap(barrier, arrived, wanted)
    elif spins > barrier[SPINS] // 2:
        barrier[SPINS] = min(2 * spins, MOST_SPINS)
    return arrived >= 0


@compile_kernel
def end_early(barrier, end):
    """End a job after this step where threads have slept too often.

    One thread calls this, before the first barrier of the step.

    Parameters
    ----------
    barrier : vector of int64
        Modified in place.
    end : int
        The number of rows of the job up to the end of the step.
    """
    if barrier[END] == 0 and _atomic_load(barrier, NAPS) > barrier[PATIENCE]:
        barrier[END] = end


@compile_kernel
def is_last(barrier, end):
    """Tell whether a job ends after this step, so that all threads get the same answer.

    It is called after the last barrier of the step. Another thread may have begun the next step by
    then, and have made that one the last.

    Parameters
    ----------
    barrier : vector of int64
    end : int
        The number of rows of the job up to the end of the step.

    Returns
    -------
    bool
    """
    return 0 < _atomic_load(barrier, END) <= end


@compile_kernel
def take_next(barrier):
    """Take the next of some numbered pieces of work, each of which one thread takes.

    A job has either such pieces or barriers.

    Parameters
    ----------
    barrier : vector of int64
        Modified in place.

    Returns
    -------
    int
        The number of the piece, counted from 0; negative where the team has been told to give up.
    """
    return _atomic_add(barrier, ARRIVALS, 1)
