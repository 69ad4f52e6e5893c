"""The second phase of a training step: gradients of blocks of weights, and updates."""

from math import sqrt

from . import layout as at
from .gemm import TILE_ROWS, transpose_square
from .indirect_call import call
from .jit import compile_inline, compile_kernel
from .optimizers import absolute_sum, limit_columns, scale, squared_norm
from .views import copy_elements, row_view, view
from .work_sharing import N_SUMS, share


@compile_inline
def block_of(block, panel, fan_in, out_width):
    """A block of a layer's weights: its first row, rows, first column and columns.

    Blocks are counted from left to right, then downwards.
    """
    n_panels = (out_width + panel - 1) // panel
    top, column = block // n_panels * panel, block % n_panels * panel
    return top, min(panel, fan_in - top), column, min(panel, out_width - column)


@compile_kernel
def transpose_block(arena, layer, panel, source, top, rows, column, width):
    """Write a block of weights, `rows` by `width` from `source`, to the transposed copy."""
    to_width = min(panel, layer[at.IN_WIDTH] - top)
    to = layer[at.TRANSPOSED] + top * layer[at.OUT_WIDTH] + column * to_width
    side = panel // 2  # the lanes of a vector
    whole = rows // side * side
    for j in range(0, width, side):
        for i in range(0, whole, side):
            transpose_square(arena, source + i * width + j, width, to + j * to_width + i, to_width)
    # Columns beyond the fan-in stay zero, as the deltas computed from them must.
    for i in range(whole, rows):
        w = view(arena, source + i * width, width)
        for j in range(width):
            arena[to + j * to_width + i] = w[j]


@compile_kernel
def pack_inputs(arena, layers, number, X, order, start, first, n_rows, top, width, to):
    """Copy columns of a layer's inputs, for rows of the batch from `first`, without gaps.

    The next sums run down these columns; and another thread may have computed them, so
    that a copy, whose loads do not wait for each other, brings them here fastest.
    """
    layer = layers[number]
    for row in range(n_rows):
        if number == 0:
            x = row_view(X, order[start + first + row])
            copy_elements(arena, to + row * width, x, top, width)
        else:
            a = layer[at.INPUT] + (first + row) * layer[at.INPUT_ROW] + top
            copy_elements(arena, to + row * width, arena, a, width)


@compile_kernel
def sum_gradient(
    arena, layers, settings, number, top, column, inputs, inputs_row, first, n_rows, to, to_biases
):  # fmt: skip
    """Sum the gradient of one block of weights over rows of the batch, from `first`.

    With the topmost block of a panel go its biases. They alone are summed here where inputs
    are sparse.
    """
    layer, panel = layers[number], settings[at.PANEL]
    rows = min(panel, layer[at.FAN_IN] - top)
    width = min(panel, layer[at.OUT_WIDTH] - column)
    delta_row = layer[at.OUTPUT_ROW]
    deltas = layer[at.DELTA] + first * delta_row + column
    if top == 0:
        # Column sums are a product with a row of ones: one that is read again and again.
        call(
            settings[at.CALL_MULTIPLY],
            1, width, n_rows,
            arena, settings[at.ONE], 0, 0,
            deltas, delta_row,
            to_biases, width,
            settings[at.ZEROS], 0,
        )  # fmt: skip
    if number == 0 and settings[at.IS_SPARSE]:
        return
    call(
        settings[at.CALL_MULTIPLY],
        rows, width, n_rows,
        arena, inputs, 1, inputs_row,
        deltas, delta_row,
        to, width,
        settings[at.ZEROS], 0,
    )  # fmt: skip


@compile_kernel
def sum_group(arena, layers, settings, scratch, X, order, start, first, n_rows, to):
    """Sum all gradients over a group of rows, from `first`; ordered like the parameters."""
    panel = settings[at.PANEL]
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        fan_in, out_width = layer[at.FAN_IN], layer[at.OUT_WIDTH]
        for top in range(0, fan_in, panel):
            if number == 0:
                inputs_row = min(panel, fan_in - top)
                inputs = scratch + at.N_HYPER + 2 * panel * panel
                pack_inputs(
                    arena, layers, 0, X, order, start, first, n_rows, top, inputs_row, inputs
                )
            else:
                inputs_row = layer[at.INPUT_ROW]
                inputs = layer[at.INPUT] + first * inputs_row + top
            for column in range(0, out_width, panel):
                width = min(panel, out_width - column)
                call(
                    settings[at.CALL_SUM],
                    arena, layers, settings, number, top, column, inputs, inputs_row,
                    first, n_rows,
                    to + layer[at.WEIGHTS] + column * fan_in + top * width,
                    to + layer[at.BIASES] + column,
                )  # fmt: skip


