"""The compiled training step and prediction, as one thread of a team sees them.

A step has two phases. In the first, threads share the rows of the batch: gather,
forward, loss and deltas back. In the second, they share the weights: a block of the
weight gradient is computed and consumed by the optimiser at once, so that the gradient
never travels to memory. Where a batch's activations are many and the weights few, its rows
form groups instead, as many for any number of threads: the gradient of each group is
summed in the first phase, and the second adds these sums, so that activations never
travel between cores. Every number is computed by one thread in one fixed order, so
results do not depend on the number of threads.
"""

from functools import cache

import numpy as np
from numba import from_dtype, types

from ..plan import Loss, Optimizer
from . import layout as at
from .calls import address, call
from .elementwise import (
    activate,
    activate_output,
    adam_learning_rate,
    losses_and_deltas,
    multiply_by_derivative,
    squared_norm,
    update,
)
from .gemm import TILE_ROWS, multiply, transpose_square
from .jit import compile_entry, compile_kernel
from .memory import copy_elements, matrix_at, row_view, vector_at, view
from .sparse import group_by_feature, multiply_rows, sum_block
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
def gather(matrix, order, start, arena, to, row_stride, n_rows):
    """Copy rows of X or Y, in the order of the epoch, to a block of this thread's."""
    n_columns = matrix.shape[1]
    for row in range(n_rows):
        source = row_view(matrix, order[start + row])
        copy_elements(arena, to + row * row_stride, source, 0, n_columns)


@compile_kernel
def activate_layer(arena, settings, layer, number, first, last):
    """Replace a hidden layer's pre-activations by activations."""
    if number + 1 < settings[at.N_LAYERS]:
        # Padding included: no one reads the padded activations.
        n_rows, out_row = last - first, layer[at.OUTPUT_ROW]
        z = view(arena, layer[at.OUTPUT] + first * out_row, n_rows * out_row)
        activate(settings[at.ACTIVATION], z)


@compile_kernel
def forward(arena, layers, settings, inputs, first, last):
    """Activations of all layers for rows `first` to `last`; the output stays linear.

    `inputs` is the start of the first row's features. Sparse inputs have been multiplied.
    """
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        if number > 0:
            inputs = layer[at.INPUT] + first * layer[at.INPUT_ROW]
        elif settings[at.IS_SPARSE]:
            activate_layer(arena, settings, layer, number, first, last)
            continue
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
        activate_layer(arena, settings, layer, number, first, last)


@compile_kernel
def finish_rows(
    arena, layers, settings, targets, Y, sample_weight, order, start, sums, first, last
):  # fmt: skip
    """Predictions, losses and output deltas of rows `first` to `last`.

    `targets` is the start of this thread's block of targets.
    """
    layer, loss = layers[settings[at.N_LAYERS] - 1], settings[at.LOSS]
    row_stride, n_rows, fan_out = layer[at.OUTPUT_ROW], last - first, layer[at.FAN_OUT]
    predictions = layer[at.OUTPUT] + first * row_stride
    activate_output(loss, arena, predictions, row_stride, n_rows, fan_out)
    gather(Y, order, start + first, arena, targets, row_stride, n_rows)
    call(
        settings[at.CALL_LOSSES],
        loss, arena, targets, predictions, row_stride, n_rows, fan_out, settings[at.PANEL] // 2,
        settings[at.MACHINE_EPSILON], sums, N_SUMS + first,
    )  # fmt: skip
    p = view(arena, predictions, n_rows * row_stride)
    if loss == Loss.POISSON or loss == Loss.BINARY_CROSS_ENTROPY:
        # Where the output activation of zero is not zero, padding has got a delta.
        for row in range(0, n_rows * row_stride, row_stride):
            for j in range(row + fan_out, row + layer[at.OUT_WIDTH]):
                p[j] = 0
    if sample_weight.size > 0:
        for row in range(n_rows):
            weight = sample_weight[order[start + first + row]]
            sums[N_SUMS + first + row] *= weight
            for j in range(row * row_stride, row * row_stride + fan_out):
                p[j] *= weight


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
def update_block(arena, settings, scratch, batch_sum, w_start, size, alpha):
    """Apply the batch's gradient sum to `size` parameters; `alpha` is an element of the scratch."""
    hyper = view(arena, scratch, at.N_HYPER)
    to_first = settings[at.FIRST_STATE] - settings[at.PARAMETERS]
    to_second = settings[at.SECOND_STATE] - settings[at.PARAMETERS]
    update(
        settings[at.OPTIMIZER],
        view(arena, batch_sum, size),
        view(arena, w_start, size),
        view(arena, w_start + to_first, size),
        view(arena, w_start + to_second, size),
        hyper[alpha],
        hyper,
    )


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
            top = block // n_panels * panel
            rows = min(panel, fan_in - top)
            column = block % n_panels * panel
            width = min(panel, out_width - column)
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
            if top == 0:
                call(
                    settings[at.CALL_APPLY],
                    arena, settings, scratch, biases_sum, parameters + biases, width,
                    at.NO_PENALTY,
                )  # fmt: skip
            w = view(arena, parameters + weights, rows * width)
            if arena[scratch + at.ALPHA] > 0:
                sums[norms + layer[at.FIRST_BLOCK] + block] = squared_norm(w)
            call(
                settings[at.CALL_APPLY],
                arena, settings, scratch, batch_sum, parameters + weights, rows * width, at.ALPHA,
            )  # fmt: skip
            if number > 0:
                call(
                    settings[at.CALL_TRANSPOSE],
                    arena, layer, panel, parameters + weights, top, rows, column, width,
                )  # fmt: skip


