"""A training step's first phase, as a block of GPU threads sees it.

A step has the two phases of the CPU's (see :mod:`fastmlp.engines.cpu.kernels`). In the first, here,
a team, which is a block or one of its warps, takes a group of four rows of the batch through all
layers and back. In the second
(:mod:`fastmlp.engines.cuda.weight_pass`) a block computes a tile of the weight gradient and updates
the weights from registers. Between them every block that works on the network has to be done: a
barrier of the grid, the end of a launch, or a barrier of the block where it works alone. Every
number is computed by one thread, or summed over threads in one fixed order, so results do not
depend on the number of blocks.

In a product the depth is cut into parts, one for each warp of a block; a warp alone takes one after
the other, so that both add the same numbers in the same order. A lane has four rows and four
columns, so that eight elements that are read serve sixteen multiply-adds. What limits this phase is
reading the weights, once for each group, from the cache that the multiprocessors share; where a
block has many groups of a small network it is what a group has to wait for, and a warp for each
waits once for all.
"""

from functools import cache
from types import SimpleNamespace

import numba
import numpy as np

from . import layout as at
from .blocks import LANES, THREADS, WARPS
from .elements import add_each, add_products, load, load4, quotient, repeated, store, store4, zeros
from .jit import compile_device
from .jit import inside_kernels as cuda
from .layers import unit_functions
from .outputs import N_SLOTS, output_functions

# Columns of a lane, that far apart; with a narrow layer it has one.
_COLUMNS = 4
PANEL = _COLUMNS * LANES
# How far apart the rows of a panel begin in shared memory: not a multiple of the number of banks.
_STRIDE = PANEL + 8


@cache
def _panel_product(n_columns, batch):
    """The product of four rows, and of `n_columns` columns of each lane, over some depth.

    So many rows of the second factor are read at once: their loads are then on their way together.
    """
    if n_columns == 1:

        @compile_device
        def columns_at(arena, place):
            return (load(arena, place),)

    else:

        @compile_device
        def columns_at(arena, place):
            return (
                load(arena, place), load(arena, place + LANES), load(arena, place + 2 * LANES),
                load(arena, place + 3 * LANES),
            )  # fmt: skip

    N_SUMS = at.GROUP * n_columns

    @compile_device
    def add_row(k, sums, arena, a, b, width):
        rows = load4(arena, a + at.GROUP * k)
        return add_products(sums, rows, columns_at(arena, b + k * width))

    @compile_device
    def add_row_if(k, sums, arena, a, b, width, n):
        inside = min(k, n - 1)
        rows = load4(arena, a + at.GROUP * inside)
        columns = columns_at(arena, b + inside * width)
        if k >= n:
            rows, columns = zeros(4, arena), zeros(n_columns, arena)
        return add_products(sums, rows, columns)

    add_batch, add_part = repeated(add_row, batch), repeated(add_row_if, batch)

    @compile_device
    def panel_product(arena, a, b, width, depth):
        """Sums over `depth` elements: of four rows, that lie together from a on, and of columns."""
        sums = zeros(N_SUMS, arena)
        done = 0
        while done + batch <= depth:
            sums = add_batch(0, sums, arena, a, b, width)
            a += at.GROUP * batch
            b += width * batch
            done += batch
        if done < depth:
            sums = add_part(0, sums, arena, a, b, width, depth - done)
        return sums

    return panel_product


@compile_device
def _leave(shared, place, sums):
    """Leave a row's sums of four columns."""
    store(shared, place, sums[0])
    store(shared, place + LANES, sums[1])
    store(shared, place + 2 * LANES, sums[2])
    store(shared, place + 3 * LANES, sums[3])


