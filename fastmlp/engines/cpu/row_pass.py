"""Kernels of a training step's first phase, which passes rows of the batch through the layers."""

from . import layout as at
from .arguments import Matrix, Size, StridedMatrix
from .indirect_call import call, call_of_layer, has_layer_slot
from .jit import compile_kernel
from .jobs import N_SUMS
from .slots import (
    ACTIVATE,
    ACTIVATE_AND_KEEP,
    ACTIVATE_OUTPUT,
    DROP_UNITS,
    LOSSES,
    MULTIPLY,
    MULTIPLY_BY_DERIVATIVE,
)
from .views import arrays_of, copy_elements, row_view, view

# See `forward`: the largest number of rows, the bytes after which cache sets repeat, and the number
# of rows of weights that are read together.
_FEW_ROWS, _PAGE, _STRIP = 4, 4096, 16


@compile_kernel
def gather(matrix, order, start, arena, to, row_stride, n_rows):
    """Copy rows of X or Y, in the order of the epoch, to a block that belongs to this thread.

    Parameters
    ----------
    matrix : matrix of the network's dtype
    order : vector of int64
        Row numbers, in the order in which batches are cut.
    start, n_rows : int
        Where the rows start in the order, and the number of rows.
    arena : vector
        Modified in place.
    to, row_stride : int
        Where the block starts in the arena, and the distance of its rows.
    """
    n_columns = matrix.shape[1]
    if n_columns == 1:
        for row in range(n_rows):
            arena[to + row * row_stride] = matrix[order[start + row], 0]
        return
    for row in range(n_rows):
        source = row_view(matrix, order[start + row])
        copy_elements(arena, to + row * row_stride, source, 0, n_columns)


@compile_kernel
def move_rows(arena, source, source_row, to, to_row, n_rows, n_columns):
    """Copy rows of few numbers to rows that are another distance apart.

    Parameters
    ----------
    arena : vector
        Modified in place.
    source, source_row : int
        Where the first row starts in the arena, and the distance of rows.
    to, to_row : int
        Where the copy of the first row starts, and the distance of copies. They may begin at the
        same place and be less far apart.
    n_rows, n_columns : int
    """
    for row in range(n_rows):
        for j in range(n_columns):
            arena[to + row * to_row + j] = arena[source + row * source_row + j]


@compile_kernel
def activate_layer(network, number, first, last, seen):
    """Replace a hidden layer's pre-activations by activations, in the arena.

    Parameters
    ----------
    network : Network
    number : int
        The number of the layer.
    first, last : int
        The rows, as numbers in the batch: from `first` on, up to the one before `last`.
    seen : int
        The number of rows that were trained on before this batch.
    """
    arena, layers, settings, calls = arrays_of(network)
    layer = layers[number]
    # Padding is activated as well, which changes no result because nothing reads it.
    n_rows, out_row = last - first, layer[at.OUTPUT_ROW]
    start, size = layer[at.OUTPUT] + first * out_row, n_rows * out_row
    if has_layer_slot(calls, number, ACTIVATE_AND_KEEP):
        kept = layer[at.KEPT] + first * out_row
        call_of_layer(calls, number, ACTIVATE_AND_KEEP, arena, start, kept, size)
        if has_layer_slot(calls, number, DROP_UNITS):
            call_of_layer(
                calls, number, DROP_UNITS,
                arena, start, kept, out_row, n_rows, layer[at.FAN_OUT], layer[at.FIRST_UNIT],
                seen + first, settings[at.SEED], layer[at.DROP_BELOW], layer[at.DROP_SCALE],
            )  # fmt: skip
    elif has_layer_slot(calls, number, ACTIVATE):
        call_of_layer(calls, number, ACTIVATE, arena, start, size)


@compile_kernel
def forward(network, inputs, first, last, seen):
    """Compute the activations of all hidden layers, and the output layer's pre-activations.

    Parameters
    ----------
    network : Network
    inputs : int
        Where the features of the first row start in the arena. It is not used for sparse inputs,
        for which the first layer's pre-activations have been computed already.
    first, last : int
        The rows, as numbers in the batch: from `first` on, up to the one before `last`.
    seen : int
        The number of rows that were trained on before this batch.
    """
    arena, layers, settings, calls = arrays_of(network)
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        if number > 0:
            inputs = layer[at.INPUT] + first * layer[at.INPUT_ROW]
        elif settings[at.IS_SPARSE]:
            activate_layer(network, number, first, last, seen)
            continue
        weights = settings[at.PARAMETERS] + layer[at.WEIGHTS]
        biases = settings[at.PARAMETERS] + layer[at.BIASES]
        fan_in, in_row, out_row = layer[at.FAN_IN], layer[at.INPUT_ROW], layer[at.OUTPUT_ROW]
        # Where rows of weights share their cache sets and few rows use them, some of them are read
        # from end to end before the next ones. The order of each sum stays the same.
        depth, step = fan_in, layer[at.WEIGHT_ROW]
        if last - first <= _FEW_ROWS and step > 0 and step * arena.itemsize % _PAGE == 0:
            depth = min(fan_in, _STRIP)
        for k in range(0, fan_in, depth):
            rows = min(depth, fan_in - k)
            for column in range(0, layer[at.OUT_WIDTH], settings[at.PANEL]):
                width = min(settings[at.PANEL], layer[at.OUT_WIDTH] - column)
                weight_row = step if step > 0 else width
                block = weights + column * layer[at.COLUMN_STEP] + k * weight_row
                sums = Matrix(layer[at.OUTPUT] + first * out_row + column, out_row)
                call(
                    calls, MULTIPLY, arena,
                    Size(last - first, min(width, layer[at.FAN_OUT] - column), rows),
                    StridedMatrix(inputs + k, in_row, 1),
                    Matrix(block, weight_row),
                    sums,
                    sums if k > 0 else Matrix(biases + column, 0),
                )  # fmt: skip
        activate_layer(network, number, first, last, seen)


