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
from .blocks import N_SHARED, THREADS, block_sum
from .elements import add_product, add_products, load, load4, quotient, repeated, store, zeros
from .jit import compile_device
from .jit import inside_kernels as cuda
from .optimizers import update_functions

TILE, GROUP = at.TILE, at.GROUP
# A thread has four rows and four columns of a tile, so far apart, and a share of the batch.
_APART = TILE // 4
_SHARES = THREADS // _APART**2
# In the end it has so many elements one below the other, in as many rows as lie between these.
_ELEMENTS = TILE * TILE // THREADS
_ROWS_APART = THREADS // TILE
assert _SHARES == _ELEMENTS == 4
# How far apart a tile's rows begin in shared memory; behind them lie the sums for the biases.
_STRIDE = TILE + 4
_BIASES = _SHARES * TILE * _STRIDE
assert _BIASES + _SHARES * TILE <= N_SHARED


@compile_device
def _read_columns(arena, place):
    """Four columns of a group of rows."""
    return (
        load4(arena, place), load4(arena, place + GROUP * _APART),
        load4(arena, place + 2 * GROUP * _APART), load4(arena, place + 3 * GROUP * _APART),
    )  # fmt: skip


@compile_device
def _add_group(sums, inputs, deltas):
    """Add the products of four columns of inputs with four of deltas, over a group of rows."""
    i0, i1, i2, i3 = inputs
    d0, d1, d2, d3 = deltas
    sums = add_products(sums, (i0[0], i1[0], i2[0], i3[0]), (d0[0], d1[0], d2[0], d3[0]))
    sums = add_products(sums, (i0[1], i1[1], i2[1], i3[1]), (d0[1], d1[1], d2[1], d3[1]))
    sums = add_products(sums, (i0[2], i1[2], i2[2], i3[2]), (d0[2], d1[2], d2[2], d3[2]))
    return add_products(sums, (i0[3], i1[3], i2[3], i3[3]), (d0[3], d1[3], d2[3], d3[3]))


@compile_device
def _add_deltas(sums, deltas):
    """Add a group's rows to the sums of four columns."""
    s0, s1, s2, s3 = sums
    d0, d1, d2, d3 = deltas
    return (
        s0 + d0[0] + d0[1] + d0[2] + d0[3], s1 + d1[0] + d1[1] + d1[2] + d1[3],
        s2 + d2[0] + d2[1] + d2[2] + d2[3], s3 + d3[0] + d3[1] + d3[2] + d3[3],
    )  # fmt: skip


@cache
def _share_of_batch(with_biases, n_at_once):
    """The sums of a thread over some groups of rows: of its elements, and its columns' biases.

    So many groups are read at once: their loads are then on their way together.
    """

    @compile_device
    def add(number, sums, arena, inputs, deltas, fan_in, fan_out):
        of_weights, of_biases = sums
        of_inputs = _read_columns(arena, inputs + number * GROUP * fan_in)
        of_deltas = _read_columns(arena, deltas + number * GROUP * fan_out)
        if with_biases:
            of_biases = _add_deltas(of_biases, of_deltas)
        return _add_group(of_weights, of_inputs, of_deltas), of_biases

    add_several = repeated(add, n_at_once)

    @compile_device
    def share_of_batch(arena, inputs, deltas, fan_in, fan_out, n_groups):
        sums = zeros(16, arena), zeros(4, arena)
        done = 0
        while done + n_at_once <= n_groups:
            sums = add_several(0, sums, arena, inputs, deltas, fan_in, fan_out)
            inputs += n_at_once * GROUP * fan_in
            deltas += n_at_once * GROUP * fan_out
            done += n_at_once
        while done < n_groups:
            sums = add(0, sums, arena, inputs, deltas, fan_in, fan_out)
            inputs += GROUP * fan_in
            deltas += GROUP * fan_out
            done += 1
        return sums

    return share_of_batch


@compile_device
def _leave(shared, place, sums):
    """Leave a thread's sums of one row of a tile."""
    store(shared, place, sums[0])
    store(shared, place + _APART, sums[1])
    store(shared, place + 2 * _APART, sums[2])
    store(shared, place + 3 * _APART, sums[3])