@compile_kernel
def add_partial_sums(arena, settings, n_rows, parameter, size, to):
    """Add the gradients of all groups of rows, always in the same order."""
    result = view(arena, to, size)
    for i in range(size):
        result[i] = 0
    for group in range(settings[at.N_GROUPS]):
        first, last = share(group, settings[at.N_GROUPS], n_rows, TILE_ROWS)
        if last > first:
            start = settings[at.PARTIAL_SUMS] + group * settings[at.N_PARAMETERS] + parameter
            part = view(arena, start, size)
            for i in range(size):
                result[i] += part[i]


@compile_kernel
def n_weight_blocks(layers, settings):
    """Blocks of weights of all layers."""
    last = layers[settings[at.N_LAYERS] - 1]
    return last[at.FIRST_BLOCK] + last[at.N_BLOCKS]


@compile_kernel
def gradient_squares(layers, settings, sums):
    """Squared norm of the whole gradient, from those of its blocks."""
    n_blocks = n_weight_blocks(layers, settings)
    start = N_SUMS + settings[at.BATCH_SIZE] + 2 * n_blocks
    total = 0.0
    for block in range(n_blocks):
        total += sums[start + block]
    return total


@compile_kernel
def use_gradient(arena, settings, scratch, batch_sum, parameter, size, is_weight, sums, to_norm):
    """Update `size` parameters by their summed gradient, or keep that until its norm is known."""
    alpha = at.ALPHA if is_weight else at.NO_PENALTY
    start, inverse = settings[at.PARAMETERS] + parameter, at.INVERSE_WEIGHT
    if settings[at.CALL_SHAPE] != 0:
        l1 = at.L1 if is_weight else at.NO_PENALTY
        call(
            settings[at.CALL_SHAPE],
            arena, scratch, batch_sum, start, size, alpha, l1, sums, to_norm,
        )  # fmt: skip
        alpha, inverse = at.NO_PENALTY, at.UNIT
    if settings[at.GRADIENTS] >= 0:
        copy_elements(arena, settings[at.GRADIENTS] + parameter, arena, batch_sum, size)
        return
    if is_weight and settings[at.CALL_DECAY] != 0:
        call(settings[at.CALL_DECAY], arena, scratch + at.DECAY, start, size)
    call(
        settings[at.CALL_APPLY],
        arena, settings, scratch, batch_sum, start, size, alpha, inverse,
    )  # fmt: skip


@compile_kernel
def use_scaled_gradient(arena, settings, scratch, parameter, size, is_weight):
    """Update `size` parameters by their kept gradient, scaled to the limit of its norm."""
    start, kept = settings[at.PARAMETERS] + parameter, settings[at.GRADIENTS] + parameter
    if arena[scratch + at.GRADIENT_SCALE] != 1:
        scale(arena, scratch + at.GRADIENT_SCALE, kept, size)
    if is_weight and settings[at.CALL_DECAY] != 0:
        call(settings[at.CALL_DECAY], arena, scratch + at.DECAY, start, size)
    call(
        settings[at.CALL_APPLY],
        arena, settings, scratch, kept, start, size, at.NO_PENALTY, at.UNIT,
    )  # fmt: skip