@cache
def row_phase(dtype, choices, n_at_once=32):
    """The first phase for arenas of one dtype, and its parts, by name.

    A thread reads rows of weights in batches of `n_at_once` bytes of each column, as many as the
    registers of a kernel allow.
    """
    FLOAT = numba.from_dtype(np.dtype(dtype))
    BATCH = n_at_once // np.dtype(dtype).itemsize
    wide_product, narrow_product = _panel_product(_COLUMNS, BATCH), _panel_product(1, BATCH)
    finish_unit, finish_delta = unit_functions(choices)
    activate_outputs, losses_and_deltas = output_functions(choices)

    @compile_device
    def leave_products(
        shared, to, arena, a, b, width, depth, left, lane, first_part, last_part, chunk
    ):  # fmt: skip
        """Leave sums of four rows and a panel of columns over some parts of the depth."""
        to += lane
        b += left + lane
        if width <= LANES:
            sums = zeros(4, arena)
            for part in range(first_part, last_part):
                k = part * chunk
                more = narrow_product(
                    arena, a + at.GROUP * k, b + k * width, width, min(chunk, depth - k)
                )
                sums = add_each(sums, more)
            store(shared, to, sums[0])
            store(shared, to + _STRIDE, sums[1])
            store(shared, to + 2 * _STRIDE, sums[2])
            store(shared, to + 3 * _STRIDE, sums[3])
        else:
            sums = zeros(16, arena)
            for part in range(first_part, last_part):
                k = part * chunk
                more = wide_product(
                    arena, a + at.GROUP * k, b + k * width, width, min(chunk, depth - k)
                )
                sums = add_each(sums, more)
            _leave(shared, to, sums[0:4])
            _leave(shared, to + _STRIDE, sums[4:8])
            _leave(shared, to + 2 * _STRIDE, sums[8:12])
            _leave(shared, to + 3 * _STRIDE, sums[12:16])

    @compile_device
    def multiply_group(
        is_block, shared, arena, layers, settings, number, is_back, first, n_rows, seen
    ):  # fmt: skip
        """A group of rows times a layer's weights, with what follows; a warp may have no rows.

        The results are the layer's activations; going back, the deltas of the layer before. All
        threads of a block have to call.
        """
        depth, width = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
        a, b, out = layers[number, at.INPUT], layers[number, at.WEIGHTS], layers[number, at.OUTPUT]
        if is_back:
            depth, width = width, depth
            a, b = layers[number, at.DELTA], layers[number, at.TRANSPOSED]
            out = layers[number - 1, at.DELTA]
        a += first * depth
        out += first * width
        # Whole batches for each part but the last.
        chunk = (depth + WARPS * BATCH - 1) // (WARPS * BATCH) * BATCH
        n_parts = quotient(depth + chunk - 1, chunk)
        thread = cuda.threadIdx.x
        warp, lane = thread // LANES, thread % LANES
        mine = warp * at.GROUP * _STRIDE
        member, n_members, first_part, last_part = thread, THREADS, warp, min(warp + 1, n_parts)
        n_left, place = n_parts, 0
        if not is_block:
            member, n_members, first_part, last_part = lane, LANES, 0, n_parts
            n_left, place = 1, mine
        for left in range(0, width, PANEL):
            if first_part < last_part and n_rows > 0:
                leave_products(
                    shared, mine, arena, a, b, width, depth, left, lane, first_part, last_part,
                    chunk,
                )  # fmt: skip
            cuda.syncthreads()
            i = member
            while i < min(PANEL, width - left) * at.GROUP and n_rows > 0:
                row, column = i % at.GROUP, i // at.GROUP
                at_sum = place + row * _STRIDE + column
                total = load(shared, at_sum)
                for part in range(1, n_left):
                    total += load(shared, at_sum + part * at.GROUP * _STRIDE)
                column += left
                if row >= n_rows:
                    total = FLOAT(0)
                elif is_back:
                    total = finish_delta(arena, layers, number - 1, first + row, column, total)
                else:
                    total += load(arena, layers[number, at.BIASES] + column)
                    total = finish_unit(
                        arena, layers, settings, number, first + row, column, seen, total
                    )
                store(arena, out + at.GROUP * column + row, total)
                i += n_members
            cuda.syncthreads()

    @compile_device
    def read_rows(X, place_0, place_1, place_2, place_3, k):
        """A column of four rows."""
        return (
            load(X, place_0 + k), load(X, place_1 + k), load(X, place_2 + k), load(X, place_3 + k)
        )  # fmt: skip

    @compile_device
    def keep_rows(arena, to, k, n_features, n_rows, values):
        """Write a column of a group, with zero for rows that are too many."""
        if k < n_features:
            v0, v1, v2, v3 = values
            if n_rows < 4:
                v3 = FLOAT(0)
            if n_rows < 3:
                v2 = FLOAT(0)
            if n_rows < 2:
                v1 = FLOAT(0)
            store4(arena, to + at.GROUP * k, (v0, v1, v2, v3))

    @compile_device
    def copy_group(
        member, n_members, arena, to, X, place_0, place_1, place_2, place_3, n_features, n_rows
    ):  # fmt: skip
        """Copy rows that begin at some places of X to a group; all that is read comes first."""
        last, k = n_features - 1, member
        while k < n_features:
            k1, k2, k3 = k + n_members, k + 2 * n_members, k + 3 * n_members
            values_0 = read_rows(X, place_0, place_1, place_2, place_3, k)
            values_1 = read_rows(X, place_0, place_1, place_2, place_3, min(k1, last))
            values_2 = read_rows(X, place_0, place_1, place_2, place_3, min(k2, last))
            values_3 = read_rows(X, place_0, place_1, place_2, place_3, min(k3, last))
            keep_rows(arena, to, k, n_features, n_rows, values_0)
            keep_rows(arena, to, k1, n_features, n_rows, values_1)
            keep_rows(arena, to, k2, n_features, n_rows, values_2)
            keep_rows(arena, to, k3, n_features, n_rows, values_3)
            k += 4 * n_members

    @compile_device
    def gather(member, n_members, arena, layers, settings, X, order, start, first, n_rows):
        """Copy a group of rows of X, in the order of the epoch, to the inputs."""
        n_features, begin, last = layers[0, at.FAN_IN], settings[at.FIRST_X], n_rows - 1
        place = start + first
        copy_group(
            member, n_members, arena, layers[0, at.INPUT] + first * n_features, X,
            begin + load(order, place) * n_features,
            begin + load(order, place + min(1, last)) * n_features,
            begin + load(order, place + min(2, last)) * n_features,
            begin + load(order, place + min(3, last)) * n_features, n_features, n_rows,
        )  # fmt: skip

    @compile_device
    def finish_group(
        is_block, shared, arena, layers, settings, constants, Y, sample_weight, order, numbers,
        row_losses, step, n_in_batch, first, n_rows,
    ):  # fmt: skip
        """The losses of a group of rows of a batch; deltas replace the outputs.

        A warp may have no rows. All threads of a block have to call.
        """
        last, loss = settings[at.N_LAYERS] - 1, settings[at.LOSS]
        n_outputs = layers[last, at.FAN_OUT]
        thread = cuda.threadIdx.x
        member, stride, slots = thread, THREADS // at.GROUP, 0
        if not is_block:
            member, stride = thread % LANES, LANES // at.GROUP
            slots = (thread - member) // LANES * at.GROUP * N_SLOTS
        row, column = member % at.GROUP, member // at.GROUP
        n_slots = min(n_outputs, N_SLOTS)
        if n_rows <= 0:
            first = n_outputs = 0
        place = step * settings[at.BATCH_SIZE] + first
        source = order[place + max(0, min(row, n_rows - 1))]
        weight = FLOAT(1)
        if settings[at.IS_WEIGHTED]:
            weight = sample_weight[settings[at.FIRST_WEIGHT] + source]
        outputs = layers[last, at.OUTPUT] + first * n_outputs + row
        activate_outputs(loss, arena, outputs, n_outputs, column, stride)
        losses_and_deltas(
            loss, arena, settings, outputs, Y,
            settings[at.FIRST_Y] + source * layers[last, at.FAN_OUT], n_outputs, weight,
            constants[at.MACHINE_EPSILON], shared, slots + row, column, stride,
        )  # fmt: skip
        if row >= n_rows:
            while column < n_outputs:
                store(arena, outputs + at.GROUP * column, FLOAT(0))
                column += stride
        cuda.syncthreads()
        if member < n_rows:
            total = load(shared, slots + member)
            for other in range(1, n_slots):
                total += load(shared, slots + member + at.GROUP * other)
            row_losses[place + member] = total * numbers[step, at.INVERSE] * FLOAT(n_in_batch)
        cuda.syncthreads()

    @compile_device
    def rows_phase(
        block, n_blocks, shared, arena, layers, settings, constants, X, Y, sample_weight, order,
        numbers, row_losses, step, steps_done,
    ):  # fmt: skip
        """The first phase of a step: forward, loss and deltas back, a group of rows a team.

        `steps_done` are those before the first of this order.
        """
        n_layers, batch_size = settings[at.N_LAYERS], settings[at.BATCH_SIZE]
        start = step * batch_size
        seen = start + steps_done * batch_size
        n_rows = min(batch_size, order.size - start)
        thread = cuda.threadIdx.x
        member, n_members, mine, n_teams = thread, THREADS, 0, 1
        is_block = n_rows < settings[at.GROUPS_FOR_WARPS] * n_blocks * at.GROUP
        if not is_block:
            member, n_members, mine, n_teams = thread % LANES, LANES, thread // LANES, WARPS
        # All teams of a block take as many turns, the last ones perhaps without rows.
        group = block
        while group * at.GROUP < n_rows:
            first = (group + mine * n_blocks) * at.GROUP
            n_here = min(at.GROUP, n_rows - first)
            if n_here > 0:
                gather(member, n_members, arena, layers, settings, X, order, start, first, n_here)
            cuda.syncthreads()
            # Forward through all layers, and back to the first hidden one.
            for i in range(2 * n_layers - 1):
                number, is_back = i, i >= n_layers
                if is_back:
                    number = 2 * n_layers - 1 - i
                multiply_group(
                    is_block, shared, arena, layers, settings, number, is_back, first, n_here, seen
                )
                if i == n_layers - 1:
                    finish_group(
                        is_block, shared, arena, layers, settings, constants, Y, sample_weight,
                        order, numbers, row_losses, step, n_rows, first, n_here,
                    )  # fmt: skip
            group += n_teams * n_blocks

    return SimpleNamespace(
        multiply_group=multiply_group, copy_group=copy_group, gather=gather,
        finish_group=finish_group, rows_phase=rows_phase,
    )  # fmt: skip
