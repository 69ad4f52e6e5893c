"""The compiled training step and prediction, as one thread of a team sees them.

A step has two phases. In the first, threads share the rows of the batch: gather,
forward, loss and deltas back. In the second, they share the rows of the weight
matrices: a tile of the weight gradient is computed and consumed by the optimiser at
once, so that the gradient never travels to memory. Every number is computed by one
thread in one fixed order, so results do not depend on the number of threads.
"""

from functools import cache

import numpy as np
from numba import from_dtype, types

from ..plan import Optimizer
from . import layout as at
from .calls import address, call
from .elementwise import (
    activate,
    activate_output,
    adam_learning_rate,
    multiply_by_derivative,
    replace_by_delta,
    row_loss,
    squared_norm,
    update,
)
from .gemm import TILE_ROWS, multiply, transpose_square
from .jit import compile_entry, compile_kernel
from .memory import copy_elements, row_view, view
from .threads import wait

# Elements of the array of sums.
EPOCH_LOSS = 0
N_SUMS = 8  # then one loss for each row of the batch, then one norm for each weight block


@compile_kernel
def share(number, n_threads, total, multiple):
    """First and last of this thread's part of `total`, in whole multiples."""
    pieces = (total + multiple - 1) // multiple
    first = number * pieces // n_threads * multiple
    last = (number + 1) * pieces // n_threads * multiple
    return min(first, total), min(last, total)


@compile_kernel
def gather(X, order, start, arena, to, row_stride, n_rows):
    """Copy rows of X, in the order of the epoch, to this thread's block of inputs."""
    n_features = X.shape[1]
    for row in range(n_rows):
        x = row_view(X, order[start + row])
        copy_elements(arena, to + row * row_stride, x, 0, n_features)


@compile_kernel
def forward(arena, layers, settings, inputs, first, last):
    """Activations of all layers for rows `first` to `last`; the output stays linear.

    `inputs` is the start of the first row's features.
    """
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        if number > 0:
            inputs = layer[at.INPUT] + first * layer[at.INPUT_ROW]
        weights = settings[at.PARAMETERS] + layer[at.WEIGHTS]
        biases = settings[at.PARAMETERS] + layer[at.BIASES]
        fan_in, in_row, out_row = layer[at.FAN_IN], layer[at.INPUT_ROW], layer[at.OUTPUT_ROW]
        for column in range(0, layer[at.OUT_WIDTH], settings[at.PANEL]):
            width = min(settings[at.PANEL], layer[at.OUT_WIDTH] - column)
            weight_row = layer[at.WEIGHT_ROW] if layer[at.WEIGHT_ROW] > 0 else width
            call(
                settings[at.CALL_MULTIPLY],
                last - first, width, fan_in,
                arena, inputs, in_row, 1,
                weights + column * layer[at.COLUMN_STEP], weight_row,
                layer[at.OUTPUT] + first * out_row + column, out_row,
                biases + column, 0,
            )  # fmt: skip
        if number + 1 < settings[at.N_LAYERS]:
            # Padding included: no one reads the padded activations.
            z = view(arena, layer[at.OUTPUT] + first * out_row, (last - first) * out_row)
            activate(settings[at.ACTIVATION], z)


@compile_kernel
def finish_rows(arena, layers, settings, Y, sample_weight, order, start, sums, first, last):
    """Predictions, losses and output deltas of rows `first` to `last`."""
    layer = layers[settings[at.N_LAYERS] - 1]
    eps = np.finfo(arena.dtype).eps
    for row in range(first, last):
        source = order[start + row]
        y = row_view(Y, source)
        p_start = layer[at.OUTPUT] + row * layer[at.OUTPUT_ROW]
        p = view(arena, p_start, layer[at.FAN_OUT])
        activate_output(settings[at.LOSS], p)
        weight = sample_weight[source] if sample_weight.size > 0 else arena.dtype.type(1)
        sums[N_SUMS + row] = row_loss(settings[at.LOSS], y, p, eps) * weight
        replace_by_delta(y, p, weight)


