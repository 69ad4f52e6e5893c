"""Steps of wide networks: each layer is a matrix product of its own, by tiles.

Where a layer is wide and the batch large, an element that is brought from the memory of the device
so serves a whole tile, where the first phase of :mod:`fastmlp.engines.cuda.row_pass` uses a weight
for four rows.
"""

from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import numba
import numpy as np

from ...network.weights import n_parameters
from . import layout as at
from .blocks import ALIGNMENT, N_SHARED, THREADS
from .elements import add_product, load, quotient, store, store4, zeros
from .jit import compile_device, compile_kernel
from .jit import inside_kernels as cuda
from .layers import unit_functions
from .row_pass import PANEL, row_phase
from .tiles import DEPTH, EDGE, ELEMENTS, N_TILE_SHARED, ROWS_APART, STRIDE, multiply_over_batch
from .tiles import multiply as multiply_tile
from .weight_pass import weight_phases

# A network is wide from so many units in each hidden layer and, with few rows of a batch, so many
# multiply-adds of a step on (parameters times rows): tiles are then many enough, by estimate, to
# fill a GPU. It must not depend on the device: the sums have another order than those of other
# networks.
_WIDE_UNITS = 256
_WIDE_MULTIPLY_ADDS = 2**28

GROUP = at.GROUP


def is_wide(plan):
    """Whether a network is trained here."""
    hidden = plan.layer_units[1:-1]
    work = plan.batch_size * n_parameters(plan.layer_units)
    return len(hidden) > 0 and min(hidden) >= _WIDE_UNITS and work >= _WIDE_MULTIPLY_ADDS


