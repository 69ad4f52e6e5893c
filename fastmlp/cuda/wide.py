"""Steps of wide networks: each layer is a matrix product of its own, by tiles.

A block computes a square tile of a product. Parts of both factors lie in shared memory, where
each thread finds four rows and four columns, and keeps their 16 sums in registers. Every sum
is one thread's, in one order. Where a layer is wide and the batch large, an element that is
brought from memory so serves a whole tile, where the launches of :mod:`fastmlp.cuda.kernels`
use a weight for four rows.
"""

from functools import cache
from itertools import pairwise

import numba
import numpy as np
from numpy import uint64

from ..parameters import n_parameters
from . import layout as at
from .jit import compile_bounded, compile_device, compile_kernel
from .jit import inside_kernels as cuda
from .layers import unit_functions
from .steps import THREADS, row_phase
from .weight_pass import weight_phases

# A network is wide from so many units in each hidden layer and, with few rows of a batch, so many
# multiply-adds of a step on (parameters times rows): tiles are then many enough, by estimate, to
# fill a GPU, and take longer than their launches. It must not depend on the device: the sums have
# another order than those of other launches.
_WIDE_UNITS = 256
_WIDE_MULTIPLY_ADDS = 2**28

# Threads stand in a square, each with 4 x 4 elements, a side apart.
SIDE = round(THREADS**0.5)
EDGE = 4 * SIDE
assert SIDE * SIDE == THREADS and EDGE >= at.TILE
# Depth of the parts in shared memory, and how far apart their rows begin: not a multiple of the
# number of banks.
DEPTH = 8
STRIDE = EDGE + 1


def is_wide(plan):
    """Whether a network is trained here."""
    hidden = plan.layer_units[1:-1]
    work = plan.batch_size * n_parameters(plan.layer_units)
    return len(hidden) > 0 and min(hidden) >= _WIDE_UNITS and work >= _WIDE_MULTIPLY_ADDS


