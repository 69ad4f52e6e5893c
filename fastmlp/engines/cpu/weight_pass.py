"""Kernels of a training step's second phase: gradients of blocks of weights, and their updates.

A block has the columns of a panel, and 32 rows in float32 or 16 in float64. Blocks at the edges of
a layer's weights can be smaller. Blocks are numbered over all layers.
"""

from . import layout as at
from .arguments import Matrix, Size, StridedMatrix
from .gemm import transpose_square
from .indirect_call import call
from .jit import compile_kernel
from .jobs import N_SUMS
from .patch_sums import add_absolutes, add_squares
from .slots import (
    DECAY_WEIGHTS,
    GROUP_BY_FEATURE,
    MULTIPLY,
    SHAPE_GRADIENT,
    SUM_BLOCK,
    SUM_GRADIENT,
    TRANSPOSE_BLOCK,
    UPDATE,
)
from .views import arrays_of, copy_elements, row_view, view
from .work_sharing import share

# The largest part of a panel that counts as few units: the sums over a block are then vectors of
# its rows, since vectors of its units would be padded.
_FEW_UNITS = 0.375


@compile_kernel
def block_of(layer, settings, number):
    """Compute where a block of weights lies.

    Parameters
    ----------
    layer : vector of int64
        A row of the layer table.
    settings : vector of int64
    number : int
        The number of the block among those of the layer.

    Returns
    -------
    top, rows : int
        The block's first row among the layer's weights, and its number of rows.
    column, width : int
        The block's first column among the layer's weights, and its number of columns.
    start : int
        The place of the block's first weight, counted from the first parameter.
    """
    panel, height = settings[at.PANEL], settings[at.BLOCK_HEIGHT]
    n_panels = (layer[at.OUT_WIDTH] + panel - 1) // panel
    top, column = number // n_panels * height, number % n_panels * panel
    rows = min(height, layer[at.FAN_IN] - top)
    width = min(panel, layer[at.OUT_WIDTH] - column)
    start = layer[at.WEIGHTS] + column * layer[at.FAN_IN] + top * width
    return top, rows, column, width, start