@compile_kernel
def backward(arena, layers, settings, first, last):
    """Deltas of all hidden layers for rows `first` to `last`."""
    for number in range(settings[at.N_LAYERS] - 1, 0, -1):
        layer, before = layers[number], layers[number - 1]
        fan_out, delta_row = layer[at.FAN_OUT], layer[at.OUTPUT_ROW]
        out, out_row = before[at.DELTA], before[at.OUTPUT_ROW]
        for column in range(0, layer[at.IN_WIDTH], settings[at.PANEL]):
            width = min(settings[at.PANEL], layer[at.IN_WIDTH] - column)
            call(
                settings[at.CALL_MULTIPLY],
                last - first, width, fan_out,
                arena, layer[at.DELTA] + first * delta_row, delta_row, 1,
                layer[at.TRANSPOSED] + column * layer[at.OUT_WIDTH], width,
                out + first * out_row + column, out_row,
                settings[at.ZEROS], 0,
            )  # fmt: skip
        size = (last - first) * out_row
        multiply_by_derivative(
            settings[at.ACTIVATION],
            view(arena, before[at.OUTPUT] + first * out_row, size),
            view(arena, out + first * out_row, size),
        )


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
def update_block(arena, settings, scratch, w_start, size, alpha):
    """Apply the batch's gradient sum in the scratch to `size` parameters."""
    to_first = settings[at.FIRST_STATE] - settings[at.PARAMETERS]
    to_second = settings[at.SECOND_STATE] - settings[at.PARAMETERS]
    update(
        settings[at.OPTIMIZER],
        view(arena, scratch + at.N_HYPER, size),
        view(arena, w_start, size),
        view(arena, w_start + to_first, size),
        view(arena, w_start + to_second, size),
        alpha,
        view(arena, scratch, at.N_HYPER),
    )


@compile_kernel
def pack_inputs(arena, layers, number, X, order, start, n_rows, top, width, to):
    """Copy columns of a layer's inputs, for all rows of the batch, into rows without gaps.

    The next sums run down these columns; and another thread may have computed them, so
    that a copy, whose loads do not wait for each other, brings them here fastest.
    """
    layer = layers[number]
    for row in range(n_rows):
        if number == 0:
            x = row_view(X, order[start + row])
            copy_elements(arena, to + row * width, x, top, width)
        else:
            a = layer[at.INPUT] + row * layer[at.INPUT_ROW] + top
            copy_elements(arena, to + row * width, arena, a, width)


@compile_kernel
def update_weights(arena, layers, settings, sums, scratch, X, order, start, n_rows, first, last):
    """Gradients and updates of the weight blocks `first` to `last`, counted over all layers.

    A block is a panel's columns by as many rows. The thread that has the topmost block of a
    panel updates its biases as well.
    """
    batch_sum, panel = scratch + at.N_HYPER, settings[at.PANEL]
    hyper = view(arena, scratch, at.N_HYPER)
    alpha = hyper[at.ALPHA]
    inputs = batch_sum + panel * panel
    norms = N_SUMS + settings[at.BATCH_SIZE]
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        fan_in, out_width = layer[at.FAN_IN], layer[at.OUT_WIDTH]
        n_panels = (out_width + panel - 1) // panel
        packed = -1
        first_here = max(first - layer[at.FIRST_BLOCK], 0)
        last_here = min(last - layer[at.FIRST_BLOCK], layer[at.N_BLOCKS])
        for block in range(first_here, last_here):
            top = block // n_panels * panel
            rows = min(panel, fan_in - top)
            column = block % n_panels * panel
            width = min(panel, out_width - column)
            deltas, delta_row = layer[at.DELTA] + column, layer[at.OUTPUT_ROW]
            if top == 0:
                # Column sums are a product with a row of ones: one that is read again and again.
                call(
                    settings[at.CALL_MULTIPLY],
                    1, width, n_rows,
                    arena, settings[at.ONE], 0, 0,
                    deltas, delta_row,
                    batch_sum, width,
                    settings[at.ZEROS], 0,
                )  # fmt: skip
                biases = settings[at.PARAMETERS] + layer[at.BIASES] + column
                update_block(arena, settings, scratch, biases, width, hyper[at.NO_PENALTY])
            if top != packed:
                pack_inputs(arena, layers, number, X, order, start, n_rows, top, rows, inputs)
                packed = top
            call(
                settings[at.CALL_MULTIPLY],
                rows, width, n_rows,
                arena, inputs, 1, rows,
                deltas, delta_row,
                batch_sum, width,
                settings[at.ZEROS], 0,
            )  # fmt: skip
            w_start = settings[at.PARAMETERS] + layer[at.WEIGHTS] + column * fan_in + top * width
            w = view(arena, w_start, rows * width)
            if alpha > 0:
                sums[norms + layer[at.FIRST_BLOCK] + block] = squared_norm(w)
            update_block(arena, settings, scratch, w_start, rows * width, alpha)
            if number > 0:
                transpose_block(arena, layer, panel, w_start, top, rows, column, width)


@compile_kernel
def batch_weight(sample_weight, order, start, stop):
    """Total sample weight of a batch; its number of rows without weights."""
    if sample_weight.size == 0:
        return np.float64(stop - start)
    total = 0.0
    for i in range(start, stop):
        total += sample_weight[order[i]]
    return total