@compile_kernel
def finish_rows(network, targets, Y, sample_weight, order, start, sums, first, last):
    """Compute the predictions, losses and output deltas of rows of the batch.

    Parameters
    ----------
    network : Network
    targets : int
        Where this thread's block of targets starts in the arena.
    Y : matrix of the network's dtype
    sample_weight : vector of the network's dtype
        The weights of all rows; empty where there are no weights.
    order : vector of int64
        Row numbers, in the order in which batches are cut.
    start : int
        Where the batch starts in the order.
    sums : vector of float64
        Modified in place: gets the loss of each row; see jobs.py.
    first, last : int
        The rows, as numbers in the batch: from `first` on, up to the one before `last`.
    """
    arena, layers, settings, calls = arrays_of(network)
    layer = layers[settings[at.N_LAYERS] - 1]
    row_stride, n_rows, fan_out = layer[at.OUTPUT_ROW], last - first, layer[at.FAN_OUT]
    predictions = layer[at.OUTPUT] + first * row_stride
    loss_row, outputs = settings[at.LOSS_ROW], predictions
    if loss_row < row_stride:  # targets leave half of their place free
        outputs = targets + settings[at.BLOCK_ROWS] * row_stride // 2
        move_rows(arena, predictions, row_stride, outputs, loss_row, n_rows, fan_out)
    if calls[ACTIVATE_OUTPUT] != 0:
        call(calls, ACTIVATE_OUTPUT, arena, outputs, loss_row, n_rows, fan_out)
    gather(Y, order, start + first, arena, targets, loss_row, n_rows)
    call(
        calls, LOSSES,
        arena, settings, targets, outputs, loss_row, n_rows, fan_out, sums, N_SUMS + first,
    )  # fmt: skip
    if settings[at.FAILED_AT] < 2 * last * fan_out:  # the step will not be taken
        return
    if loss_row < row_stride:
        move_rows(arena, outputs, loss_row, predictions, row_stride, n_rows, fan_out)
    p = view(arena, predictions, n_rows * row_stride)
    if settings[at.CLEARS_PADDING] != 0:
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
def backward(network, first, last):
    """Compute the deltas of all hidden layers for rows of the batch.

    Parameters
    ----------
    network : Network
    first, last : int
        The rows, as numbers in the batch: from `first` on, up to the one before `last`.
    """
    arena, layers, settings, calls = arrays_of(network)
    for number in range(settings[at.N_LAYERS] - 1, 0, -1):
        layer, before = layers[number], layers[number - 1]
        fan_out, delta_row = layer[at.FAN_OUT], layer[at.OUTPUT_ROW]
        out, out_row = before[at.DELTA], before[at.OUTPUT_ROW]
        for column in range(0, layer[at.IN_WIDTH], settings[at.PANEL]):
            width = min(settings[at.PANEL], layer[at.IN_WIDTH] - column)
            call(
                calls, MULTIPLY, arena,
                Size(last - first, min(width, layer[at.FAN_IN] - column), fan_out),
                StridedMatrix(layer[at.DELTA] + first * delta_row, delta_row, 1),
                Matrix(layer[at.TRANSPOSED] + column * layer[at.OUT_WIDTH], width),
                Matrix(out + first * out_row + column, out_row),
                Matrix(settings[at.ZEROS], 0),
            )  # fmt: skip
        if has_layer_slot(calls, number - 1, MULTIPLY_BY_DERIVATIVE):
            is_kept = has_layer_slot(calls, number - 1, ACTIVATE_AND_KEEP)
            source = before[at.KEPT] if is_kept else before[at.OUTPUT]
            call_of_layer(
                calls, number - 1, MULTIPLY_BY_DERIVATIVE,
                arena, source + first * out_row, out + first * out_row, (last - first) * out_row,
            )  # fmt: skip
