"""Training steps of wide networks, in which the product of each layer is a phase of its own.

Products are computed by tiles. So an element that is read from the device's memory serves a whole
tile, while :mod:`fastmlp.engines.cuda.row_pass` uses a weight for four rows only. That is faster
where layers are wide and batches are large.
"""

from itertools import pairwise

import numba
import numpy as np

from ...network.weights import n_parameters
from . import layout as at
from .arguments import Block, Group, batch_of_step, rows_of_step
from .blocks import ALIGNMENT, N_SHARED, THREADS
from .elements import load, load_apart, quotient, store4, zeros
from .jit import compile_device, compile_kernel
from .jit import inside_kernels as cuda
from .layers import operands
from .row_pass import PANEL, gather, make_finish_element, make_finish_group, make_multiply_group
from .specialization import specialized
from .step_end import step_end
from .tiles import (
    DEPTH,
    EDGE,
    ELEMENTS,
    N_TILE_SHARED,
    ROWS_APART,
    STRIDE,
    TileFactors,
    multiply_over_batch,
)
from .tiles import multiply as multiply_tile
from .weight_update import Tile, TileShape, facts_of_step, has_bias, nearest_column, tile_functions

# A network is wide if each hidden layer has at least this many units, and a step at least this many
# multiply-adds (parameters times rows of a batch). By estimate there are then enough tiles to keep
# a GPU busy. The limits must not depend on the device, because the order in which sums are added up
# is another one than in other networks.
_WIDE_UNITS = 256
_WIDE_MULTIPLY_ADDS = 2**28

GROUP = at.GROUP


def is_wide(plan):
    """Tell whether a network is trained by the kernels of this module."""
    hidden = plan.layer_units[1:-1]
    work = plan.batch_size * n_parameters(plan.layer_units)
    return len(hidden) > 0 and min(hidden) >= _WIDE_UNITS and work >= _WIDE_MULTIPLY_ADDS