@compile_entry
def train(
    number,
    n_threads,
    barrier,
    arena,
    layers,
    settings,
    hyper,
    X,
    Y,
    sample_weight,
    order,
    sums,
    shares,
):
    """Steps over the rows in `order`; `hyper` holds the step's numbers and the steps done.

    The mean of the batches' losses before their updates, weighted by their rows, is added to
    ``sums[EPOCH_LOSS]`` as a sum over rows.
    """
    scratch = settings[at.SCRATCH] + number * settings[at.SCRATCH_SIZE]
    mine = view(arena, scratch, at.N_HYPER)
    n_layers, batch_size = settings[at.N_LAYERS], settings[at.BATCH_SIZE]
    n_blocks = layers[n_layers - 1, at.FIRST_BLOCK] + layers[n_layers - 1, at.N_BLOCKS]
    first_block, last_block = shares[number], shares[number + 1]
    block = settings[at.BLOCK_ROWS]
    inputs = layers[0, at.INPUT] + number * block * layers[0, at.INPUT_ROW]
    for i in range(at.N_HYPER):
        mine[i] = hyper[i]
    generation = 0
    step = hyper[at.STEPS_DONE]
    for start in range(0, order.size, batch_size):
        stop = min(start + batch_size, order.size)
        n_rows = stop - start
        step += 1
        total_weight = batch_weight(sample_weight, order, start, stop)
        mine[at.INVERSE_WEIGHT] = 1 / total_weight
        if settings[at.OPTIMIZER] == Optimizer.ADAM:
            mine[at.LEARNING_RATE] = adam_learning_rate(
                hyper[at.LEARNING_RATE], hyper[at.BETA_1], hyper[at.BETA_2], step
            )

        first, last = share(number, n_threads, n_rows, TILE_ROWS)
        for top in range(first, last, block):
            bottom = min(top + block, last)
            gather(X, order, start + top, arena, inputs, layers[0, at.INPUT_ROW], bottom - top)
            call(settings[at.CALL_FORWARD], arena, layers, settings, inputs, top, bottom)
            call(
                settings[at.CALL_FINISH],
                arena, layers, settings, Y, sample_weight, order, start, sums, top, bottom,
            )  # fmt: skip
            call(settings[at.CALL_BACKWARD], arena, layers, settings, top, bottom)
        generation += 1
        if not wait(barrier, generation, n_threads):
            return

        loss = 0.0
        if number == 0:
            for row in range(n_rows):
                loss += sums[N_SUMS + row]
        call(
            settings[at.CALL_UPDATE],
            arena, layers, settings, sums, scratch, X, order, start, n_rows,
            first_block, last_block,
        )  # fmt: skip
        generation += 1
        if not wait(barrier, generation, n_threads):
            return
        if number == 0:
            norm = 0.0
            for i in range(n_blocks):
                norm += sums[N_SUMS + batch_size + i]
            loss += 0.5 * hyper[at.ALPHA] * norm
            sums[EPOCH_LOSS] += loss / total_weight * n_rows


@compile_entry
def predict(number, n_threads, barrier, arena, layers, settings, X, outputs):
    """Predictions for all rows of X, a block at a time; each thread has its own block."""
    n_layers, block = settings[at.N_LAYERS], settings[at.BLOCK_ROWS]
    first, last = share(number, n_threads, X.shape[0], block)
    layer = layers[n_layers - 1]
    base = number * block
    inputs = layers[0, at.INPUT] + base * layers[0, at.INPUT_ROW]
    for top in range(first, last, block):
        bottom = min(top + block, last)
        for row in range(bottom - top):
            x = row_view(X, top + row)
            copy_elements(arena, inputs + row * layers[0, at.INPUT_ROW], x, 0, x.size)
        call(
            settings[at.CALL_FORWARD],
            arena, layers, settings, inputs, base, base + bottom - top,
        )  # fmt: skip
        for row in range(top, bottom):
            p_start = layer[at.OUTPUT] + (base + row - top) * layer[at.OUTPUT_ROW]
            p = view(arena, p_start, layer[at.FAN_OUT])
            activate_output(settings[at.LOSS], p)
            to_row = row_view(outputs, row)
            for j in range(p.size):
                to_row[j] = p[j]


@cache
def addresses(dtype):
    """Addresses of the kernels that others call, in the order of the settings.

    Parameters
    ----------
    dtype : numpy.dtype

    Returns
    -------
    list of int
    """
    vector = types.Array(from_dtype(dtype), 1, "C")
    matrix = types.Array(from_dtype(dtype), 2, "C")
    integers = types.Array(types.int64, 1, "C")
    doubles = types.Array(types.float64, 1, "C")
    i = types.int64
    context = vector, types.Array(types.int64, 2, "C"), integers  # arena, layers, settings
    return [
        address(multiply, i, i, i, vector, *[i] * 9),
        address(forward, *context, i, i, i),
        address(finish_rows, *context, matrix, vector, integers, i, doubles, i, i),
        address(backward, *context, i, i),
        address(update_weights, *context, doubles, i, matrix, integers, *[i] * 4),
    ]