@compile_kernel
def patches_of(layer, settings, top, column, width):
    """Find the patches of a block of weights.

    Parameters
    ----------
    layer : vector of int64
        A row of the layer table.
    settings : vector of int64
    top, column, width : int
        The block, as :func:`block_of` describes it.

    Returns
    -------
    first, number : int
        The number of its first patch among those of all layers, and how many patches it has.
    """
    columns, in_row = settings[at.PATCH_COLUMNS], layer[at.PATCHES_IN_ROW]
    before = column // columns
    above = top // settings[at.BLOCK_HEIGHT] * in_row
    number = min((width + columns - 1) // columns, in_row - before)
    return layer[at.FIRST_PATCH] + above + before, number


@compile_kernel
def blocks_within(layer, first, last):
    """Find the blocks of a layer that are among some blocks of all layers.

    Parameters
    ----------
    layer : vector of int64
        A row of the layer table.
    first, last : int
        The blocks, counted over all layers: from `first` on, up to the one before `last`.

    Returns
    -------
    first, last : int
        The blocks, counted from the layer's first one. There are none unless first < last.
    """
    return (
        max(first - layer[at.FIRST_BLOCK], 0),
        min(last - layer[at.FIRST_BLOCK], layer[at.N_BLOCKS]),
    )


@compile_kernel
def transpose_panel(arena, layer, panel, source, top, rows, column, width):
    """Write rows of a block to one panel of the transposed copy of the layer's weights.

    Parameters
    ----------
    arena : vector
        Modified in place.
    layer : vector of int64
        A row of the layer table.
    panel : int
        The number of columns of a full panel.
    source : int
        Where the rows start in the arena.
    top, rows, column, width : int
        As for :func:`transpose_block`, where `top` is a multiple of `panel`, and `rows` at most
        `panel`.
    """
    to_width = min(panel, layer[at.IN_WIDTH] - top)
    to = layer[at.TRANSPOSED] + top * layer[at.OUT_WIDTH] + column * to_width
    side = panel // 2  # the lanes of a vector
    whole = rows // side * side
    for j in range(0, width, side):
        for i in range(0, whole, side):
            transpose_square(arena, source + i * width + j, width, to + j * to_width + i, to_width)
    # Columns beyond the fan-in stay zero, because the deltas that are computed from them must be.
    for i in range(whole, rows):
        w = view(arena, source + i * width, width)
        for j in range(width):
            arena[to + j * to_width + i] = w[j]


@compile_kernel
def transpose_block(arena, layer, panel, source, top, rows, column, width):
    """Write a block of weights to the transposed copy of the layer's weights.

    Parameters
    ----------
    arena : vector
        Modified in place.
    layer : vector of int64
        A row of the layer table.
    panel : int
        The number of columns of a full panel.
    source : int
        Where the block starts in the arena.
    top, rows, column, width : int
        The block, as :func:`block_of` describes it.
    """
    for first in range(0, rows, panel):  # a block can have the rows of several panels
        transpose_panel(
            arena, layer, panel,
            source + first * width, top + first, min(panel, rows - first), column, width,
        )  # fmt: skip


@compile_kernel
def pack_inputs(network, X, number, start, first, n_rows, top, width, to):
    """Copy some columns of a layer's inputs, for rows of the batch, without gaps between rows.

    Sums over the rows read these columns next. Another thread may have computed them, so that they
    are in the cache of another processor core. A copy fetches them fastest, because its loads do
    not wait for each other.

    Parameters
    ----------
    network : Network
    X : Inputs
    number : int
        The number of the layer.
    start : int
        Where the batch starts in the order.
    first, n_rows : int
        The first row, as its number in the batch, and the number of rows.
    top, width : int
        The first column, and the number of columns.
    to : int
        Where the copy starts in the arena.
    """
    arena, layers, _, _ = arrays_of(network)
    layer = layers[number]
    for row in range(n_rows):
        if number == 0:
            x = row_view(X.values, X.order[start + first + row])
            copy_elements(arena, to + row * width, x, top, width)
        else:
            a = layer[at.INPUT] + (first + row) * layer[at.INPUT_ROW] + top
            copy_elements(arena, to + row * width, arena, a, width)


@compile_kernel
def sum_few_units(network, size, inputs, inputs_row, deltas, to, width, room):
    """Sum the gradient of a block of weights of few units, with vectors over the block's rows.

    This is the transposed product of :func:`sum_gradient`, and has the same result.

    Parameters
    ----------
    network : Network
    size : Size
        The block's number of rows, the number of its units, and the number of rows of the batch.
    inputs, inputs_row : int
        Where the inputs of the block's rows start in the arena, and the distance between two rows
        of the batch there.
    deltas : Matrix
        The deltas of the units.
    to, width : int
        Where in the arena the sums are written, and the distance of their rows, which get zeros
        beyond the units.
    room : int
        Where in the arena there is room for a full panel with a row for each unit.
    """
    arena, _, settings, calls = arrays_of(network)
    panel, n_units = settings[at.PANEL], size.width
    transposed = StridedMatrix(deltas.start, 1, deltas.row_step)
    for top in range(0, size.rows, panel):
        rows = min(panel, size.rows - top)
        call(
            calls, MULTIPLY, arena,
            Size(n_units, rows, size.depth),
            transposed,
            Matrix(inputs + top, inputs_row),
            Matrix(room, panel),
            Matrix(settings[at.ZEROS], 0),
        )  # fmt: skip
        for i in range(rows):
            start = to + (top + i) * width
            for j in range(width):
                arena[start + j] = 0
            for j in range(n_units):
                arena[start + j] = arena[room + j * panel + i]


@compile_kernel
def sum_gradient(
    network, number, top, column, inputs, inputs_row, first, n_rows, to, to_biases, room
):  # fmt: skip
    """Sum the gradient of one block of weights over rows of the batch.

    For the topmost block of a panel, the gradient of the panel's biases is summed as well. For the
    weights of the first layer nothing is summed here where inputs are sparse.

    Parameters
    ----------
    network : Network
    number : int
        The number of the layer.
    top, column : int
        The block's first row and column among the layer's weights.
    inputs, inputs_row : int
        Where the inputs of the block's rows start in the arena, and the distance between two rows
        of the batch there.
    first, n_rows : int
        The first row, as its number in the batch, and the number of rows.
    to, to_biases : int
        Where in the arena the sums of weights and biases are written.
    room : int
        Where in the arena there is room for a full panel of half as many rows as columns.
    """
    arena, layers, settings, calls = arrays_of(network)
    layer, panel = layers[number], settings[at.PANEL]
    rows = min(settings[at.BLOCK_HEIGHT], layer[at.FAN_IN] - top)
    width = min(panel, layer[at.OUT_WIDTH] - column)
    n_units = min(width, layer[at.FAN_OUT] - column)  # without the padding
    delta_row = layer[at.OUTPUT_ROW]
    deltas = Matrix(layer[at.DELTA] + first * delta_row + column, delta_row)
    zeros = Matrix(settings[at.ZEROS], 0)
    if top == 0:
        # Column sums are a product with a row of ones. All of its elements are the same number one.
        ones = StridedMatrix(settings[at.ONE], 0, 0)
        to_sums = Matrix(to_biases, width)
        call(calls, MULTIPLY, arena, Size(1, n_units, n_rows), ones, deltas, to_sums, zeros)
    if number == 0 and settings[at.IS_SPARSE]:
        return
    size = Size(rows, n_units, n_rows)
    if n_units <= _FEW_UNITS * panel and 2 * n_units <= rows:
        sum_few_units(network, size, inputs, inputs_row, deltas, to, width, room)
        return
    transposed = StridedMatrix(inputs, 1, inputs_row)
    call(calls, MULTIPLY, arena, size, transposed, deltas, Matrix(to, width), zeros)


@compile_kernel
def sum_group(network, X, scratch, start, first_row, n_rows, to, first, last):
    """Sum the gradients of some blocks of weights, and of their biases, over a group of rows.

    Parameters
    ----------
    network : Network
    X : Inputs
    scratch : int
        Where this thread's scratch starts in the arena.
    start : int
        Where the batch starts in the order.
    first_row, n_rows : int
        The first row, as its number in the batch, and the number of rows.
    to : int
        Where in the arena the sums are written, in the order of the parameters.
    first, last : int
        The blocks, counted over all layers: from `first` on, up to the one before `last`.
    """
    _, layers, settings, calls = arrays_of(network)
    room = scratch + at.N_SCALARS
    packed_inputs = room + 2 * settings[at.PANEL] * settings[at.BLOCK_HEIGHT]
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        packed = -1
        first_here, last_here = blocks_within(layer, first, last)
        for block in range(first_here, last_here):
            top, rows, column, _, weights = block_of(layer, settings, block)
            if number == 0:
                inputs, inputs_row = packed_inputs, rows
                if top != packed:
                    pack_inputs(network, X, 0, start, first_row, n_rows, top, rows, inputs)
                    packed = top
            else:
                inputs_row = layer[at.INPUT_ROW]
                inputs = layer[at.INPUT] + first_row * inputs_row + top
            call(
                calls, SUM_GRADIENT,
                network, number, top, column, inputs, inputs_row, first_row, n_rows,
                to + weights, to + layer[at.BIASES] + column, room,
            )  # fmt: skip


@compile_kernel
def add_partial_sums(arena, settings, n_rows, parameter, size, to):
    """Add the gradients of all groups of rows for some parameters, always in the same order.

    Parameters
    ----------
    arena : vector
        Modified in place.
    settings : vector of int64
    n_rows : int
        The number of rows of the batch.
    parameter, size : int
        The number of the first parameter, and the number of parameters.
    to : int
        Where in the arena the sums are written.
    """
    result = view(arena, to, size)
    for i in range(size):
        result[i] = 0
    for group in range(settings[at.N_GROUPS]):
        first, last = share(group, settings[at.N_GROUPS], n_rows, at.GROUP_MULTIPLE)
        if last > first:
            start = settings[at.PARTIAL_SUMS] + group * settings[at.N_PARAMETERS] + parameter
            part = view(arena, start, size)
            for i in range(size):
                result[i] += part[i]


@compile_kernel
def n_weight_blocks(layers, settings):
    """Count the blocks of weights of all layers together."""
    last = layers[settings[at.N_LAYERS] - 1]
    return last[at.FIRST_BLOCK] + last[at.N_BLOCKS]


@compile_kernel
def use_gradient(
    network, scratch, batch_sum, parameter, rows, width, is_weight, sums, to_norm, n_patches
):  # fmt: skip
    """Update parameters by their summed gradient, or keep the gradient until its norm is known.

    Parameters
    ----------
    network : Network
    scratch : int
        Where this thread's scratch starts in the arena.
    batch_sum : int
        Where the summed gradient starts in the arena.
    parameter : int
        The number of the first parameter.
    rows, width : int
        The parameters' number of rows and columns.
    is_weight : bool
        Whether the parameters are weights; biases are neither penalised nor decayed.
    sums : vector of float64
        Modified in place: where the gradient is shaped, the squared norms of its patches are added
        to ``sums[to_norm :]``.
    to_norm, n_patches : int
    """
    arena, _, settings, calls = arrays_of(network)
    size = rows * width
    alpha = at.ALPHA if is_weight else at.NO_PENALTY
    start, inverse = settings[at.PARAMETERS] + parameter, at.INVERSE_WEIGHT
    if calls[SHAPE_GRADIENT] != 0:
        l1 = at.L1 if is_weight else at.NO_PENALTY
        call(calls, SHAPE_GRADIENT, arena, scratch, batch_sum, start, size, alpha, l1)
        add_squares(arena, batch_sum, rows, width, n_patches, sums, to_norm)
        alpha, inverse = at.NO_PENALTY, at.UNIT
    if settings[at.GRADIENTS] >= 0:
        copy_elements(arena, settings[at.GRADIENTS] + parameter, arena, batch_sum, size)
        return
    if is_weight and calls[DECAY_WEIGHTS] != 0:
        call(calls, DECAY_WEIGHTS, arena, scratch + at.DECAY, start, size)
    call(calls, UPDATE, arena, settings, scratch, batch_sum, start, size, alpha, inverse)


@compile_kernel
def update_weights(network, X, work, sums, scratch, start, n_rows, first, last):
    """Compute the gradients of some blocks of weights, and update the weights.

    The thread that has the topmost block of a panel updates the panel's biases as well.

    Parameters
    ----------
    network : Network
    X : Inputs
    work : vector of int64
        This thread's work array for sparse inputs; see ``sparse.group_by_feature``.
    sums : vector of float64
        Modified in place: gets the sums over each patch and over its gradient; see
        jobs.py.
    scratch : int
        Where this thread's scratch starts in the arena.
    start, n_rows : int
        Where the batch starts in the order, and its number of rows.
    first, last : int
        The blocks, counted over all layers: from `first` on, up to the one before `last`.
    """
    arena, layers, settings, calls = arrays_of(network)
    panel, parameters = settings[at.PANEL], settings[at.PARAMETERS]
    height = settings[at.BLOCK_HEIGHT]
    batch_sum = scratch + at.N_SCALARS
    biases_sum = batch_sum + panel * height
    inputs = biases_sum + panel * height
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        fan_in, n_panels = layer[at.FAN_IN], (layer[at.OUT_WIDTH] + panel - 1) // panel
        packed = -1
        first_here, last_here = blocks_within(layer, first, last)
        is_sparse = number == 0 and settings[at.IS_SPARSE] == 1
        first_feature = first_here // n_panels * height
        if is_sparse and first_here < last_here:
            last_feature = min(((last_here - 1) // n_panels + 1) * height, fan_in)
            call(
                calls, GROUP_BY_FEATURE, work, X, start, n_rows, first_feature, last_feature, fan_in
            )
        for block in range(first_here, last_here):
            top, rows, column, width, weights = block_of(layer, settings, block)
            biases = layer[at.BIASES] + column
            if settings[at.N_GROUPS] == 1:
                if is_sparse:
                    call(
                        calls, SUM_BLOCK,
                        network, X, work, first_feature, top, rows, column, width, batch_sum,
                    )  # fmt: skip
                elif top != packed:
                    pack_inputs(network, X, number, start, 0, n_rows, top, rows, inputs)
                    packed = top
                call(
                    calls, SUM_GRADIENT,
                    network, number, top, column, inputs, rows, 0, n_rows, batch_sum, biases_sum,
                    biases_sum + panel,
                )  # fmt: skip
            else:
                add_partial_sums(arena, settings, n_rows, weights, rows * width, batch_sum)
                if top == 0:
                    add_partial_sums(arena, settings, n_rows, biases, width, biases_sum)
            first_patch, n_here = patches_of(layer, settings, top, column, width)
            to_squares = N_SUMS + settings[at.BATCH_SIZE] + first_patch
            to_absolutes = to_squares + settings[at.N_PATCHES]
            to_norm = to_absolutes + settings[at.N_PATCHES]
            for patch in range(n_here):
                sums[to_squares + patch] = sums[to_absolutes + patch] = sums[to_norm + patch] = 0
            if top == 0:
                use_gradient(
                    network, scratch, biases_sum, biases, 1, width, False, sums, to_norm, n_here
                )
            start_here = parameters + weights
            if arena[scratch + at.ALPHA] > 0:
                add_squares(arena, start_here, rows, width, n_here, sums, to_squares)
            if arena[scratch + at.L1] > 0:
                add_absolutes(arena, start_here, rows, width, n_here, sums, to_absolutes)
            use_gradient(
                network, scratch, batch_sum, weights, rows, width, True, sums, to_norm, n_here
            )
            if number > 0 and settings[at.GRADIENTS] < 0:
                call(
                    calls, TRANSPOSE_BLOCK,
                    arena, layer, panel, parameters + weights, top, rows, column, width,
                )  # fmt: skip