def n_tiles(n_rows, n_columns):
    """Tiles of a matrix."""
    return -(-n_rows // EDGE) * -(-n_columns // EDGE)


def launches(plan, n_rows):
    """What a step on some rows launches: name, layer, whether back, and useful blocks."""
    layers = list(enumerate(pairwise(plan.layer_units)))
    yield "wide_gather", 0, False, n_rows
    for number, (_, fan_out) in layers:
        yield "wide_product", number, False, n_tiles(n_rows, fan_out)
    yield "wide_losses", 0, False, -(-n_rows // THREADS)
    for number, (fan_in, _) in reversed(layers[1:]):
        yield "wide_product", number, True, n_tiles(n_rows, fan_in)
    for number, units in layers:
        yield "wide_update", number, False, n_tiles(*units)


@cache
def wide_kernels(dtype, choices):
    """The kernels of the first two phases, as a dict by name.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the arena.
    choices : Choices
    """
    FLOAT = numba.from_dtype(np.dtype(dtype))
    N_SHARED = EDGE * STRIDE
    gather, finish_row = row_phase(dtype, choices).gather, row_phase(dtype, choices).finish_row
    finish_unit, finish_delta = unit_functions(choices)
    of_weights = weight_phases(dtype, choices)
    shape_gradient, change, leave_sums = (
        of_weights.shape_gradient, of_weights.change, of_weights.leave_sums,
    )  # fmt: skip
    has_l1, measures, clips_norms = (
        choices.penalises_absolutes, choices.measures_gradients, choices.clips_norms,
    )  # fmt: skip

    @compile_device
    def multiply_tile(
        shared, arena, a, a_row, a_depth, n_rows, b, n_columns, depth, top, left
    ):  # fmt: skip
        """A tile of a product, to shared memory, where row i begins at i * STRIDE.

        The first factor's elements lie `a_row` and `a_depth` apart, one of which is 1; the second
        is row-major.
        """
        thread = cuda.threadIdx.x
        row, column = thread // SIDE, thread % SIDE
        s00 = s01 = s02 = s03 = FLOAT(0)
        s10 = s11 = s12 = s13 = FLOAT(0)
        s20 = s21 = s22 = s23 = FLOAT(0)
        s30 = s31 = s32 = s33 = FLOAT(0)
        for first in range(0, depth, DEPTH):
            for i in range(thread, EDGE * DEPTH, THREADS):
                # Neighbouring threads read neighbouring elements.
                m, k = i % EDGE, i // EDGE
                value = FLOAT(0)
                if left + m < n_columns and first + k < depth:
                    value = arena[b + (first + k) * n_columns + left + m]
                shared[DEPTH * STRIDE + k * STRIDE + m] = value
                if a_depth == 1:
                    m, k = i // DEPTH, i % DEPTH
                value = FLOAT(0)
                if top + m < n_rows and first + k < depth:
                    value = arena[a + (top + m) * a_row + (first + k) * a_depth]
                shared[k * STRIDE + m] = value
            cuda.syncthreads()
            k = 0
            while k < DEPTH:
                # Unsigned, places are not tested for counting from the end.
                at_a = k * STRIDE + row
                at_b = (DEPTH + k) * STRIDE + column
                a0, a1 = shared[uint64(at_a)], shared[uint64(at_a + SIDE)]
                a2, a3 = shared[uint64(at_a + 2 * SIDE)], shared[uint64(at_a + 3 * SIDE)]
                b0, b1 = shared[uint64(at_b)], shared[uint64(at_b + SIDE)]
                b2, b3 = shared[uint64(at_b + 2 * SIDE)], shared[uint64(at_b + 3 * SIDE)]
                s00 += a0 * b0
                s01 += a0 * b1
                s02 += a0 * b2
                s03 += a0 * b3
                s10 += a1 * b0
                s11 += a1 * b1
                s12 += a1 * b2
                s13 += a1 * b3
                s20 += a2 * b0
                s21 += a2 * b1
                s22 += a2 * b2
                s23 += a2 * b3
                s30 += a3 * b0
                s31 += a3 * b1
                s32 += a3 * b2
                s33 += a3 * b3
                k += 1
            cuda.syncthreads()
        keep_row(shared, row * STRIDE + column, s00, s01, s02, s03)
        keep_row(shared, (row + SIDE) * STRIDE + column, s10, s11, s12, s13)
        keep_row(shared, (row + 2 * SIDE) * STRIDE + column, s20, s21, s22, s23)
        keep_row(shared, (row + 3 * SIDE) * STRIDE + column, s30, s31, s32, s33)
        cuda.syncthreads()

    @compile_device
    def keep_row(shared, to, s0, s1, s2, s3):
        """Four sums of one row of a tile."""
        shared[to] = s0
        shared[to + SIDE] = s1
        shared[to + 2 * SIDE] = s2
        shared[to + 3 * SIDE] = s3

    @compile_kernel
    def wide_gather(arena, layers, settings, X, order, step):
        """Copy the rows of a batch to the inputs of the first layer."""
        start = step * settings[at.BATCH_SIZE]
        n_rows = min(settings[at.BATCH_SIZE], order.size - start)
        for row in range(cuda.blockIdx.x, n_rows, cuda.gridDim.x):
            gather(arena, layers, settings, X, order, start, row, 1)

    @compile_bounded(THREADS, 2)
    def wide_product(arena, layers, settings, n_in_order, step, steps_done, number, is_back):
        """Activations of a layer for a batch; or, going back, deltas of the layer before."""
        shared = cuda.shared.array(N_SHARED, FLOAT)
        n_rows = min(settings[at.BATCH_SIZE], n_in_order - step * settings[at.BATCH_SIZE])
        fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
        depth, width = fan_in, fan_out
        a, b, out = layers[number, at.INPUT], layers[number, at.WEIGHTS], layers[number, at.OUTPUT]
        seen = (steps_done + step) * settings[at.BATCH_SIZE]
        if is_back:
            depth, width = fan_out, fan_in
            a, b = layers[number, at.DELTA], layers[number, at.TRANSPOSED]
            out = layers[number - 1, at.DELTA]
        n_across = (width + EDGE - 1) // EDGE
        n_tiles = (n_rows + EDGE - 1) // EDGE * n_across
        for tile in range(cuda.blockIdx.x, n_tiles, cuda.gridDim.x):
            top, left = tile // n_across * EDGE, tile % n_across * EDGE
            multiply_tile(shared, arena, a, depth, 1, n_rows, b, width, depth, top, left)
            for i in range(cuda.threadIdx.x, EDGE * EDGE, THREADS):
                row, column = top + i // EDGE, left + i % EDGE
                if row < n_rows and column < width:
                    value = shared[i // EDGE * STRIDE + i % EDGE]
                    if is_back:
                        value = finish_delta(arena, layers, number - 1, row, column, value)
                    else:
                        value += arena[layers[number, at.BIASES] + column]
                        value = finish_unit(
                            arena, layers, settings, number, row, column, seen, value
                        )
                    arena[out + row * width + column] = value
            cuda.syncthreads()

    @compile_kernel
    def wide_losses(
        arena, layers, settings, constants, Y, sample_weight, order, numbers, row_losses, step
    ):  # fmt: skip
        """Losses of the rows of a batch, and the deltas of the outputs."""
        n_rows = min(settings[at.BATCH_SIZE], order.size - step * settings[at.BATCH_SIZE])
        for row in range(cuda.grid(1), n_rows, cuda.gridsize(1)):
            finish_row(
                arena, layers, settings, constants, Y, sample_weight, order, numbers, row_losses,
                step, n_rows, row,
            )  # fmt: skip

    @compile_kernel
    def wide_update(
        arena, layers, settings, constants, n_in_order, numbers, step, number
    ):  # fmt: skip
        """Gradients of a layer's weights, and updates; each tile leaves its sums."""
        shared = cuda.shared.array(N_SHARED, FLOAT)
        sums = cuda.shared.array(THREADS, FLOAT)
        n_rows = min(settings[at.BATCH_SIZE], n_in_order - step * settings[at.BATCH_SIZE])
        fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
        optimizer, n_parameters = settings[at.OPTIMIZER], settings[at.N_PARAMETERS]
        alpha, l1 = constants[at.ALPHA], constants[at.L1]
        rate, inverse = numbers[step, at.RATE], numbers[step, at.INVERSE]
        share, decay = numbers[step, at.GRADIENT_SHARE], numbers[step, at.DECAY]
        deltas = layers[number, at.DELTA]
        n_across = (fan_out + EDGE - 1) // EDGE
        n_tiles = (fan_in + EDGE - 1) // EDGE * n_across
        for tile in range(cuda.blockIdx.x, n_tiles, cuda.gridDim.x):
            top, left = tile // n_across * EDGE, tile % n_across * EDGE
            multiply_tile(
                shared, arena, layers[number, at.INPUT], 1, fan_in, fan_in, deltas, fan_out, n_rows,
                top, left,
            )  # fmt: skip
            norm = FLOAT(0)
            absolute = FLOAT(0)
            square = FLOAT(0)
            for i in range(cuda.threadIdx.x, EDGE * EDGE, THREADS):
                row, column = top + i // EDGE, left + i % EDGE
                if row < fan_in and column < fan_out:
                    w = layers[number, at.WEIGHTS] + row * fan_out + column
                    value = arena[w]
                    norm += value * value
                    if has_l1:
                        absolute += abs(value)
                    place = i // EDGE * STRIDE + i % EDGE
                    g = shape_gradient(shared[place], value, alpha, l1, inverse, constants)
                    if measures:
                        square += g * g
                    if clips_norms and settings[at.CLIPS_NORM]:
                        arena[w + 3 * n_parameters] = g
                    else:
                        shared[place] = change(
                            optimizer, arena, w, n_parameters, value, g, rate, share, decay,
                            constants,
                        )  # fmt: skip
            if top == 0:
                for column in range(left + cuda.threadIdx.x, min(left + EDGE, fan_out), THREADS):
                    total = FLOAT(0)
                    for row in range(n_rows):
                        total += arena[deltas + row * fan_out + column]
                    w = layers[number, at.BIASES] + column
                    value = arena[w]
                    g = shape_gradient(total, value, FLOAT(0), FLOAT(0), inverse, constants)
                    if measures:
                        square += g * g
                    if clips_norms and settings[at.CLIPS_NORM]:
                        arena[w + 3 * n_parameters] = g
                    else:
                        change(
                            optimizer, arena, w, n_parameters, value, g, rate, share, FLOAT(1),
                            constants,
                        )  # fmt: skip
            leave_sums(
                sums, arena, settings, alpha, layers[number, at.FIRST_TILE] + tile, norm, absolute,
                square,
            )  # fmt: skip
            cuda.syncthreads()
            if number > 0 and not (clips_norms and settings[at.CLIPS_NORM]):
                for i in range(cuda.threadIdx.x, EDGE * EDGE, THREADS):
                    row, column = top + i % EDGE, left + i // EDGE
                    if row < fan_in and column < fan_out:
                        to = layers[number, at.TRANSPOSED] + column * fan_in + row
                        arena[to] = shared[i % EDGE * STRIDE + i // EDGE]
                cuda.syncthreads()

    return {
        "wide_gather": wide_gather, "wide_product": wide_product, "wide_losses": wide_losses,
        "wide_update": wide_update,
    }  # fmt: skip
