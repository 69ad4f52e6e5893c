"""A grid of several blocks, run thread by thread in any order.

numba's own simulator runs one block after the other, so that barriers of the grid mean
nothing, and its threads in the order of the operating system. Here every thread is a
greenlet that runs until its next barrier; which one runs next is drawn. A missing barrier
then shows as a result that depends on the draw, and a barrier that not all threads reach
is an error.
"""

import sys
from contextlib import contextmanager
from types import SimpleNamespace

import greenlet
import numpy as np
from numba.cuda.simulator import kernel as simulator

BLOCK_BARRIER, GRID_BARRIER, DONE = "barrier of the block", "barrier of the grid", "done"


class _Thread(greenlet.greenlet):
    def __init__(self, function, args, block, number):
        super().__init__(lambda: function(*args))
        self.block, self.number = block, number
        self.reached = None

    def go_on(self):
        """Run to the next barrier, or to the end."""
        event = self.switch()
        self.reached = DONE if self.dead else event


class _Block:
    def __init__(self, number):
        self.number = number
        self.shared = {}


class _Cuda:
    """What kernels see as the module ``cuda``."""

    def __init__(self, n_blocks, n_threads):
        self.gridDim, self.blockDim = SimpleNamespace(x=n_blocks), SimpleNamespace(x=n_threads)
        self.shared = SimpleNamespace(array=self._shared_array)
        group = SimpleNamespace(sync=lambda: _wait(GRID_BARRIER))
        self.cg = SimpleNamespace(this_grid=lambda: group)

    threadIdx = property(lambda self: SimpleNamespace(x=greenlet.getcurrent().number))  # noqa: N815
    blockIdx = property(lambda self: SimpleNamespace(x=greenlet.getcurrent().block.number))  # noqa: N815

    def syncthreads(self):
        _wait(BLOCK_BARRIER)

    def grid(self, n_dimensions):
        return self.blockIdx.x * self.blockDim.x + self.threadIdx.x

    def gridsize(self, n_dimensions):
        return self.gridDim.x * self.blockDim.x

    def _shared_array(self, shape, dtype, alignment=None):
        caller = sys._getframe(1)
        place = caller.f_code, caller.f_lineno
        shared = greenlet.getcurrent().block.shared
        if place not in shared:
            dtype = np.dtype(dtype.name)
            shared[place] = np.full(shape, np.nan if dtype.kind == "f" else -1, dtype)
        return shared[place]


def _wait(barrier):
    greenlet.getcurrent().parent.switch(barrier)


def _advance(threads, rng):
    """Run threads to their next barrier; the one that all of them have reached."""
    for i in rng.permutation(len(threads)):
        threads[i].go_on()
    reached = {thread.reached for thread in threads}
    if len(reached) > 1:
        raise RuntimeError(f"threads of one block wait at different places: {sorted(reached)}")
    return reached.pop()


def run_grid(function, n_blocks, n_threads, args, rng):
    """Run a kernel's Python function over a grid."""
    blocks = [_Block(number) for number in range(n_blocks)]
    grid = [[_Thread(function, args, block, t) for t in range(n_threads)] for block in blocks]
    while grid:
        reached = []
        for b in rng.permutation(len(grid)):
            event = BLOCK_BARRIER
            while event == BLOCK_BARRIER:
                event = _advance(grid[b], rng)
            reached.append(event)
        if len(set(reached)) > 1:
            raise RuntimeError("some blocks wait for others that have ended")
        if reached[0] == DONE:
            return


def _on_host(argument):
    """An argument of a kernel, with NumPy arrays for those of the simulator's device."""
    if isinstance(argument, tuple):
        return type(argument)(*map(_on_host, argument))
    return getattr(argument, "_ary", argument)


@contextmanager
def scheduled(seed):
    """Launches inside go through this scheduler, with threads drawn from a seed."""
    rng = np.random.default_rng(seed)
    original = simulator.FakeCUDAKernel.__call__

    def call(kernel, *args):
        (n_blocks, *_), (n_threads, *_) = kernel.grid_dim, kernel.block_dim
        with simulator._push_kernel_context(_Cuda(n_blocks, n_threads)):
            run_grid(kernel.fn, n_blocks, n_threads, [_on_host(one) for one in args], rng)

    simulator.FakeCUDAKernel.__call__ = call
    try:
        yield
    finally:
        simulator.FakeCUDAKernel.__call__ = original