@compile_kernel
def update_weights(
    arena, layers, settings, sums, scratch, X, features, row_starts, work, order, start, n_rows,
    first, last,
):  # fmt: skip
    """Gradients and updates of the weight blocks `first` to `last`, counted over all layers.

    A block is a panel's columns by as many rows. The thread that has the topmost block of a
    panel updates its biases as well.
    """
    panel, parameters = settings[at.PANEL], settings[at.PARAMETERS]
    batch_sum = scratch + at.N_HYPER
    biases_sum = batch_sum + panel * panel
    inputs = biases_sum + panel * panel
    norms = N_SUMS + settings[at.BATCH_SIZE]
    n_blocks = n_weight_blocks(layers, settings)
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        fan_in, out_width = layer[at.FAN_IN], layer[at.OUT_WIDTH]
        n_panels = (out_width + panel - 1) // panel
        packed = -1
        first_here = max(first - layer[at.FIRST_BLOCK], 0)
        last_here = min(last - layer[at.FIRST_BLOCK], layer[at.N_BLOCKS])
        is_sparse = number == 0 and settings[at.IS_SPARSE] == 1
        first_feature = first_here // n_panels * panel
        if is_sparse and first_here < last_here:
            last_feature = min(((last_here - 1) // n_panels + 1) * panel, fan_in)
            call(
                settings[at.CALL_GROUP_BY_FEATURE],
                work, features, row_starts, order, start, n_rows,
                first_feature, last_feature, fan_in,
            )  # fmt: skip
        for block in range(first_here, last_here):
            top, rows, column, width = block_of(block, panel, fan_in, out_width)
            weights = layer[at.WEIGHTS] + column * fan_in + top * width
            biases = layer[at.BIASES] + column
            if settings[at.N_GROUPS] == 1:
                if is_sparse:
                    call(
                        settings[at.CALL_SUM_BLOCK],
                        arena, layers, X, work, first_feature, top, rows, column, width, batch_sum,
                    )  # fmt: skip
                elif top != packed:
                    pack_inputs(
                        arena, layers, number, X, order, start, 0, n_rows, top, rows, inputs
                    )
                    packed = top
                call(
                    settings[at.CALL_SUM],
                    arena, layers, settings, number, top, column, inputs, rows,
                    0, n_rows, batch_sum, biases_sum,
                )  # fmt: skip
            else:
                add_partial_sums(arena, settings, n_rows, weights, rows * width, batch_sum)
                if top == 0:
                    add_partial_sums(arena, settings, n_rows, biases, width, biases_sum)
            norm = norms + layer[at.FIRST_BLOCK] + block
            to_norm = norm + 2 * n_blocks
            if settings[at.CALL_SHAPE] != 0:
                sums[to_norm] = 0
            if top == 0:
                use_gradient(
                    arena, settings, scratch, biases_sum, biases, width, False, sums, to_norm
                )
            w = view(arena, parameters + weights, rows * width)
            if arena[scratch + at.ALPHA] > 0:
                sums[norm] = squared_norm(w)
            if arena[scratch + at.L1] > 0:
                sums[norm + n_blocks] = absolute_sum(w)
            use_gradient(
                arena, settings, scratch, batch_sum, weights, rows * width, True, sums, to_norm
            )
            if number > 0 and settings[at.GRADIENTS] < 0:
                call(
                    settings[at.CALL_TRANSPOSE],
                    arena, layer, panel, parameters + weights, top, rows, column, width,
                )  # fmt: skip


@compile_kernel
def finish_update(arena, layers, settings, sums, scratch, first, last):
    """Limit the norm of the whole gradient, and update the weight blocks `first` to `last`."""
    panel, parameters = settings[at.PANEL], settings[at.PARAMETERS]
    total = gradient_squares(layers, settings, sums)
    limit = arena[scratch + at.CLIP_NORM]
    factor = limit / sqrt(total) if total > limit * limit else 1.0
    arena[scratch + at.GRADIENT_SCALE] = factor
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        fan_in, out_width = layer[at.FAN_IN], layer[at.OUT_WIDTH]
        first_here = max(first - layer[at.FIRST_BLOCK], 0)
        last_here = min(last - layer[at.FIRST_BLOCK], layer[at.N_BLOCKS])
        for block in range(first_here, last_here):
            top, rows, column, width = block_of(block, panel, fan_in, out_width)
            weights = layer[at.WEIGHTS] + column * fan_in + top * width
            if top == 0:
                use_scaled_gradient(
                    arena, settings, scratch, layer[at.BIASES] + column, width, False
                )
            use_scaled_gradient(arena, settings, scratch, weights, rows * width, True)
            if number > 0:
                transpose_block(arena, layer, panel, parameters + weights, top, rows, column, width)


@compile_kernel
def limit_norms(arena, layers, settings, scratch, first, last):
    """Limit the norm of each unit's incoming weights, in the panels `first` to `last`."""
    panel, parameters = settings[at.PANEL], settings[at.PARAMETERS]
    counted = 0
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        fan_in, out_width = layer[at.FAN_IN], layer[at.OUT_WIDTH]
        for column in range(0, out_width, panel):
            if first <= counted < last:
                width = min(panel, out_width - column)
                start = parameters + layer[at.WEIGHTS] + column * fan_in
                limit_columns(
                    arena, scratch + at.MAX_NORM, start, fan_in, width, scratch + at.N_HYPER
                )
                if number > 0:
                    for top in range(0, fan_in, panel):
                        rows = min(panel, fan_in - top)
                        transpose_block(
                            arena, layer, panel, start + top * width, top, rows, column, width
                        )
            counted += 1
