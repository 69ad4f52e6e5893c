"""The first phase of a training step: rows of the batch go through all layers and back.

A training step has two phases, like on the CPU (see :mod:`fastmlp.engines.cpu.kernels`). In the
first one, a team takes a group of four rows of the batch through all layers and back; a team is a
block or one of its warps. In the second one (:mod:`fastmlp.engines.cuda.weight_pass`), a block
computes a tile of the weights' gradient and updates the weights. The second phase begins when all
blocks that work on the network have ended the first. They wait at a barrier of the grid, or the
phases are two launches; a block that works on a network alone has a barrier of its own. Every
number is computed by one thread, or summed over threads in one fixed order, so results do not
depend on the number of blocks.

The depth of a product is cut into parts. Each warp of a block takes one part; a warp by itself
takes one after the other. So both add the same numbers in the same order. A thread computes four
rows and four columns, so that eight elements that it reads serve sixteen multiply-adds. The speed
of this phase is mostly that of reading the weights, once for each group, from the cache that the
multiprocessors share. Where a block has many groups of a small network, the time is mostly spent on
waiting. Then each warp takes a group by itself, so that they wait at the same time.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from . import layout as at
from .arguments import Group, batch_of_step
from .blocks import LANES, THREADS, WARPS
from .elements import (
    add_each,
    add_products,
    four_times,
    load,
    load4,
    load_apart,
    quotient,
    repeated,
    store,
    store4,
    store_apart,
    zeros,
)
from .jit import compile_device, number_like
from .jit import inside_kernels as cuda
from .layers import Operands, operands, unit_functions
from .outputs import N_SLOTS, OutputPart, Slots, Target, output_functions
from .specialization import specialized

# Number of columns of a thread, which lie LANES apart. In a narrow layer a thread has only one.
_COLUMNS = 4
PANEL = _COLUMNS * LANES
# Distance of the rows of a panel in shared memory, which is not a multiple of the number of banks.
_STRIDE = PANEL + 8


class Parts(NamedTuple):
    """Some parts of a product's depth.

    Attributes
    ----------
    first : int
        Number of the first part.
    last : int
        Number of the part after the last one.
    chunk : int
        Depth of each part; the last one of a product may be smaller.
    """

    first: int
    last: int
    chunk: int


@compile_device
def _one_column(arena, place):
    """Read one element of a row, as a tuple."""
    return (load(arena, place),)


@compile_device
def _four_columns(arena, place):
    """Read the elements of a row in the four columns of a thread."""
    return load_apart(arena, place, LANES)


@cache
def _panel_product(n_columns, batch):
    """Make a device function for the product of four rows with the columns of a thread.

    Parameters
    ----------
    n_columns : int
        Number of columns of a thread, 1 or 4.
    batch : int
        Number of rows of the second factor that are read at once, so that their loads overlap.

    Returns
    -------
    device function
        It takes ``(arena, a, b, width, depth)`` and returns 4 * `n_columns` sums of products over
        the depth, those of the first row first. The four rows lie together from a on, and the
        thread's first column begins at b. The second factor has `width` columns.
    """
    columns_at = _one_column if n_columns == 1 else _four_columns
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


@cache
def _sums_over_parts(n_columns, batch):
    """Make a device function for a thread's sums over some :class:`Parts` of a product's depth."""
    panel_product = _panel_product(n_columns, batch)
    N_SUMS = at.GROUP * n_columns

    @compile_device
    def sums_over_parts(arena, factors, parts):
        sums = zeros(N_SUMS, arena)
        for part in range(parts.first, parts.last):
            k = part * parts.chunk
            more = panel_product(
                arena, factors.a + at.GROUP * k, factors.b + k * factors.width, factors.width,
                min(parts.chunk, factors.depth - k),
            )  # fmt: skip
            sums = add_each(sums, more)
        return sums

    return sums_over_parts


@cache
def _leave_products(batch):
    """Make a device function that writes a thread's sums of a panel to shared memory."""
    narrow_sums, wide_sums = _sums_over_parts(1, batch), _sums_over_parts(_COLUMNS, batch)

    @compile_device
    def leave_products(shared, to, arena, factors, parts):
        """Write the sums of four rows and the thread's columns; the first one is at factors.b."""
        if factors.width <= LANES:
            store_apart(shared, to, _STRIDE, narrow_sums(arena, factors, parts))
        else:
            sums = wide_sums(arena, factors, parts)
            store_apart(shared, to, LANES, sums[0:4])
            store_apart(shared, to + _STRIDE, LANES, sums[4:8])
            store_apart(shared, to + 2 * _STRIDE, LANES, sums[8:12])
            store_apart(shared, to + 3 * _STRIDE, LANES, sums[12:16])

    return leave_products