def _n_tiles(n_rows, n_columns):
    """Compute the number of tiles of a matrix."""
    return -(-n_rows // EDGE) * -(-n_columns // EDGE)


def launches(plan, n_rows):
    """List the launches of a step.

    Parameters
    ----------
    plan : TrainingPlan
    n_rows : int
        Number of rows of the batch.

    Yields
    ------
    name : str
        Name of the kernel.
    number : int
        Number of the layer, for products.
    is_back : bool
        Whether the product is one of the backward pass.
    n_blocks : int
        Largest number of blocks that have something to do.
    """
    layers = list(enumerate(pairwise(plan.layer_units)))
    n_groups = -(-n_rows // GROUP)
    yield "wide_gather", 0, False, n_groups
    for number, (_, fan_out) in layers[: len(layers) - (plan.n_outputs <= PANEL)]:
        yield "wide_product", number, False, _n_tiles(n_rows, fan_out)
    yield "wide_outputs", 0, False, n_groups
    for number, (fan_in, _) in reversed(layers[1:]):
        yield "wide_product", number, True, _n_tiles(n_rows, fan_in)
    yield "wide_update", 0, False, sum(_n_tiles(*units) for _, units in layers)


@compile_device
def _gather_phase(block_number, n_blocks, network, rows, step):
    """Copy the rows of a batch to the inputs of the first layer."""
    batch = batch_of_step(network.settings, rows.order.size, step, 0)
    first = block_number * GROUP
    while first < batch.n_rows:
        group = Group(first, min(GROUP, batch.n_rows - first))
        gather(cuda.threadIdx.x, THREADS, network, rows, batch, group)
        first += n_blocks * GROUP


@specialized
def _make_product_phase(specialization):
    """Make a device function that computes the product of a layer by tiles."""
    finish_element = make_finish_element(specialization)

    @compile_device
    def finish_group(network, number, is_back, row, column, batch, totals):
        """Compute activations, or deltas, of four rows; those beyond the batch get zeros."""
        n_rows, seen = batch.n_rows, batch.seen
        t0, t1, t2, t3 = totals
        return (
            finish_element(network, number, is_back, row < n_rows, row, column, seen, t0),
            finish_element(network, number, is_back, row + 1 < n_rows, row + 1, column, seen, t1),
            finish_element(network, number, is_back, row + 2 < n_rows, row + 2, column, seen, t2),
            finish_element(network, number, is_back, row + 3 < n_rows, row + 3, column, seen, t3),
        )

    @compile_device
    def product_phase(block, network, batch, number, is_back):
        """Compute the activations of a layer for a batch, or the deltas of the layer before."""
        a, b, out, depth, width = operands(network.layers, number, is_back)
        thread, n_rows = cuda.threadIdx.x, batch.n_rows
        last_group = (n_rows - 1) // GROUP
        n_across = (width + EDGE - 1) // EDGE
        n_tiles = (n_rows + EDGE - 1) // EDGE * n_across
        tile = block.number
        while tile < n_tiles:
            above = quotient(tile, n_across)
            top, left = above * EDGE, (tile - above * n_across) * EDGE
            group = min(top // GROUP + thread // DEPTH, last_group)
            factors = TileFactors(
                a + group * GROUP * depth, b + min(left + thread % EDGE, width - 1), depth, width,
                depth,
            )  # fmt: skip
            multiply_tile(block.shared, network.arena, factors, False)
            column = left + thread % EDGE
            for i in range(thread // EDGE, EDGE // GROUP, ROWS_APART):
                row = top + i * GROUP
                if row < n_rows and column < width:
                    totals = load_apart(block.shared, i * GROUP * STRIDE + thread % EDGE, STRIDE)
                    store4(
                        network.arena, out + row * width + GROUP * column,
                        finish_group(network, number, is_back, row, column, batch, totals),
                    )  # fmt: skip
            cuda.syncthreads()
            tile += block.count

    return product_phase


@specialized
def _make_outputs_phase(dtype, specialization):
    """Make a device function for the losses and deltas of a batch."""
    # There are fewer loads at once than elsewhere, because this kernel has no registers left.
    multiply_group = make_multiply_group(dtype, specialization, 16)
    finish_group = make_finish_group(specialization)

    @compile_device
    def outputs_phase(block, network, rows, record, batch):
        """Compute losses and deltas of a batch; if the last layer is narrow, its outputs first."""
        last = network.settings[at.N_LAYERS] - 1
        first = block.number * GROUP
        while first < batch.n_rows:
            group = Group(first, min(GROUP, batch.n_rows - first))
            if network.layers[last, at.FAN_OUT] <= PANEL:
                multiply_group(True, block.shared, network, last, False, group, batch.seen)
            finish_group(True, block.shared, network, rows, record, batch, group)
            first += block.count * GROUP

    return outputs_phase


@compile_device
def _total(shared, place):
    """Read the sum of an element of a tile over the batch."""
    return load(shared, place)


_SHAPE = TileShape(STRIDE, ROWS_APART, ELEMENTS, _total)


@compile_device
def _multiply_inputs(shared, network, tile, n_rows):
    """Write the sums of a tile of the gradient to shared memory; return the sum of the bias."""
    layers, fan_in, fan_out = network.layers, tile.fan_in, tile.fan_out
    factors = TileFactors(
        layers[tile.layer, at.INPUT] + GROUP * min(tile.top + tile.column, fan_in - 1),
        layers[tile.layer, at.DELTA] + GROUP * nearest_column(tile), fan_in, fan_out, n_rows,
    )  # fmt: skip
    return multiply_over_batch(shared, network.arena, factors, tile.top == 0)


@specialized
def _make_update_tile(specialization):
    """Make a device function for the gradient and the update of a tile of weights."""
    tiles = tile_functions(specialization, _SHAPE)

    @compile_device
    def update_tile(shared, network, facts, tile, n_rows):
        """Compute the gradient of a tile of weights, and update them."""
        arena, layers = network.arena, network.layers
        total = _multiply_inputs(shared, network, tile, n_rows)
        weights, sums = layers[tile.layer, at.WEIGHTS], zeros(3, arena)
        for i in range(0, ELEMENTS, 4):
            row = tile.row + i * ROWS_APART
            fetched = tiles.fetch_four(arena, tile, row, weights, facts.n_parameters)
            sums = tiles.update_four(arena, shared, facts, tile, row, fetched, sums)
        if has_bias(tile):
            bias = tiles.fetch_bias(arena, tile, layers[tile.layer, at.BIASES], facts.n_parameters)
            sums = tiles.update_bias(arena, facts, bias, total, sums)
        tiles.finish_tile(shared, network, tile, sums)

    return update_tile


@specialized
def _make_update_phase(specialization):
    """Make a device function for the gradients and updates of all weights."""
    update_tile = _make_update_tile(specialization)

    @compile_device
    def update_phase(block, network, record, n_in_order, step):
        """Compute the gradients of all weights and update them; blocks take turns over tiles."""
        layers = network.layers
        n_rows = rows_of_step(network.settings, n_in_order, step)
        facts = facts_of_step(network, record, step)
        row, column = cuda.threadIdx.x // EDGE, cuda.threadIdx.x % EDGE
        # Tiles are counted through all layers.
        n_before, of_all = 0, block.number
        for layer in range(network.settings[at.N_LAYERS]):
            fan_in, fan_out = layers[layer, at.FAN_IN], layers[layer, at.FAN_OUT]
            n_across = (fan_out + EDGE - 1) // EDGE
            n_tiles = (fan_in + EDGE - 1) // EDGE * n_across
            while of_all - n_before < n_tiles:
                number = of_all - n_before
                above = quotient(number, n_across)
                tile = Tile(
                    layer, layers[layer, at.FIRST_TILE] + number, above * EDGE,
                    (number - above * n_across) * EDGE, row, column, fan_in, fan_out,
                )  # fmt: skip
                update_tile(block.shared, network, facts, tile, n_rows)
                of_all += block.count
            n_before += n_tiles

    return update_phase


@specialized
def wide_kernels(dtype, specialization):
    """Make the kernels that train wide networks.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the arena's elements.
    specialization : Specialization

    Returns
    -------
    dict
        Kernels by name.
    """
    return {
        "train_wide": _train_wide(dtype, specialization),
        "wide_gather": _wide_gather(specialization),
        "wide_product": _wide_product(dtype, specialization),
        "wide_outputs": _wide_outputs(dtype, specialization),
        "wide_update": _wide_update(dtype, specialization),
    }


def _wide_gather(specialization):
    @compile_kernel(specialization)
    def wide_gather(network, rows, step):
        """Copy the rows of a batch, as a launch of its own."""
        _gather_phase(cuda.blockIdx.x, cuda.gridDim.x, network, rows, step)

    return wide_gather


def _wide_product(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    product_phase = _make_product_phase(specialization)

    @compile_kernel(specialization, THREADS)
    def wide_product(network, n_in_order, step, steps_done, number, is_back):
        """Compute the activations of a layer, or the deltas of the one before, in a launch."""
        shared = cuda.shared.array(N_TILE_SHARED, FLOAT, ALIGNMENT)
        batch = batch_of_step(network.settings, n_in_order, step, steps_done)
        block = Block(cuda.blockIdx.x, cuda.gridDim.x, shared)
        product_phase(block, network, batch, number, is_back)

    return wide_product


def _wide_outputs(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    outputs_phase = _make_outputs_phase(dtype, specialization)

    @compile_kernel(specialization, THREADS)
    def wide_outputs(network, rows, record, step, steps_done):
        """Compute the losses and the deltas of the outputs, as a launch of its own."""
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        batch = batch_of_step(network.settings, rows.order.size, step, steps_done)
        block = Block(cuda.blockIdx.x, cuda.gridDim.x, shared)
        outputs_phase(block, network, rows, record, batch)

    return wide_outputs


def _wide_update(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    update_phase = _make_update_phase(specialization)

    @compile_kernel(specialization, THREADS)
    def wide_update(network, record, n_in_order, step):
        """Compute the gradients of all weights and update them, as a launch of its own."""
        shared = cuda.shared.array(N_TILE_SHARED, FLOAT, ALIGNMENT)
        block = Block(cuda.blockIdx.x, cuda.gridDim.x, shared)
        update_phase(block, network, record, n_in_order, step)

    return wide_update


def _train_wide(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    product_phase = _make_product_phase(specialization)
    outputs_phase = _make_outputs_phase(dtype, specialization)
    update_phase = _make_update_phase(specialization)
    finish_step = step_end(specialization).finish_step

    @compile_kernel(specialization, THREADS)
    def train_wide(network, rows, record, first_step, last_step, steps_done):
        """Run many steps in one cooperative launch, whose blocks must all run at the same time."""
        shared = cuda.shared.array(N_TILE_SHARED, FLOAT, ALIGNMENT)
        grid = cuda.cg.this_grid()
        block = Block(cuda.blockIdx.x, cuda.gridDim.x, shared)
        n_layers = network.settings[at.N_LAYERS]
        n_products = n_layers
        if network.layers[n_layers - 1, at.FAN_OUT] <= PANEL:
            n_products -= 1  # outputs_phase computes the last one
        for step in range(first_step, last_step):
            batch = batch_of_step(network.settings, rows.order.size, step, steps_done)
            _gather_phase(block.number, block.count, network, rows, step)
            grid.sync()
            for i in range(n_products + n_layers - 1):
                number, is_back = i, i >= n_products
                if is_back:
                    number = n_products + n_layers - 1 - i
                if i == n_products:
                    outputs_phase(block, network, rows, record, batch)
                    grid.sync()
                product_phase(block, network, batch, number, is_back)
                grid.sync()
            update_phase(block, network, record, rows.order.size, step)
            finish_step(grid, block, network, record, rows.order.size, step)

    return train_wide
