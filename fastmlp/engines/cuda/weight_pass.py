"""The second phase of a training step: blocks compute tiles of the gradient and update weights."""

from functools import cache

import numpy as np

from . import layout as at
from .arguments import rows_of_step
from .blocks import N_SHARED, THREADS
from .elements import add_products, load4, load_apart, quotient, repeated, store_apart, zeros
from .jit import compile_device
from .jit import inside_kernels as cuda
from .specialization import specialized
from .weight_update import Tile, TileShape, facts_of_step, has_bias, tile_functions

TILE, GROUP = at.TILE, at.GROUP
# A thread computes four rows and four columns of a tile, which lie _APART apart, for a share of the
# batch.
_APART = TILE // 4
_SHARES = THREADS // _APART**2
# In the end a thread updates _ELEMENTS elements of a column, which lie _ROWS_APART rows apart.
_ELEMENTS = TILE * TILE // THREADS
_ROWS_APART = THREADS // TILE
assert _SHARES == _ELEMENTS == 4
# Distance of a tile's rows in shared memory, and place of the sums for the biases behind them.
_STRIDE = TILE + 4
_BIASES = _SHARES * TILE * _STRIDE
assert _BIASES + _SHARES * TILE <= N_SHARED


@compile_device
def _read_columns(arena, place):
    """Read four columns of a group of rows."""
    apart = GROUP * _APART
    return (
        load4(arena, place), load4(arena, place + apart), load4(arena, place + 2 * apart),
        load4(arena, place + 3 * apart),
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
    """Add the deltas of a group of rows to the sums of four columns."""
    s0, s1, s2, s3 = sums
    d0, d1, d2, d3 = deltas
    return (
        s0 + d0[0] + d0[1] + d0[2] + d0[3], s1 + d1[0] + d1[1] + d1[2] + d1[3],
        s2 + d2[0] + d2[1] + d2[2] + d2[3], s3 + d3[0] + d3[1] + d3[2] + d3[3],
    )  # fmt: skip


@cache
def _share_of_batch(with_biases, n_at_once):
    """Make a device function for the sums of a thread over its share of a batch.

    Parameters
    ----------
    with_biases : bool
        Whether the deltas of its columns are summed, too.
    n_at_once : int
        Number of groups of rows that are read at once, so that their loads overlap.

    Returns
    -------
    device function
        It takes ``(arena, inputs, deltas, fan_in, fan_out, n_groups)`` and returns sixteen sums for
        weights and four for biases, which are zero if `with_biases` is false.
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
def _total_of_shares(shared, place, apart):
    """Add up the sums over the shares of a batch, which lie `apart` in shared memory."""
    s0, s1, s2, s3 = load_apart(shared, place, apart)
    return s0 + s1 + s2 + s3


@compile_device
def _total(shared, place):
    """Add up an element of a tile over the shares of the batch."""
    return _total_of_shares(shared, place, TILE * _STRIDE)


_SHAPE = TileShape(_STRIDE, _ROWS_APART, _ELEMENTS, _total)


@compile_device
def _tile_at(layers, settings, number, row, column):
    """Find a tile by its number among those of all layers."""
    layer = 0
    while layer + 1 < settings[at.N_LAYERS] and number >= layers[layer + 1, at.FIRST_TILE]:
        layer += 1
    first, n_across = layers[layer, at.FIRST_TILE], layers[layer, at.TILE_COLUMNS]
    in_layer = number - first
    above = quotient(in_layer, n_across)
    # The sum has the same type in all kernels, while the type of `number` varies.
    return Tile(
        layer, first + in_layer, above * TILE, (in_layer - above * n_across) * TILE, row, column,
        layers[layer, at.FAN_IN], layers[layer, at.FAN_OUT],
    )  # fmt: skip


@cache
def _make_leave_shares(n_at_once):
    """Make a device function that writes the products of a tile to shared memory."""
    share_of_weights = _share_of_batch(False, n_at_once)
    share_with_biases = _share_of_batch(True, n_at_once)

    @compile_device
    def leave_shares(shared, network, tile, n_groups):
        """Write the sums over each share of the batch; tiles at the top sum biases, too."""
        thread = cuda.threadIdx.x
        part, in_part = thread // (_APART * _APART), thread % (_APART * _APART)
        row, column = in_part // _APART, in_part % _APART
        chunk = (n_groups + _SHARES - 1) // _SHARES
        first_group = min(n_groups, part * chunk)
        n_here = min(n_groups, first_group + chunk) - first_group
        fan_in, fan_out = tile.fan_in, tile.fan_out
        inputs = network.layers[tile.layer, at.INPUT]
        inputs += GROUP * (first_group * fan_in + tile.top + row)
        deltas = network.layers[tile.layer, at.DELTA]
        deltas += GROUP * (first_group * fan_out + tile.left + column)
        if tile.top == 0:
            sums, bias_sums = share_with_biases(
                network.arena, inputs, deltas, fan_in, fan_out, n_here
            )
        else:
            sums, bias_sums = share_of_weights(
                network.arena, inputs, deltas, fan_in, fan_out, n_here
            )
        to = (part * TILE + row) * _STRIDE + column
        store_apart(shared, to, _APART, sums[0:4])
        store_apart(shared, to + _APART * _STRIDE, _APART, sums[4:8])
        store_apart(shared, to + 2 * _APART * _STRIDE, _APART, sums[8:12])
        store_apart(shared, to + 3 * _APART * _STRIDE, _APART, sums[12:16])
        if tile.top == 0 and row == 0:
            store_apart(shared, _BIASES + part * TILE + column, _APART, bias_sums)
        cuda.syncthreads()

    return leave_shares


@specialized
def make_weights_phase(dtype, specialization):
    """Make a device function for the second phase of a step."""
    # This is the largest number of loads at once for which there are registers.
    leave_shares = _make_leave_shares(2 if np.dtype(dtype) == np.float32 else 1)
    tiles = tile_functions(specialization, _SHAPE)

    @compile_device
    def weights_phase(block, network, record, n_in_order, step):
        """Compute the gradients of all weights and update them; blocks take turns over tiles."""
        arena, layers, settings = network.arena, network.layers, network.settings
        shared, n_parameters = block.shared, settings[at.N_PARAMETERS]
        n_groups = (rows_of_step(settings, n_in_order, step) + GROUP - 1) // GROUP
        facts = facts_of_step(network, record, step)
        thread = cuda.threadIdx.x
        row, column = thread // TILE, thread % TILE
        number = block.number
        while number < settings[at.N_TILES]:
            tile = _tile_at(layers, settings, number, row, column)
            # The weights that are updated in the end are read while products are added.
            weights, biases = layers[tile.layer, at.WEIGHTS], layers[tile.layer, at.BIASES]
            fetched = tiles.fetch_four(arena, tile, row, weights, n_parameters)
            bias = tiles.fetch_bias(arena, tile, biases, n_parameters)
            leave_shares(shared, network, tile, n_groups)
            sums = tiles.update_four(arena, shared, facts, tile, row, fetched, zeros(3, arena))
            if has_bias(tile):
                total = _total_of_shares(shared, _BIASES + column, TILE)
                sums = tiles.update_bias(arena, facts, bias, total, sums)
            tiles.finish_tile(shared, network, tile, sums)
            number += block.count

    return weights_phase