@specialized
def make_finish_element(specialization):
    """Make a device function that turns an element of a product into an activation or a delta."""
    units = unit_functions(specialization)

    @compile_device
    def finish_element(network, number, is_back, is_row, row, column, seen, total):
        """Compute the activation of a unit of layer `number`.

        In the backward pass (`is_back`) compute the delta of a unit of the layer before instead.
        Both are zero where `is_row` is false, which says that the batch has no such row.
        """
        if not is_row:
            return number_like(0, total)
        if is_back:
            return units.finish_delta(network, number - 1, row, column, total)
        total += load(network.arena, network.layers[number, at.BIASES] + column)
        return units.finish_unit(network, number, row, column, seen, total)

    return finish_element


@specialized
def make_multiply_group(dtype, specialization, n_at_once=32):
    """Make a device function for the product of a group of rows with the weights of a layer.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the arena's elements.
    specialization : Specialization
    n_at_once : int
        Number of bytes of each column that a thread reads at once. It is limited by the registers
        of the kernel.
    """
    BATCH = n_at_once // np.dtype(dtype).itemsize
    leave_products, finish_element = _leave_products(BATCH), make_finish_element(specialization)

    @compile_device
    def multiply_group(is_block, shared, network, number, is_back, group, seen):
        """Compute a layer's activations for a group of rows, or the deltas of the layer before.

        All threads of a block must call it, also those of a warp without rows.

        Parameters
        ----------
        is_block : bool
            Whether a block works on the group. Otherwise each warp works on a group of its own.
        shared : array of N_SHARED elements in shared memory
        network : Network
        number : int
            The layer whose weights are used.
        is_back : bool
            Whether deltas are computed, in the backward pass.
        group : Group
        seen : int
            Number of rows that were trained on before this batch.
        """
        a, b, out, depth, width = operands(network.layers, number, is_back)
        a += group.first * depth
        out += group.first * width
        # All parts but the last have whole batches.
        chunk = (depth + WARPS * BATCH - 1) // (WARPS * BATCH) * BATCH
        n_parts = quotient(depth + chunk - 1, chunk)
        thread = cuda.threadIdx.x
        warp, lane = thread // LANES, thread % LANES
        mine = warp * at.GROUP * _STRIDE
        rank, n_threads, first_part, last_part = thread, THREADS, warp, min(warp + 1, n_parts)
        n_left, place = n_parts, 0
        if not is_block:
            rank, n_threads, first_part, last_part = lane, LANES, 0, n_parts
            n_left, place = 1, mine
        for left in range(0, width, PANEL):
            if first_part < last_part and group.n_rows > 0:
                leave_products(
                    shared, mine + lane, network.arena,
                    Operands(a, b + left + lane, out, depth, width),
                    Parts(first_part, last_part, chunk),
                )  # fmt: skip
            cuda.syncthreads()
            i = rank
            while i < min(PANEL, width - left) * at.GROUP and group.n_rows > 0:
                row, column = i % at.GROUP, i // at.GROUP
                at_sum = place + row * _STRIDE + column
                total = load(shared, at_sum)
                for part in range(1, n_left):
                    total += load(shared, at_sum + part * at.GROUP * _STRIDE)
                column += left
                total = finish_element(
                    network, number, is_back, row < group.n_rows, group.first + row, column, seen,
                    total,
                )  # fmt: skip
                store(network.arena, out + at.GROUP * column + row, total)
                i += n_threads
            cuda.syncthreads()

    return multiply_group


