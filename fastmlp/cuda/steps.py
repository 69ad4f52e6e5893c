"""A training step's first phase, as a block of GPU threads sees it.

A step has the two phases of the CPU's (see :mod:`fastmlp.cpu.kernels`). In the first, here, a
block takes a few rows of the batch through all layers and back. In the second
(:mod:`fastmlp.cuda.weight_pass`) a block computes a tile of the weight gradient and updates the
weights from registers. Between them every block that works on the network has to be done: a
barrier of the grid, the end of a launch, or a barrier of the block where it works alone. Every
number is computed by one thread, or summed over threads in one fixed order, so results do not
depend on the number of blocks.
"""

from functools import cache
from types import SimpleNamespace

import numba
import numpy as np

from . import layout as at
from .jit import compile_device
from .jit import inside_kernels as cuda
from .layers import unit_functions
from .outputs import output_functions
from .support import is_simulated

# Threads of a block. The simulator pays for each by itself.
THREADS = 64 if is_simulated() else 256
# Rows that a block takes through the layers together: a weight that was read serves all.
ROWS = 4


@compile_device
def block_sum(sums, value):
    """Sum of a number of each thread of a block, in a fixed order, through a shared array."""
    thread = cuda.threadIdx.x
    sums[thread] = value
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if thread < half:
            sums[thread] += sums[thread + half]
        cuda.syncthreads()
        half //= 2
    total = sums[0]
    cuda.syncthreads()
    return total


@compile_device
def total_of(sums, values):
    """Sum of all values in float64, by one block, in a fixed order."""
    total = 0.0
    for i in range(cuda.threadIdx.x, values.size, THREADS):
        total += values[i]
    return block_sum(sums, total)


