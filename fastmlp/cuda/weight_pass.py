"""A training step's second phase, gradients and updates, and those that only some plans have.

Where the norm of the gradient is limited, the second phase leaves the gradient beside the
parameters, and a third one scales it and updates. Where the norms of units' weights are limited,
one more phase does that. Before each, all blocks that work on the network have to be done.
"""

from functools import cache
from math import sqrt
from types import SimpleNamespace

import numba
import numpy as np

from . import layout as at
from .jit import compile_device
from .jit import inside_kernels as cuda
from .optimizers import update_functions
from .steps import THREADS, block_sum

TILE = at.TILE
TILE_ROWS_A_THREAD = 4
assert TILE * TILE == TILE_ROWS_A_THREAD * THREADS
# Rows of a tile's columns that threads read side by side.
SPLITS = THREADS // TILE


@cache
def weight_phases(dtype, choices):
    """The phases after the first for arenas of one dtype, and their parts, by name."""
    FLOAT = numba.from_dtype(np.dtype(dtype))
    shape_gradient, change = update_functions(choices)
    has_l1, measures, clips_norms = (
        choices.penalises_absolutes, choices.measures_gradients, choices.clips_norms,
    )  # fmt: skip

    @compile_device
    def leave_sums(sums, arena, settings, alpha, tile, norm, absolute, square):
        """Leave the sums of a tile over the threads of a block."""
        if alpha > 0:
            norm = block_sum(sums, norm)
            if cuda.threadIdx.x == 0:
                arena[settings[at.NORMS] + tile] = norm
        if has_l1 and settings[at.ABSOLUTES] >= 0:
            absolute = block_sum(sums, absolute)
            if cuda.threadIdx.x == 0:
                arena[settings[at.ABSOLUTES] + tile] = absolute
        if measures and settings[at.SQUARES] >= 0:
            square = block_sum(sums, square)
            if cuda.threadIdx.x == 0:
                arena[settings[at.SQUARES] + tile] = square

    @compile_device
    def weights_phase(
        block, n_blocks, arena, layers, settings, constants, n_in_order, numbers, step
    ):  # fmt: skip
        """The second phase of a step: weight gradients, and updates, a tile a block.

        Each tile leaves sums of its weights before the step, and of its gradient.
        """
        sums = cuda.shared.array(THREADS, FLOAT)
        batch_size, n_tiles = settings[at.BATCH_SIZE], settings[at.N_TILES]
        n_parameters, optimizer = settings[at.N_PARAMETERS], settings[at.OPTIMIZER]
        n_rows = min(batch_size, n_in_order - step * batch_size)
        alpha, l1 = constants[at.ALPHA], constants[at.L1]
        rate, inverse = numbers[step, at.RATE], numbers[step, at.INVERSE]
        share, decay = numbers[step, at.GRADIENT_SHARE], numbers[step, at.DECAY]
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
            norm = FLOAT(0)
            absolute = FLOAT(0)
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
                        value = arena[w]
                        norm += value * value
                        if has_l1:
                            absolute += abs(value)
                        g = shape_gradient(total, value, alpha, l1, inverse, constants)
                        if measures:
                            square += g * g
                        if clips_norms and settings[at.CLIPS_NORM]:
                            arena[w + 3 * n_parameters] = g
                        else:
                            value = change(
                                optimizer, arena, w, n_parameters, value, g, rate, share, decay,
                                constants,
                            )  # fmt: skip
                            if number > 0:
                                to = layers[number, at.TRANSPOSED] + column * fan_in + top + i
                                arena[to] = value
                if top == 0:
                    w = layers[number, at.BIASES] + column
                    value = arena[w]
                    g = shape_gradient(bias_sum, value, FLOAT(0), FLOAT(0), inverse, constants)
                    if measures:
                        square += g * g
                    if clips_norms and settings[at.CLIPS_NORM]:
                        arena[w + 3 * n_parameters] = g
                    else:
                        change(
                            optimizer, arena, w, n_parameters, value, g, rate, share, FLOAT(1),
                            constants,
                        )  # fmt: skip
            leave_sums(sums, arena, settings, alpha, tile, norm, absolute, square)

    @compile_device
    def squared_gradient(sums, arena, settings):
        """Square of the gradient's norm from the sums of its tiles, by one block."""
        total = 0.0
        for tile in range(cuda.threadIdx.x, settings[at.N_TILES], THREADS):
            total += arena[settings[at.SQUARES] + tile]
        return block_sum(sums, total)

    @compile_device
    def clip_phase(block, n_blocks, arena, layers, settings, constants, numbers, step):
        """Limit the norm of the gradient that the second phase left, and update."""
        sums = cuda.shared.array(THREADS, numba.float64)
        n_parameters, optimizer = settings[at.N_PARAMETERS], settings[at.OPTIMIZER]
        rate, share = numbers[step, at.RATE], numbers[step, at.GRADIENT_SHARE]
        decay, limit = numbers[step, at.DECAY], constants[at.CLIP_NORM]
        total = squared_gradient(sums, arena, settings)
        factor = FLOAT(1)
        if total > limit * limit:
            factor = FLOAT(limit / sqrt(total))
        first, stride = block * THREADS + cuda.threadIdx.x, n_blocks * THREADS
        for number in range(settings[at.N_LAYERS]):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            for i in range(first, fan_in * fan_out, stride):
                w = layers[number, at.WEIGHTS] + i
                value = change(
                    optimizer, arena, w, n_parameters, arena[w],
                    arena[w + 3 * n_parameters] * factor, rate, share, decay, constants,
                )  # fmt: skip
                if number > 0:
                    to = layers[number, at.TRANSPOSED] + i % fan_out * fan_in + i // fan_out
                    arena[to] = value
            for column in range(first, fan_out, stride):
                w = layers[number, at.BIASES] + column
                change(
                    optimizer, arena, w, n_parameters, arena[w],
                    arena[w + 3 * n_parameters] * factor, rate, share, FLOAT(1), constants,
                )  # fmt: skip

    @compile_device
    def limit_phase(block, n_blocks, arena, layers, settings, constants):
        """Limit the norm of each unit's incoming weights, a tile's columns a block."""
        partial = cuda.shared.array(THREADS, FLOAT)
        most = constants[at.MAX_NORM]
        thread_column, split = cuda.threadIdx.x % TILE, cuda.threadIdx.x // TILE
        counted = 0
        for number in range(settings[at.N_LAYERS]):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            for left in range(0, fan_out, TILE):
                if counted % n_blocks == block:
                    column = left + thread_column
                    total = FLOAT(0)
                    if column < fan_out:
                        for row in range(split, fan_in, SPLITS):
                            value = arena[layers[number, at.WEIGHTS] + row * fan_out + column]
                            total += value * value
                    partial[cuda.threadIdx.x] = total
                    cuda.syncthreads()
                    total = partial[thread_column]
                    for other in range(1, SPLITS):
                        total += partial[other * TILE + thread_column]
                    # A norm that is not a number leaves its column as it is.
                    if column < fan_out and total > most * most:
                        factor = most / sqrt(total)
                        for row in range(split, fan_in, SPLITS):
                            w = layers[number, at.WEIGHTS] + row * fan_out + column
                            value = arena[w] * factor
                            arena[w] = value
                            if number > 0:
                                to = layers[number, at.TRANSPOSED] + column * fan_in + row
                                arena[to] = value
                    cuda.syncthreads()
                counted += 1

    @compile_device
    def add_sums(
        arena, settings, constants, n_in_order, numbers, penalties, gradient_norms, step
    ):  # fmt: skip
        """The penalty of a step and the norm of its gradient, by one block, when all are done."""
        sums = cuda.shared.array(THREADS, FLOAT)
        squares = cuda.shared.array(THREADS, numba.float64)
        n_rows = min(settings[at.BATCH_SIZE], n_in_order - step * settings[at.BATCH_SIZE])
        norm = FLOAT(0)
        if constants[at.ALPHA] > 0:
            for tile in range(cuda.threadIdx.x, settings[at.N_TILES], THREADS):
                norm += arena[settings[at.NORMS] + tile]
            norm = block_sum(sums, norm)
        penalty = norm * constants[at.ALPHA] * FLOAT(0.5)
        if has_l1 and settings[at.ABSOLUTES] >= 0:
            absolute = FLOAT(0)
            for tile in range(cuda.threadIdx.x, settings[at.N_TILES], THREADS):
                absolute += arena[settings[at.ABSOLUTES] + tile]
            penalty += block_sum(sums, absolute) * constants[at.L1]
        if cuda.threadIdx.x == 0:
            penalties[step] = penalty * numbers[step, at.INVERSE] * n_rows
        if measures and settings[at.SQUARES] >= 0:
            square = squared_gradient(squares, arena, settings)
            if cuda.threadIdx.x == 0:
                gradient_norms[step] = sqrt(square)

    return SimpleNamespace(
        shape_gradient=shape_gradient, change=change, leave_sums=leave_sums,
        weights_phase=weights_phase, clip_phase=clip_phase, limit_phase=limit_phase,
        add_sums=add_sums,
    )  # fmt: skip