@compile_device
def _total(shared, place, distance):
    """What the shares of the batch add up to."""
    return (
        load(shared, place) + load(shared, place + distance) + load(shared, place + 2 * distance)
        + load(shared, place + 3 * distance)
    )  # fmt: skip


@cache
def weight_phases(dtype, choices):
    """The phases after the first for arenas of one dtype, and their parts, by name."""
    FLOAT = numba.from_dtype(np.dtype(dtype))
    # As many loads at once as registers allow.
    n_at_once = 2 if np.dtype(dtype) == np.float32 else 1
    share_of_weights = _share_of_batch(False, n_at_once)
    share_with_biases = _share_of_batch(True, n_at_once)
    shape_gradient, fetch, change = update_functions(choices)
    has_l1, measures = choices.penalises_absolutes, choices.measures_gradients
    clips_norms, limits_columns = choices.clips_norms, choices.limits_columns

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
    def facts(settings, constants, numbers, step):
        """What updates in a step have in common, in registers: constants, plan, rates, decay."""
        return (
            (
                constants[at.ALPHA], constants[at.MOMENTUM], constants[at.BETA_1],
                constants[at.ONE_MINUS_BETA_1], constants[at.BETA_2],
                constants[at.ONE_MINUS_BETA_2], constants[at.EPSILON],
                constants[at.MACHINE_EPSILON], constants[at.L1], constants[at.CLIP_VALUE],
            ),
            (settings[at.OPTIMIZER], settings[at.N_PARAMETERS], settings[at.CLIPS_NORM]),
            (numbers[step, at.RATE], numbers[step, at.INVERSE], numbers[step, at.GRADIENT_SHARE]),
            numbers[step, at.DECAY],
        )  # fmt: skip

    @compile_device
    def update(arena, known, w, fetched, total, alpha, l1, decay):
        """Update a parameter from a sum over the batch; its gradient, and its new value.

        Where the norm of the gradient is limited, it is left for the next phase instead.
        """
        constants, (optimizer, n_parameters, leaves_gradient), (rate, inverse, share), _ = known
        value = fetched[0]
        g = shape_gradient(total, value, alpha, l1, inverse, constants)
        if clips_norms and leaves_gradient:
            store(arena, w + 3 * n_parameters, g)
        else:
            value = change(
                optimizer, arena, w, n_parameters, fetched, g, rate, share, decay, constants
            )
        return g, value

    @compile_device
    def update_element(arena, shared, known, is_inside, place, total, w, fetched, sums):
        """Update a weight from its sum over the batch; its new value goes to a place for all."""
        if not is_inside:
            return sums
        constants, decay = known[0], known[3]
        norm, absolute, square = sums
        norm = add_product(norm, fetched[0], fetched[0])
        if has_l1:
            absolute += abs(fetched[0])
        g, value = update(
            arena, known, w, fetched, total, constants[at.ALPHA], constants[at.L1], decay
        )
        if measures:
            square = add_product(square, g, g)
        store(shared, place, value)
        return norm, absolute, square

    @compile_device
    def weights_phase(
        block, n_blocks, shared, arena, layers, settings, constants, n_in_order, numbers, step
    ):  # fmt: skip
        """The second phase of a step: weight gradients, and updates, a tile a block.

        Each tile leaves sums of its weights before the step, and of its gradient.
        """
        batch_size, n_parameters = settings[at.BATCH_SIZE], settings[at.N_PARAMETERS]
        n_groups = (min(batch_size, n_in_order - step * batch_size) + GROUP - 1) // GROUP
        known = facts(settings, constants, numbers, step)
        thread = cuda.threadIdx.x
        part, in_part = thread // (_APART * _APART), thread % (_APART * _APART)
        thread_row, thread_column = in_part // _APART, in_part % _APART
        chunk = (n_groups + _SHARES - 1) // _SHARES
        first_group = min(n_groups, part * chunk)
        last_group = min(n_groups, first_group + chunk)
        row, column = thread // TILE, thread % TILE
        tile = block
        while tile < settings[at.N_TILES]:
            number = 0
            while number + 1 < settings[at.N_LAYERS] and tile >= layers[number + 1, at.FIRST_TILE]:
                number += 1
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            place = tile - layers[number, at.FIRST_TILE]
            n_across = layers[number, at.TILE_COLUMNS]
            above = quotient(place, n_across)
            top, left = above * TILE, (place - above * n_across) * TILE
            # What is needed in the end is on its way while products are added.
            row_0, row_1 = top + row, top + row + _ROWS_APART
            row_2, row_3 = row_1 + _ROWS_APART, row_1 + 2 * _ROWS_APART
            is_column, w = left + column < fan_out, min(left + column, fan_out - 1)
            bias = layers[number, at.BIASES] + w
            w += layers[number, at.WEIGHTS]
            w_0, w_1 = w + min(row_0, fan_in - 1) * fan_out, w + min(row_1, fan_in - 1) * fan_out
            w_2, w_3 = w + min(row_2, fan_in - 1) * fan_out, w + min(row_3, fan_in - 1) * fan_out
            fetched_0, fetched_1 = fetch(arena, w_0, n_parameters), fetch(arena, w_1, n_parameters)
            fetched_2, fetched_3 = fetch(arena, w_2, n_parameters), fetch(arena, w_3, n_parameters)
            fetched_bias = fetch(arena, bias, n_parameters)
            inputs = layers[number, at.INPUT] + GROUP * (first_group * fan_in + top + thread_row)
            deltas = layers[number, at.DELTA] + GROUP * (
                first_group * fan_out + left + thread_column
            )
            if top == 0:
                sums, bias_sums = share_with_biases(
                    arena, inputs, deltas, fan_in, fan_out, last_group - first_group
                )
            else:
                sums, bias_sums = share_of_weights(
                    arena, inputs, deltas, fan_in, fan_out, last_group - first_group
                )
            to = (part * TILE + thread_row) * _STRIDE + thread_column
            _leave(shared, to, sums[0:4])
            _leave(shared, to + _APART * _STRIDE, sums[4:8])
            _leave(shared, to + 2 * _APART * _STRIDE, sums[8:12])
            _leave(shared, to + 3 * _APART * _STRIDE, sums[12:16])
            if top == 0 and thread_row == 0:
                _leave(shared, _BIASES + part * TILE + thread_column, bias_sums)
            cuda.syncthreads()
            of_tile = zeros(3, arena)
            to = row * _STRIDE + column
            of_tile = update_element(
                arena, shared, known, is_column and row_0 < fan_in, to,
                _total(shared, to, TILE * _STRIDE), w_0, fetched_0, of_tile,
            )  # fmt: skip
            to += _ROWS_APART * _STRIDE
            of_tile = update_element(
                arena, shared, known, is_column and row_1 < fan_in, to,
                _total(shared, to, TILE * _STRIDE), w_1, fetched_1, of_tile,
            )  # fmt: skip
            to += _ROWS_APART * _STRIDE
            of_tile = update_element(
                arena, shared, known, is_column and row_2 < fan_in, to,
                _total(shared, to, TILE * _STRIDE), w_2, fetched_2, of_tile,
            )  # fmt: skip
            to += _ROWS_APART * _STRIDE
            of_tile = update_element(
                arena, shared, known, is_column and row_3 < fan_in, to,
                _total(shared, to, TILE * _STRIDE), w_3, fetched_3, of_tile,
            )  # fmt: skip
            norm, absolute, square = of_tile
            if top == 0 and row == 0 and is_column:
                g, _ = update(
                    arena, known, bias, fetched_bias, _total(shared, _BIASES + column, TILE),
                    FLOAT(0), FLOAT(0), FLOAT(1),
                )  # fmt: skip
                if measures:
                    square = add_product(square, g, g)
            cuda.syncthreads()
            if number > 0 and not (clips_norms and settings[at.CLIPS_NORM]):
                # Neighbouring threads write neighbouring elements here, too.
                for i in range(_ELEMENTS):
                    across = row + i * _ROWS_APART
                    if top + column < fan_in and left + across < fan_out:
                        to = layers[number, at.TRANSPOSED] + (left + across) * fan_in
                        store(arena, to + top + column, shared[column * _STRIDE + across])
                cuda.syncthreads()
            leave_sums(shared, arena, settings, constants[at.ALPHA], tile, norm, absolute, square)
            tile += n_blocks

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
                    optimizer, arena, w, n_parameters, fetch(arena, w, n_parameters),
                    load(arena, w + 3 * n_parameters) * factor, rate, share, decay, constants,
                )  # fmt: skip
                if number > 0:
                    to = layers[number, at.TRANSPOSED] + i % fan_out * fan_in + i // fan_out
                    store(arena, to, value)
            for column in range(first, fan_out, stride):
                w = layers[number, at.BIASES] + column
                change(
                    optimizer, arena, w, n_parameters, fetch(arena, w, n_parameters),
                    load(arena, w + 3 * n_parameters) * factor, rate, share, FLOAT(1), constants,
                )  # fmt: skip

    @compile_device
    def limit_phase(block, n_blocks, shared, arena, layers, settings, constants):
        """Limit the norm of each unit's incoming weights, a tile's columns a block."""
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
                        for row in range(split, fan_in, _ROWS_APART):
                            value = load(arena, layers[number, at.WEIGHTS] + row * fan_out + column)
                            total += value * value
                    shared[cuda.threadIdx.x] = total
                    cuda.syncthreads()
                    total = shared[thread_column]
                    for other in range(1, _ROWS_APART):
                        total += shared[other * TILE + thread_column]
                    # A norm that is not a number leaves its column as it is.
                    if column < fan_out and total > most * most:
                        factor = most / sqrt(total)
                        for row in range(split, fan_in, _ROWS_APART):
                            w = layers[number, at.WEIGHTS] + row * fan_out + column
                            value = load(arena, w) * factor
                            store(arena, w, value)
                            if number > 0:
                                to = layers[number, at.TRANSPOSED] + column * fan_in + row
                                store(arena, to, value)
                    cuda.syncthreads()
                counted += 1

    @compile_device
    def add_sums(
        shared, arena, settings, constants, n_in_order, numbers, penalties, gradient_norms, step
    ):  # fmt: skip
        """The penalty of a step and the norm of its gradient, by one block, when all are done."""
        squares = cuda.shared.array(THREADS, numba.float64)
        n_rows = min(settings[at.BATCH_SIZE], n_in_order - step * settings[at.BATCH_SIZE])
        norm = FLOAT(0)
        if constants[at.ALPHA] > 0:
            for tile in range(cuda.threadIdx.x, settings[at.N_TILES], THREADS):
                norm += arena[settings[at.NORMS] + tile]
            norm = block_sum(shared, norm)
        penalty = norm * constants[at.ALPHA] * FLOAT(0.5)
        if has_l1 and settings[at.ABSOLUTES] >= 0:
            absolute = FLOAT(0)
            for tile in range(cuda.threadIdx.x, settings[at.N_TILES], THREADS):
                absolute += arena[settings[at.ABSOLUTES] + tile]
            penalty += block_sum(shared, absolute) * constants[at.L1]
        if cuda.threadIdx.x == 0:
            penalties[step] = penalty * numbers[step, at.INVERSE] * FLOAT(n_rows)
        if measures and settings[at.SQUARES] >= 0:
            square = squared_gradient(squares, arena, settings)
            if cuda.threadIdx.x == 0:
                gradient_norms[step] = sqrt(square)

    @compile_device
    def has_sums(settings, constants):
        """Whether tiles leave sums."""
        if has_l1 and settings[at.ABSOLUTES] >= 0:
            return True
        if measures and settings[at.SQUARES] >= 0:
            return True
        return constants[at.ALPHA] > 0

    @compile_device
    def finish_step(
        grid, block, n_blocks, shared, arena, layers, settings, constants, n_in_order, numbers,
        penalties, gradient_norms, step,
    ):  # fmt: skip
        """What follows the second phase in a launch of many steps."""
        grid.sync()
        if clips_norms:
            clip_phase(block, n_blocks, arena, layers, settings, constants, numbers, step)
            grid.sync()
        if limits_columns:
            limit_phase(block, n_blocks, shared, arena, layers, settings, constants)
            grid.sync()
        # The last block has the fewest rows to do next.
        if block == n_blocks - 1 and has_sums(settings, constants):
            add_sums(
                shared, arena, settings, constants, n_in_order, numbers, penalties, gradient_norms,
                step,
            )  # fmt: skip

    return SimpleNamespace(
        fetch=fetch, facts=facts, update=update, update_element=update_element,
        leave_sums=leave_sums,
        weights_phase=weights_phase, clip_phase=clip_phase, limit_phase=limit_phase,
        add_sums=add_sums, has_sums=has_sums, finish_step=finish_step,
    )  # fmt: skip