@compile_device
def _read_column(number, X, places, k, apart, last):
    """Read column k + number * apart of four rows; beyond the last column, read that one."""
    column = min(k + number * apart, last)
    return (
        load(X, places[0] + column), load(X, places[1] + column), load(X, places[2] + column),
        load(X, places[3] + column),
    )  # fmt: skip


_read_columns = four_times(_read_column)


@compile_device
def _keep_column(arena, to, k, n_features, n_rows, values):
    """Write a column of a group of rows, and zeros for the rows that the group does not have."""
    if k < n_features:
        v0, v1, v2, v3 = values
        (zero,) = zeros(1, arena)
        if n_rows < 4:
            v3 = zero
        if n_rows < 3:
            v2 = zero
        if n_rows < 2:
            v1 = zero
        store4(arena, to + at.GROUP * k, (v0, v1, v2, v3))


@compile_device
def copy_group(rank, n_threads, arena, to, X, places, n_features, n_rows):
    """Copy four rows of X to a group of rows; a thread reads four columns before it writes any.

    Parameters
    ----------
    rank : int
        Number of this thread among those that copy the group.
    n_threads : int
        Number of threads that copy the group.
    arena : device array
    to : int
        Place of the group in the arena.
    X : device array
        The elements of a matrix, row by row.
    places : tuple of four int
        Places in X at which the rows begin.
    n_features : int
    n_rows : int
        Number of rows of the group; zeros are written for the others.
    """
    k = rank
    while k < n_features:
        columns = _read_columns(X, places, k, n_threads, n_features - 1)
        _keep_column(arena, to, k, n_features, n_rows, columns[0])
        _keep_column(arena, to, k + n_threads, n_features, n_rows, columns[1])
        _keep_column(arena, to, k + 2 * n_threads, n_features, n_rows, columns[2])
        _keep_column(arena, to, k + 3 * n_threads, n_features, n_rows, columns[3])
        k += 4 * n_threads


@compile_device
def _place_of_row(number, order, place, last, begin, n_features):
    """Find where the row at `place` + min(`number`, `last`) of the order begins in X."""
    return begin + load(order, place + min(number, last)) * n_features


_places_of_rows = four_times(_place_of_row)


@compile_device
def gather(rank, n_threads, network, rows, batch, group):
    """Copy a group of rows of X, in the order of the epoch, to the inputs of the first layer."""
    settings, n_features = network.settings, network.layers[0, at.FAN_IN]
    first = batch.step * settings[at.BATCH_SIZE] + group.first
    places = _places_of_rows(
        rows.order, first, group.n_rows - 1, settings[at.FIRST_X], n_features
    )  # fmt: skip
    to = network.layers[0, at.INPUT] + group.first * n_features
    copy_group(
        rank, n_threads, network.arena, to, rows.X, places, n_features, group.n_rows
    )  # fmt: skip


