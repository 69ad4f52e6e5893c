"""A training step's two phases, as a block of GPU threads sees them.

A step has the two phases of the CPU's (see :mod:`fastmlp.cpu.kernels`). In the first, a
block takes a few rows of the batch through all layers and back. In the second, a block
computes a tile of the weight gradient and updates the weights from registers. Between
them every block that works on the network has to be done: a barrier of the grid, the end
of a launch, or a barrier of the block where it works alone. Every number is computed by
one thread, or summed over threads in one fixed order, so results do not depend on the
number of blocks.
"""

from functools import cache
from types import SimpleNamespace

import numba
import numpy as np

from . import layout as at
from .elementwise import (
    activate,
    activate_output,
    apply_update,
    loss_and_delta,
    times_derivative,
)
from .jit import compile_device
from .jit import inside_kernels as cuda
from .support import is_simulated

# Threads of a block. The simulator pays for each by itself.
THREADS = 64 if is_simulated() else 256
# Rows that a block takes through the layers together: a weight that was read serves all.
ROWS = 4
TILE = at.TILE
TILE_ROWS_A_THREAD = 4
assert TILE * TILE == TILE_ROWS_A_THREAD * THREADS


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
def phases(dtype):
    """The phases for arenas of one dtype, and their parts, by name."""
    FLOAT = numba.from_dtype(np.dtype(dtype))
    N_PARTIAL = ROWS * THREADS

    @compile_device
    def multiply_rows(
        arena, a, n_rows, depth, b, width, out, biases, activation, derivative_at
    ):  # fmt: skip
        """A few rows times a matrix, with what follows; by all threads of a block.

        The rows start at `a`. With `biases` the result is a layer's activation; with
        `derivative_at`, where the activations are, it is a delta. (-1: neither.)
        """
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
                    to = row * width + column
                    if biases >= 0:
                        total += arena[biases + column]
                        total = activate(activation, total)
                    elif derivative_at >= 0:
                        total = times_derivative(activation, arena[derivative_at + to], total)
                    arena[out + to] = total
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
    def forward(arena, layers, settings, first, n_rows):
        """Activations of all layers for a few rows of the batch; the output stays linear."""
        for number in range(settings[at.N_LAYERS]):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            multiply_rows(
                arena, layers[number, at.INPUT] + first * fan_in, n_rows, fan_in,
                layers[number, at.WEIGHTS], fan_out,
                layers[number, at.OUTPUT] + first * fan_out, layers[number, at.BIASES],
                layers[number, at.ACTIVATION], -1,
            )  # fmt: skip

    @compile_device
    def backward(arena, layers, settings, first, n_rows):
        """Deltas of all hidden layers for a few rows of the batch."""
        for number in range(settings[at.N_LAYERS] - 1, 0, -1):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            multiply_rows(
                arena, layers[number, at.DELTA] + first * fan_out, n_rows, fan_out,
                layers[number, at.TRANSPOSED], fan_in,
                layers[number - 1, at.DELTA] + first * fan_in, -1,
                layers[number - 1, at.ACTIVATION], layers[number - 1, at.OUTPUT] + first * fan_in,
            )  # fmt: skip

    @compile_device
    def finish_row(
        arena, layers, settings, constants, Y, sample_weight, order, inverses, row_losses, step,
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
                loss, arena, p, Y, settings[at.FIRST_Y] + source * n_outputs, n_outputs, weight,
                constants[at.MACHINE_EPSILON],
            ) * inverses[step] * n_rows
        )  # fmt: skip

    @compile_device
    def rows_phase(
        block, n_blocks, arena, layers, settings, constants, X, Y, sample_weight, order, inverses,
        row_losses, step,
    ):  # fmt: skip
        """The first phase of a step: forward, loss and deltas back, a few rows a block."""
        start = step * settings[at.BATCH_SIZE]
        n_rows = min(settings[at.BATCH_SIZE], order.size - start)
        slab = max(1, min(ROWS, (n_rows + n_blocks - 1) // n_blocks))
        for first in range(block * slab, n_rows, n_blocks * slab):
            n_here = min(slab, n_rows - first)
            gather(arena, layers, settings, X, order, start, first, n_here)
            forward(arena, layers, settings, first, n_here)
            if cuda.threadIdx.x < n_here:
                finish_row(
                    arena, layers, settings, constants, Y, sample_weight, order, inverses,
                    row_losses, step, n_rows, first + cuda.threadIdx.x,
                )  # fmt: skip
            cuda.syncthreads()
            backward(arena, layers, settings, first, n_here)

    @compile_device
    def weights_phase(
        block, n_blocks, arena, layers, settings, constants, n_in_order, rates, inverses, step
    ):  # fmt: skip
        """The second phase of a step: weight gradients, and updates, a tile a block.

        Each tile leaves its sum of squares of the weights before the step.
        """
        squares = cuda.shared.array(THREADS, FLOAT)
        batch_size, n_tiles = settings[at.BATCH_SIZE], settings[at.N_TILES]
        n_parameters, optimizer = settings[at.N_PARAMETERS], settings[at.OPTIMIZER]
        n_rows = min(batch_size, n_in_order - step * batch_size)
        alpha, inverse, rate = constants[at.ALPHA], inverses[step], rates[step]
        # Neighbouring threads have neighbouring columns, and a thread some rows below each other.
        thread_column = cuda.threadIdx.x % TILE
        thread_row = cuda.threadIdx.x // TILE * TILE_ROWS_A_THREAD
        for tile in range(block, n_tiles, n_blocks):
            number = 0
            while number + 1 < settings[at.N_LAYERS] and tile >= layers[number + 1, at.FIRST_TILE]:
                number += 1
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            place = tile - layers[number, at.FIRST_TILE]
            top = place // layers[number, at.TILE_COLUMNS] * TILE + thread_row
            column = place % layers[number, at.TILE_COLUMNS] * TILE + thread_column
            deltas, inputs = layers[number, at.DELTA], layers[number, at.INPUT]
            square = FLOAT(0)
            if column < fan_out:
                last = fan_in - 1
                sum_0 = FLOAT(0)
                sum_1 = FLOAT(0)
                sum_2 = FLOAT(0)
                sum_3 = FLOAT(0)
                i_0 = min(top, last)
                i_1 = min(top + 1, last)
                i_2 = min(top + 2, last)
                i_3 = min(top + 3, last)
                bias_sum = FLOAT(0)
                for row in range(n_rows):
                    delta = arena[deltas + row * fan_out + column]
                    bias_sum += delta
                    a = inputs + row * fan_in
                    sum_0 += arena[a + i_0] * delta
                    sum_1 += arena[a + i_1] * delta
                    sum_2 += arena[a + i_2] * delta
                    sum_3 += arena[a + i_3] * delta
                for i in range(TILE_ROWS_A_THREAD):
                    if top + i < fan_in:
                        total = sum_0
                        if i == 1:
                            total = sum_1
                        elif i == 2:
                            total = sum_2
                        elif i == 3:
                            total = sum_3
                        w = layers[number, at.WEIGHTS] + (top + i) * fan_out + column
                        square += arena[w] * arena[w]
                        value = apply_update(
                            optimizer, arena, w, n_parameters, total, alpha, inverse, rate,
                            constants,
                        )  # fmt: skip
                        if number > 0:
                            arena[layers[number, at.TRANSPOSED] + column * fan_in + top + i] = value
                if top == 0:
                    apply_update(
                        optimizer, arena, layers[number, at.BIASES] + column, n_parameters,
                        bias_sum, FLOAT(0), inverse, rate, constants,
                    )  # fmt: skip
            if alpha > 0:
                norm = block_sum(squares, square)
                if cuda.threadIdx.x == 0:
                    arena[settings[at.NORMS] + tile] = norm

    @compile_device
    def add_penalty(arena, settings, constants, n_in_order, inverses, penalties, step):
        """The L2 penalty of a step from the sums of its tiles, by one block, when all are done."""
        sums = cuda.shared.array(THREADS, FLOAT)
        n_rows = min(settings[at.BATCH_SIZE], n_in_order - step * settings[at.BATCH_SIZE])
        norm = FLOAT(0)
        for tile in range(cuda.threadIdx.x, settings[at.N_TILES], THREADS):
            norm += arena[settings[at.NORMS] + tile]
        norm = block_sum(sums, norm)
        if cuda.threadIdx.x == 0:
            penalties[step] = norm * constants[at.ALPHA] * inverses[step] * n_rows / 2

    return SimpleNamespace(
        gather=gather, forward=forward, finish_row=finish_row, rows_phase=rows_phase,
        weights_phase=weights_phase, add_penalty=add_penalty,
    )  # fmt: skip