@cache
def row_phase(dtype, choices):
    """The first phase for arenas of one dtype, and its parts, by name."""
    FLOAT = numba.from_dtype(np.dtype(dtype))
    N_PARTIAL = ROWS * THREADS
    finish_unit, finish_delta = unit_functions(choices)
    activate_output, loss_and_delta = output_functions(choices)

    @compile_device
    def multiply_rows(arena, layers, settings, number, is_back, first, n_rows, seen):
        """A few rows times a layer's weights, with what follows; by all threads of a block.

        The results are the layer's activations; going back, the deltas of the layer before.
        """
        depth, width = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
        a, b, out = layers[number, at.INPUT], layers[number, at.WEIGHTS], layers[number, at.OUTPUT]
        biases = layers[number, at.BIASES]
        if is_back:
            depth, width = width, depth
            a, b = layers[number, at.DELTA], layers[number, at.TRANSPOSED]
            out = layers[number - 1, at.DELTA]
        a += first * depth
        partial = cuda.shared.array(N_PARTIAL, FLOAT)
        thread = cuda.threadIdx.x
        n_splits = max(1, min(THREADS // width, depth))
        chunk = (depth + n_splits - 1) // n_splits
        last = n_rows - 1
        for base in range(0, width, THREADS):
            column, split = base + thread, 0
            if width < THREADS:
                column, split = thread % width, thread // width
            works = column < width and split < n_splits
            sum_0 = FLOAT(0)
            sum_1 = FLOAT(0)
            sum_2 = FLOAT(0)
            sum_3 = FLOAT(0)
            if works:
                first_k = split * chunk
                last_k = min(depth, first_k + chunk)
                row_0 = a
                row_1 = a + min(1, last) * depth
                row_2 = a + min(2, last) * depth
                row_3 = a + min(3, last) * depth
                for k in range(first_k, last_k):
                    w = arena[b + k * width + column]
                    sum_0 += arena[row_0 + k] * w
                    sum_1 += arena[row_1 + k] * w
                    sum_2 += arena[row_2 + k] * w
                    sum_3 += arena[row_3 + k] * w
            partial[thread] = sum_0
            partial[THREADS + thread] = sum_1
            partial[2 * THREADS + thread] = sum_2
            partial[3 * THREADS + thread] = sum_3
            cuda.syncthreads()
            if works and split == 0:
                for row in range(n_rows):
                    total = partial[row * THREADS + thread]
                    for other in range(1, n_splits):
                        total += partial[row * THREADS + other * width + thread]
                    if is_back:
                        total = finish_delta(arena, layers, number - 1, first + row, column, total)
                    else:
                        total += arena[biases + column]
                        total = finish_unit(
                            arena, layers, settings, number, first + row, column, seen, total
                        )
                    arena[out + (first + row) * width + column] = total
            cuda.syncthreads()

    @compile_device
    def gather(arena, layers, settings, X, order, start, first, n_rows):
        """Copy a few rows of X, in the order of the epoch, to the inputs of the first layer."""
        n_features = layers[0, at.FAN_IN]
        for row in range(n_rows):
            source = settings[at.FIRST_X] + order[start + first + row] * n_features
            to = layers[0, at.INPUT] + (first + row) * n_features
            for k in range(cuda.threadIdx.x, n_features, THREADS):
                arena[to + k] = X[source + k]
        cuda.syncthreads()

    @compile_device
    def forward(arena, layers, settings, first, n_rows, seen):
        """Activations of all layers for a few rows of the batch; the output stays linear."""
        for number in range(settings[at.N_LAYERS]):
            multiply_rows(arena, layers, settings, number, False, first, n_rows, seen)

    @compile_device
    def backward(arena, layers, settings, first, n_rows):
        """Deltas of all hidden layers for a few rows of the batch."""
        for number in range(settings[at.N_LAYERS] - 1, 0, -1):
            multiply_rows(arena, layers, settings, number, True, first, n_rows, 0)

    @compile_device
    def finish_row(
        arena, layers, settings, constants, Y, sample_weight, order, numbers, row_losses, step,
        n_rows, row,
    ):  # fmt: skip
        """The loss of one row of a batch of `n_rows`; deltas replace its outputs."""
        last, loss = settings[at.N_LAYERS] - 1, settings[at.LOSS]
        n_outputs = layers[last, at.FAN_OUT]
        place = step * settings[at.BATCH_SIZE] + row
        source = order[place]
        weight = FLOAT(1)
        if settings[at.IS_WEIGHTED]:
            weight = sample_weight[settings[at.FIRST_WEIGHT] + source]
        p = layers[last, at.OUTPUT] + row * n_outputs
        activate_output(loss, arena, p, n_outputs)
        row_losses[place] = (
            loss_and_delta(
                loss, arena, settings, p, Y, settings[at.FIRST_Y] + source * n_outputs, n_outputs,
                weight, constants[at.MACHINE_EPSILON],
            ) * numbers[step, at.INVERSE] * n_rows
        )  # fmt: skip

    @compile_device
    def rows_phase(
        block, n_blocks, arena, layers, settings, constants, X, Y, sample_weight, order, numbers,
        row_losses, step, steps_done,
    ):  # fmt: skip
        """The first phase of a step: forward, loss and deltas back, a few rows a block.

        `steps_done` are those before the first of this order.
        """
        start = step * settings[at.BATCH_SIZE]
        seen = start + steps_done * settings[at.BATCH_SIZE]
        n_rows = min(settings[at.BATCH_SIZE], order.size - start)
        slab = max(1, min(ROWS, (n_rows + n_blocks - 1) // n_blocks))
        for first in range(block * slab, n_rows, n_blocks * slab):
            n_here = min(slab, n_rows - first)
            gather(arena, layers, settings, X, order, start, first, n_here)
            forward(arena, layers, settings, first, n_here, seen)
            if cuda.threadIdx.x < n_here:
                finish_row(
                    arena, layers, settings, constants, Y, sample_weight, order, numbers,
                    row_losses, step, n_rows, first + cuda.threadIdx.x,
                )  # fmt: skip
            cuda.syncthreads()
            backward(arena, layers, settings, first, n_here)

    return SimpleNamespace(
        gather=gather, forward=forward, finish_row=finish_row, rows_phase=rows_phase
    )