@specialized
def make_finish_group(specialization):
    """Make a device function for the losses and deltas of a group of rows."""
    outputs = output_functions(specialization)

    @compile_device
    def finish_group(is_block, shared, network, rows, record, batch, group):
        """Compute the losses of a group of rows of a batch, and replace its outputs by deltas.

        All threads of a block must call it, also those of a warp without rows. `is_block` says
        whether a block works on the group. Otherwise each warp works on a group of its own.
        """
        arena, layers, settings = network.arena, network.layers, network.settings
        last, loss = settings[at.N_LAYERS] - 1, settings[at.LOSS]
        first, n_outputs = group.first, layers[last, at.FAN_OUT]
        thread = cuda.threadIdx.x
        rank, stride, slots = thread, THREADS // at.GROUP, 0
        if not is_block:
            rank, stride = thread % LANES, LANES // at.GROUP
            slots = (thread - rank) // LANES * at.GROUP * N_SLOTS
        row, column = rank % at.GROUP, rank // at.GROUP
        n_slots = min(n_outputs, N_SLOTS)
        if group.n_rows <= 0:
            first = n_outputs = 0
        place = batch.step * settings[at.BATCH_SIZE] + first
        source = rows.order[place + max(0, min(row, group.n_rows - 1))]
        (weight,) = zeros(1, arena)
        weight += number_like(1, weight)
        if settings[at.IS_WEIGHTED]:
            weight = rows.sample_weight[settings[at.FIRST_WEIGHT] + source]
        part = OutputPart(
            arena, layers[last, at.OUTPUT] + first * n_outputs + row, n_outputs, column, stride
        )
        y = settings[at.FIRST_Y] + source * layers[last, at.FAN_OUT]
        outputs.activate_outputs(loss, part)
        outputs.losses_and_deltas(
            loss, network, part, Target(rows.Y, y, weight), Slots(shared, slots + row)
        )
        if row >= group.n_rows:
            while column < n_outputs:
                store(arena, part.place + at.GROUP * column, number_like(0, weight))
                column += stride
        cuda.syncthreads()
        if rank < group.n_rows:
            total = load(shared, slots + rank)
            for other in range(1, n_slots):
                total += load(shared, slots + rank + at.GROUP * other)
            total *= record.step_scalars[batch.step, at.INVERSE_WEIGHT]
            record.row_losses[place + rank] = total * number_like(batch.n_rows, total)
        cuda.syncthreads()

    return finish_group


@specialized
def make_rows_phase(dtype, specialization):
    """Make a device function for the first phase of a step."""
    multiply_group = make_multiply_group(dtype, specialization)
    finish_group = make_finish_group(specialization)

    @compile_device
    def rows_phase(block, network, rows, record, step, steps_done):
        """Take all rows of a batch through the network and back.

        Parameters
        ----------
        block : Block
        network : Network
        rows : Rows
        record : StepRecord
        step : int
            Number of the step in this order.
        steps_done : int
            Number of steps that were done before the first one of this order.
        """
        batch = batch_of_step(network.settings, rows.order.size, step, steps_done)
        n_layers = network.settings[at.N_LAYERS]
        thread = cuda.threadIdx.x
        rank, n_threads, mine, n_teams = thread, THREADS, 0, 1
        most_for_blocks = network.settings[at.GROUPS_FOR_WARPS] * block.count * at.GROUP
        is_block = batch.n_rows < most_for_blocks
        if not is_block:
            rank, n_threads, mine, n_teams = thread % LANES, LANES, thread // LANES, WARPS
        # All teams of a block take the same number of turns, for barriers are common to all; in the
        # last turn some teams may have no rows.
        turn = block.number
        while turn * at.GROUP < batch.n_rows:
            first = (turn + mine * block.count) * at.GROUP
            group = Group(first, min(at.GROUP, batch.n_rows - first))
            if group.n_rows > 0:
                gather(rank, n_threads, network, rows, batch, group)
            cuda.syncthreads()
            # This goes forward through all layers, and back to the first hidden layer.
            for i in range(2 * n_layers - 1):
                number, is_back = i, i >= n_layers
                if is_back:
                    number = 2 * n_layers - 1 - i
                multiply_group(
                    is_block, block.shared, network, number, is_back, group, batch.seen
                )  # fmt: skip
                if i == n_layers - 1:
                    finish_group(is_block, block.shared, network, rows, record, batch, group)
            turn += n_teams * block.count

    return rows_phase