def _n_tiles(n_rows, n_columns):
    """Tiles of a matrix."""
    return -(-n_rows // EDGE) * -(-n_columns // EDGE)


def launches(plan, n_rows):
    """What a step on some rows launches: name, layer, whether back, and useful blocks."""
    layers = list(enumerate(pairwise(plan.layer_units)))
    n_groups = -(-n_rows // GROUP)
    yield "wide_gather", 0, False, n_groups
    for number, (_, fan_out) in layers[: len(layers) - (plan.n_outputs <= PANEL)]:
        yield "wide_product", number, False, _n_tiles(n_rows, fan_out)
    yield "wide_outputs", 0, False, n_groups
    for number, (fan_in, _) in reversed(layers[1:]):
        yield "wide_product", number, True, _n_tiles(n_rows, fan_in)
    yield "wide_update", 0, False, sum(_n_tiles(*units) for _, units in layers)


@cache
def wide_phases(dtype, choices):
    """The phases of a step up to the first update, for arenas of one dtype, by name."""
    FLOAT = numba.from_dtype(np.dtype(dtype))
    by_rows, of_weights = row_phase(dtype, choices, 16), weight_phases(dtype, choices)
    gather, multiply_group, finish_group = (
        by_rows.gather, by_rows.multiply_group, by_rows.finish_group,
    )  # fmt: skip
    fetch_weight, facts, leave_sums = of_weights.fetch, of_weights.facts, of_weights.leave_sums
    update, update_element = of_weights.update, of_weights.update_element
    finish_unit, finish_delta = unit_functions(choices)
    measures, clips_norms = choices.measures_gradients, choices.clips_norms

    @compile_device
    def gather_phase(block, n_blocks, arena, layers, settings, X, order, step):
        """Copy the rows of a batch to the inputs of the first layer."""
        start = step * settings[at.BATCH_SIZE]
        n_rows = min(settings[at.BATCH_SIZE], order.size - start)
        first = block * GROUP
        while first < n_rows:
            gather(
                cuda.threadIdx.x, THREADS, arena, layers, settings, X, order, start, first,
                min(GROUP, n_rows - first),
            )  # fmt: skip
            first += n_blocks * GROUP

    @compile_device
    def product_phase(
        block, n_blocks, shared, arena, layers, settings, n_rows, seen, number, is_back
    ):  # fmt: skip
        """Activations of a layer for a batch; or, going back, deltas of the layer before."""
        depth, width = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
        a, b, out = layers[number, at.INPUT], layers[number, at.WEIGHTS], layers[number, at.OUTPUT]
        if is_back:
            depth, width = width, depth
            a, b = layers[number, at.DELTA], layers[number, at.TRANSPOSED]
            out = layers[number - 1, at.DELTA]
        thread = cuda.threadIdx.x
        last_group = (n_rows - 1) // GROUP
        n_across = (width + EDGE - 1) // EDGE
        n_tiles = (n_rows + EDGE - 1) // EDGE * n_across
        tile = block
        while tile < n_tiles:
            above = quotient(tile, n_across)
            top, left = above * EDGE, (tile - above * n_across) * EDGE
            group = min(top // GROUP + thread // DEPTH, last_group)
            multiply_tile(
                shared, arena, a + group * GROUP * depth,
                b + min(left + thread % EDGE, width - 1), depth, width, depth, False,
            )  # fmt: skip
            column = left + thread % EDGE
            for i in range(thread // EDGE, EDGE // GROUP, ROWS_APART):
                row = top + i * GROUP
                if row < n_rows and column < width:
                    place = i * GROUP * STRIDE + thread % EDGE
                    z0, z1 = load(shared, place), load(shared, place + STRIDE)
                    z2, z3 = load(shared, place + 2 * STRIDE), load(shared, place + 3 * STRIDE)
                    if is_back:
                        z0 = finish_delta(arena, layers, number - 1, row, column, z0)
                        z1 = finish_delta(arena, layers, number - 1, row + 1, column, z1)
                        z2 = finish_delta(arena, layers, number - 1, row + 2, column, z2)
                        z3 = finish_delta(arena, layers, number - 1, row + 3, column, z3)
                    else:
                        bias = load(arena, layers[number, at.BIASES] + column)
                        z0 = finish_unit(
                            arena, layers, settings, number, row, column, seen, z0 + bias
                        )
                        z1 = finish_unit(
                            arena, layers, settings, number, row + 1, column, seen, z1 + bias
                        )
                        z2 = finish_unit(
                            arena, layers, settings, number, row + 2, column, seen, z2 + bias
                        )
                        z3 = finish_unit(
                            arena, layers, settings, number, row + 3, column, seen, z3 + bias
                        )
                    # Rows that the last group has too many stay zero.
                    if row + 1 >= n_rows:
                        z1 = FLOAT(0)
                    if row + 2 >= n_rows:
                        z2 = FLOAT(0)
                    if row + 3 >= n_rows:
                        z3 = FLOAT(0)
                    store4(arena, out + row * width + GROUP * column, (z0, z1, z2, z3))
            cuda.syncthreads()
            tile += n_blocks

    @compile_device
    def outputs_phase(
        block, n_blocks, shared, arena, layers, settings, constants, Y, sample_weight, order,
        numbers, row_losses, step, seen,
    ):  # fmt: skip
        """Losses of the rows of a batch, and deltas; of a narrow layer the outputs before."""
        n_rows = min(settings[at.BATCH_SIZE], order.size - step * settings[at.BATCH_SIZE])
        last = settings[at.N_LAYERS] - 1
        first = block * GROUP
        while first < n_rows:
            n_here = min(GROUP, n_rows - first)
            if layers[last, at.FAN_OUT] <= PANEL:
                multiply_group(
                    True, shared, arena, layers, settings, last, False, first, n_here, seen
                )
            finish_group(
                True, shared, arena, layers, settings, constants, Y, sample_weight, order, numbers,
                row_losses, step, n_rows, first, n_here,
            )  # fmt: skip
            first += n_blocks * GROUP

    @compile_device
    def update_phase(
        block, n_blocks, shared, arena, layers, settings, constants, n_in_order, numbers, step
    ):  # fmt: skip
        """Gradients of all weights, and updates; each tile leaves its sums."""
        n_rows = min(settings[at.BATCH_SIZE], n_in_order - step * settings[at.BATCH_SIZE])
        n_parameters = settings[at.N_PARAMETERS]
        known = facts(settings, constants, numbers, step)
        thread = cuda.threadIdx.x
        in_row, in_column = thread // EDGE, thread % EDGE
        # The blocks take turns over the tiles of all layers.
        n_before, of_all = 0, block
        for number in range(settings[at.N_LAYERS]):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            n_across = (fan_out + EDGE - 1) // EDGE
            n_tiles = (fan_in + EDGE - 1) // EDGE * n_across
            while of_all - n_before < n_tiles:
                tile = of_all - n_before
                above = quotient(tile, n_across)
                top, left = above * EDGE, (tile - above * n_across) * EDGE
                column, is_column = min(left + in_column, fan_out - 1), left + in_column < fan_out
                total = multiply_over_batch(
                    shared, arena,
                    layers[number, at.INPUT] + GROUP * min(top + in_column, fan_in - 1),
                    layers[number, at.DELTA] + GROUP * column, fan_in, fan_out, n_rows, top == 0,
                )  # fmt: skip
                of_tile = zeros(3, arena)
                for i in range(0, ELEMENTS, 4):
                    row_0 = top + in_row + i * ROWS_APART
                    row_1, row_2 = row_0 + ROWS_APART, row_0 + 2 * ROWS_APART
                    row_3 = row_0 + 3 * ROWS_APART
                    w = layers[number, at.WEIGHTS] + column
                    w_0 = w + min(row_0, fan_in - 1) * fan_out
                    w_1 = w + min(row_1, fan_in - 1) * fan_out
                    w_2 = w + min(row_2, fan_in - 1) * fan_out
                    w_3 = w + min(row_3, fan_in - 1) * fan_out
                    fetched_0 = fetch_weight(arena, w_0, n_parameters)
                    fetched_1 = fetch_weight(arena, w_1, n_parameters)
                    fetched_2 = fetch_weight(arena, w_2, n_parameters)
                    fetched_3 = fetch_weight(arena, w_3, n_parameters)
                    to = (in_row + i * ROWS_APART) * STRIDE + in_column
                    of_tile = update_element(
                        arena, shared, known, is_column and row_0 < fan_in, to,
                        load(shared, to), w_0, fetched_0, of_tile,
                    )  # fmt: skip
                    to += ROWS_APART * STRIDE
                    of_tile = update_element(
                        arena, shared, known, is_column and row_1 < fan_in, to,
                        load(shared, to), w_1, fetched_1, of_tile,
                    )  # fmt: skip
                    to += ROWS_APART * STRIDE
                    of_tile = update_element(
                        arena, shared, known, is_column and row_2 < fan_in, to,
                        load(shared, to), w_2, fetched_2, of_tile,
                    )  # fmt: skip
                    to += ROWS_APART * STRIDE
                    of_tile = update_element(
                        arena, shared, known, is_column and row_3 < fan_in, to,
                        load(shared, to), w_3, fetched_3, of_tile,
                    )  # fmt: skip
                norm, absolute, square = of_tile
                if top == 0 and in_row == 0 and is_column:
                    bias = layers[number, at.BIASES] + column
                    g, _ = update(
                        arena, known, bias, fetch_weight(arena, bias, n_parameters), total,
                        FLOAT(0), FLOAT(0), FLOAT(1),
                    )  # fmt: skip
                    if measures:
                        square = add_product(square, g, g)
                cuda.syncthreads()
                if number > 0 and not (clips_norms and settings[at.CLIPS_NORM]):
                    # Neighbouring threads write neighbouring elements here, too.
                    for i in range(ELEMENTS):
                        across = in_row + i * ROWS_APART
                        if top + in_column < fan_in and left + across < fan_out:
                            to = layers[number, at.TRANSPOSED] + (left + across) * fan_in
                            store(arena, to + top + in_column, shared[in_column * STRIDE + across])
                    cuda.syncthreads()
                leave_sums(
                    shared, arena, settings, constants[at.ALPHA],
                    layers[number, at.FIRST_TILE] + tile, norm, absolute, square,
                )  # fmt: skip
                of_all += n_blocks
            n_before += n_tiles

    return SimpleNamespace(
        gather_phase=gather_phase, product_phase=product_phase, outputs_phase=outputs_phase,
        update_phase=update_phase,
    )  # fmt: skip


@cache
def wide_kernels(dtype, choices):
    """The kernels of the phases, each of which is a launch then, as a dict by name.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the arena.
    choices : Choices
    """
    FLOAT = numba.from_dtype(np.dtype(dtype))
    phases, finish_step = wide_phases(dtype, choices), weight_phases(dtype, choices).finish_step
    gather_phase, product_phase, outputs_phase, update_phase = (
        phases.gather_phase, phases.product_phase, phases.outputs_phase, phases.update_phase,
    )  # fmt: skip

    @compile_kernel(choices)
    def wide_gather(arena, layers, settings, X, order, step):
        """Copy the rows of a batch."""
        gather_phase(
            cuda.blockIdx.x, cuda.gridDim.x, arena, layers, settings, X, order, step
        )  # fmt: skip

    @compile_kernel(choices, THREADS)
    def wide_product(arena, layers, settings, n_in_order, step, steps_done, number, is_back):
        """Activations of a layer, or deltas of the layer before."""
        shared = cuda.shared.array(N_TILE_SHARED, FLOAT, ALIGNMENT)
        n_rows = min(settings[at.BATCH_SIZE], n_in_order - step * settings[at.BATCH_SIZE])
        product_phase(
            cuda.blockIdx.x, cuda.gridDim.x, shared, arena, layers, settings, n_rows,
            (steps_done + step) * settings[at.BATCH_SIZE], number, is_back,
        )  # fmt: skip

    @compile_kernel(choices, THREADS)
    def wide_outputs(
        arena, layers, settings, constants, Y, sample_weight, order, numbers, row_losses, step,
        steps_done,
    ):  # fmt: skip
        """Losses, and deltas of the outputs."""
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        outputs_phase(
            cuda.blockIdx.x, cuda.gridDim.x, shared, arena, layers, settings, constants, Y,
            sample_weight, order, numbers, row_losses, step,
            (steps_done + step) * settings[at.BATCH_SIZE],
        )  # fmt: skip

    @compile_kernel(choices, THREADS)
    def wide_update(arena, layers, settings, constants, n_in_order, numbers, step):
        """Gradients of all weights, and updates."""
        shared = cuda.shared.array(N_TILE_SHARED, FLOAT, ALIGNMENT)
        update_phase(
            cuda.blockIdx.x, cuda.gridDim.x, shared, arena, layers, settings, constants,
            n_in_order, numbers, step,
        )  # fmt: skip

    @compile_kernel(choices, THREADS)
    def train_wide(
        arena, layers, settings, constants, X, Y, sample_weight, order, numbers, row_losses,
        penalties, gradient_norms, first_step, last_step, steps_done,
    ):  # fmt: skip
        """Many steps in one cooperative launch: all blocks have to be resident at once."""
        shared = cuda.shared.array(N_TILE_SHARED, FLOAT, ALIGNMENT)
        grid = cuda.cg.this_grid()
        block, n_blocks = cuda.blockIdx.x, cuda.gridDim.x
        n_layers, batch_size = settings[at.N_LAYERS], settings[at.BATCH_SIZE]
        n_products = n_layers
        if layers[n_layers - 1, at.FAN_OUT] <= PANEL:
            n_products -= 1  # the last one is the next phase's
        for step in range(first_step, last_step):
            n_rows = min(batch_size, order.size - step * batch_size)
            seen = (steps_done + step) * batch_size
            gather_phase(block, n_blocks, arena, layers, settings, X, order, step)
            grid.sync()
            for i in range(n_products + n_layers - 1):
                number, is_back = i, i >= n_products
                if is_back:
                    number = n_products + n_layers - 1 - i
                if i == n_products:
                    outputs_phase(
                        block, n_blocks, shared, arena, layers, settings, constants, Y,
                        sample_weight, order, numbers, row_losses, step, seen,
                    )  # fmt: skip
                    grid.sync()
                product_phase(
                    block, n_blocks, shared, arena, layers, settings, n_rows, seen, number, is_back
                )
                grid.sync()
            update_phase(
                block, n_blocks, shared, arena, layers, settings, constants, order.size, numbers,
                step,
            )  # fmt: skip
            finish_step(
                grid, block, n_blocks, shared, arena, layers, settings, constants, order.size,
                numbers, penalties, gradient_norms, step,
            )  # fmt: skip

    return {
        "train_wide": train_wide,
        "wide_gather": wide_gather, "wide_product": wide_product, "wide_outputs": wide_outputs,
        "wide_update": wide_update,
    }  # fmt: skip
