"""A team of threads that runs one kernel together, with barriers between its phases.

The calling thread and its workers are ordinary threads inside a compiled function that holds
no interpreter lock. Compared with numba's ``prange`` this costs one hand-over an epoch
instead of a parallel region or two for each step, works after a fork and under any
number of concurrent fits, and needs no threading layer of numba.
"""

import math
import os
import sys
import threading
from contextlib import contextmanager
from queue import SimpleQueue

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import compile_kernel

# Elements of the barrier array: how often a thread has arrived; whether to give up.
ARRIVALS, ABORT = 0, 8  # apart, so that they do not share a cache line
BARRIER_SIZE = 16
SPINS_BEFORE_YIELD = 2000


def _element(context, builder, array_type, array, index):
    """A pointer to an element of an array, in an intrinsic's ``codegen``."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def _atomic_increment(typing_context, array, index):
    """Add one to an element of an int64 array; sequentially consistent."""

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, signature.args[0], *args)
        one = ir.Constant(ir.IntType(64), 1)
        builder.atomic_rmw("add", pointer, one, "seq_cst")
        return context.get_dummy_value()

    return types.void(array, index), codegen


@intrinsic
def _atomic_load(typing_context, array, index):
    """Read an element of an int64 array that another thread may write."""

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, signature.args[0], *args)
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(array, index), codegen


@intrinsic
def _yield_processor(typing_context):
    """Let another thread run: one of the team may wait for this very core."""

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
        Of `BARRIER_SIZE` elements, all zero when the team starts.
    generation : int
        How often this thread has called, this call included.
    n_threads : int

    Returns
    -------
    bool
        False when the team has been told to give up.
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


_limit = threading.local()


def _numba_limit():
    """The threads that numba may use: what ``numba.set_num_threads`` has set, or its setting.

    Asking numba would launch its threading layer, so it is asked only where that runs already,
    as it does after ``set_num_threads``.
    """
    try:
        numba.threading_layer()
    except ValueError:
        return numba.config.NUMBA_NUM_THREADS
    return numba.get_num_threads()


def default_n_threads():
    """The threads that numba may use: its own setting, which joblib lowers in its workers.

    Inside :func:`at_most` it is no more than that.
    """
    return min(_numba_limit(), getattr(_limit, "n_threads", math.inf))


@contextmanager
def at_most(n_threads):
    """Limit the threads of fits that this thread starts."""
    before = getattr(_limit, "n_threads", math.inf)
    _limit.n_threads = min(n_threads, before)
    try:
        yield
    finally:
        _limit.n_threads = before


class Team:
    """Threads that call the same function with their own number.

    Parameters
    ----------
    n_threads : int
        The calling thread, which has number 0, included.
    """

    def __init__(self, n_threads):
        self.n_threads = n_threads
        self.barrier = np.zeros(BARRIER_SIZE, dtype=np.int64)
        self._process = None
        self._workers = []
        self._inboxes = []

    def _start_workers(self):
        """Start the other threads; again in a forked child, where threads do not survive.

        RuntimeError where the system has no more threads to give; then none is left running.
        """
        if self._process == os.getpid():
            return
        self._inboxes = [SimpleQueue() for _ in range(self.n_threads - 1)]
        self._workers = [
            threading.Thread(
                target=_work,
                args=(number, inbox, self.barrier),
                name=f"fastmlp-{number}",
                daemon=True,
            )
            for number, inbox in enumerate(self._inboxes, start=1)
        ]
        self._process = os.getpid()
        try:
            for worker in self._workers:
                worker.start()
        except BaseException:
            self.close()
            raise

    def run(self, function, *args, keeps=()):
        """Call ``function(number, n_threads, barrier, *args)`` in every thread at once.

        Parameters
        ----------
        function : callable
        *args
        keeps : object
            Lives until the last thread is done, also after an interrupt.

        Returns
        -------
        object
            What the function returns in the calling thread.

        Raises
        ------
        RuntimeError
            Where a thread cannot be started.
        BaseException
            What the function raises in any of the threads.
        """
        if self.n_threads == 1:
            return function(0, 1, self.barrier, *args)
        self._start_workers()
        self.barrier[:] = 0
        job = _Job(function, (self.n_threads, self.barrier, *args), self.n_threads - 1, keeps)
        handed_over = 0
        try:
            for inbox in self._inboxes:
                inbox.put(job)
                handed_over += 1
            return function(0, self.n_threads, self.barrier, *args)
        except BaseException:
            self.barrier[ABORT] = 1
            for inbox in self._inboxes[handed_over:]:
                inbox.put(job)
            raise
        finally:
            self._wait_for(job)

    def _wait_for(self, job):
        """Wait for the workers, even when interrupted: they use the same arrays.

        A second interrupt is not put off.
        """
        interrupt = None
        try:
            job.done.wait()
        except KeyboardInterrupt as error:
            interrupt = error
            self.barrier[ABORT] = 1
            job.done.wait()
        if interrupt is not None or job.failures:
            raise interrupt or job.failures[0]

    def close(self):
        """End the workers, and wait until they have ended."""
        if self._process == os.getpid():
            for inbox in self._inboxes:
                inbox.put(None)
            for worker in self._workers:
                if worker.ident is not None:  # it was started
                    worker.join()
        self._workers, self._inboxes, self._process = [], [], None

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


class _Job:
    """One function for all threads of a team, and what became of it.

    Parameters
    ----------
    function : callable
    args : tuple
        What it is called with after the thread's number.
    n_workers : int
    keeps : object
        Lives as long as the job.
    """

    def __init__(self, function, args, n_workers, keeps):
        self.function, self.args, self.keeps = function, args, keeps
        self.failures = []
        self.done = threading.Event()
        self._working = set(range(1, n_workers + 1))
        self._lock = threading.Lock()

    def work(self, number, barrier):
        """Do the part of worker `number`; a failure makes the whole team give up."""
        try:
            self.function(number, *self.args)
        except BaseException as error:
            barrier[ABORT] = 1
            self.failures.append(error)
        with self._lock:
            self._working.discard(number)
            if not self._working:
                self.done.set()


def _work(number, inbox, barrier):
    """The life of worker `number`: jobs from its inbox, until that holds None."""
    while (job := inbox.get()) is not None:
        job.work(number, barrier)