@compile_kernel
def batch_weight(sample_weight, order, start, stop):
    """Total sample weight of a batch; its number of rows without weights."""
    if sample_weight.size == 0:
        return np.float64(stop - start)
    total = 0.0
    for i in range(start, stop):
        total += sample_weight[order[i]]
    return total


# Arrays of a job of training.
(LAYERS, SETTINGS, HYPER, INPUTS, FEATURES, ROW_STARTS, WORK, TARGETS, SAMPLE_WEIGHT, ORDER, SUMS,
 SHARES) = range(12)  # fmt: skip


@compile_entry
def train(number, n_threads, barrier, arena, job):
    """Steps over the rows in the order given; `hyper` holds the step's numbers and steps done.

    For sparse inputs X holds the values, and `features` and `row_starts` their places (see
    :mod:`fastmlp.cpu.sparse`); `work` has a part for each thread.

    The mean of the batches' losses before their updates, weighted by their rows, is added to
    ``sums[EPOCH_LOSS]`` as a sum over rows.
    """
    layers = matrix_at(job, LAYERS, np.int64)
    settings = vector_at(job, SETTINGS, np.int64)
    hyper = vector_at(job, HYPER, np.float64)
    X = matrix_at(job, INPUTS, arena)
    features = vector_at(job, FEATURES, np.int32)
    row_starts = vector_at(job, ROW_STARTS, np.int64)
    work = vector_at(job, WORK, np.int64)
    Y = matrix_at(job, TARGETS, arena)
    sample_weight = vector_at(job, SAMPLE_WEIGHT, arena)
    order = vector_at(job, ORDER, np.int64)
    sums = vector_at(job, SUMS, np.float64)
    shares = vector_at(job, SHARES, np.int64)
    scratch = settings[at.SCRATCH] + number * settings[at.SCRATCH_SIZE]
    mine = view(arena, scratch, at.N_HYPER)
    n_layers, batch_size = settings[at.N_LAYERS], settings[at.BATCH_SIZE]
    n_blocks = layers[n_layers - 1, at.FIRST_BLOCK] + layers[n_layers - 1, at.N_BLOCKS]
    first_block, last_block = shares[number], shares[number + 1]
    block = settings[at.BLOCK_ROWS]
    inputs = layers[0, at.INPUT] + number * block * layers[0, at.INPUT_ROW]
    targets = settings[at.TARGETS] + number * block * layers[n_layers - 1, at.OUTPUT_ROW]
    for i in range(at.N_HYPER):
        mine[i] = hyper[i]
    n_groups = settings[at.N_GROUPS]
    n_parts = n_groups if n_groups > 1 else n_threads
    first_part, last_part = share(number, n_threads, n_parts, 1)
    my_work = view(work, number * settings[at.WORK_SIZE], settings[at.WORK_SIZE])
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

        for part in range(first_part, last_part):
            first, last = share(part, n_parts, n_rows, TILE_ROWS)
            for top in range(first, last, block):
                bottom = min(top + block, last)
                if settings[at.IS_SPARSE]:
                    call(
                        settings[at.CALL_MULTIPLY_ROWS],
                        arena, layers, settings, X, features, row_starts, order, start,
                        top, bottom,
                    )  # fmt: skip
                else:
                    row_stride = layers[0, at.INPUT_ROW]
                    gather(X, order, start + top, arena, inputs, row_stride, bottom - top)
                call(settings[at.CALL_FORWARD], arena, layers, settings, inputs, top, bottom)
                call(
                    settings[at.CALL_FINISH],
                    arena, layers, settings, targets, Y, sample_weight, order, start, sums,
                    top, bottom,
                )  # fmt: skip
                call(settings[at.CALL_BACKWARD], arena, layers, settings, top, bottom)
            if n_groups > 1 and last > first:
                call(
                    settings[at.CALL_SUM_GROUP],
                    arena, layers, settings, scratch, X, order, start, first, last - first,
                    settings[at.PARTIAL_SUMS] + part * settings[at.N_PARAMETERS],
                )  # fmt: skip
        generation += 1
        if not wait(barrier, generation, n_threads):
            return

        loss = 0.0
        if number == 0:
            for row in range(n_rows):
                loss += sums[N_SUMS + row]
        call(
            settings[at.CALL_UPDATE],
            arena, layers, settings, sums, scratch, X, features, row_starts, my_work,
            order, start, n_rows, first_block, last_block,
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
def predict(number, n_threads, barrier, arena, job):
    """Predictions for all rows of X, a block at a time; each thread has its own block.

    The job is layers, settings, X, features, row starts, order and outputs. Sparse inputs are
    as for :func:`train`; `order` is then the numbers of all rows.
    """
    layers = matrix_at(job, 0, np.int64)
    settings = vector_at(job, 1, np.int64)
    X = matrix_at(job, 2, arena)
    features = vector_at(job, 3, np.int32)
    row_starts = vector_at(job, 4, np.int64)
    order = vector_at(job, 5, np.int64)
    outputs = matrix_at(job, 6, arena)
    n_layers, block = settings[at.N_LAYERS], settings[at.BLOCK_ROWS]
    first, last = share(number, n_threads, outputs.shape[0], block)
    layer = layers[n_layers - 1]
    base = number * block
    inputs = layers[0, at.INPUT] + base * layers[0, at.INPUT_ROW]
    for top in range(first, last, block):
        bottom = min(top + block, last)
        if settings[at.IS_SPARSE]:
            call(
                settings[at.CALL_MULTIPLY_ROWS],
                arena, layers, settings, X, features, row_starts, order, top - base,
                base, base + bottom - top,
            )  # fmt: skip
        else:
            for row in range(bottom - top):
                x = row_view(X, top + row)
                copy_elements(arena, inputs + row * layers[0, at.INPUT_ROW], x, 0, x.size)
        call(
            settings[at.CALL_FORWARD],
            arena, layers, settings, inputs, base, base + bottom - top,
        )  # fmt: skip
        predictions = layer[at.OUTPUT] + base * layer[at.OUTPUT_ROW]
        activate_output(
            settings[at.LOSS],
            arena, predictions, layer[at.OUTPUT_ROW], bottom - top, layer[at.FAN_OUT],
        )  # fmt: skip
        for row in range(top, bottom):
            p = predictions + (row - top) * layer[at.OUTPUT_ROW]
            copy_elements(row_view(outputs, row), 0, arena, p, layer[at.FAN_OUT])


@cache
def addresses(dtype, is_sparse):
    """Addresses of the kernels that others call, in the order of the settings.

    Parameters
    ----------
    dtype : numpy.dtype
    is_sparse : bool
        Whether kernels for sparse inputs are wanted; else their addresses are 0.

    Returns
    -------
    list of int
    """
    vector = types.Array(from_dtype(dtype), 1, "C")
    matrix = types.Array(from_dtype(dtype), 2, "C")
    integers = types.Array(types.int64, 1, "C")
    features = types.Array(types.int32, 1, "C")
    doubles = types.Array(types.float64, 1, "C")
    i = types.int64
    layers = types.Array(types.int64, 2, "C")
    context = vector, layers, integers  # arena, layers, settings
    rows = features, integers  # of a sparse matrix
    dense = [
        address(multiply, i, i, i, vector, *[i] * 9),
        address(forward, *context, i, i, i),
        address(finish_rows, *context, i, matrix, vector, integers, i, doubles, i, i),
        address(backward, *context, i, i),
        address(update_weights, *context, doubles, i, matrix, *rows, integers, integers, *[i] * 4),
        address(sum_gradient, *context, *[i] * 9),
        address(update_block, vector, integers, *[i] * 5),
        address(losses_and_deltas, i, vector, *[i] * 7, doubles, i),
        address(transpose_block, vector, integers, *[i] * 6),
        address(sum_group, *context, i, matrix, integers, *[i] * 4),
    ]
    if not is_sparse:
        return [*dense, 0, 0, 0]
    return [
        *dense,
        address(multiply_rows, *context, matrix, *rows, integers, i, i, i),
        address(group_by_feature, integers, *rows, integers, *[i] * 5),
        address(sum_block, vector, layers, matrix, integers, *[i] * 6),
    ]
