"""The first phase of a training step: what happens to rows of the batch, layer by layer."""

from . import layout as at
from .indirect_call import call
from .jit import compile_kernel
from .views import copy_elements, row_view, view
from .work_sharing import N_SUMS


@compile_kernel
def gather(matrix, order, start, arena, to, row_stride, n_rows):
    """Copy rows of X or Y, in the order of the epoch, to a block of this thread's."""
    n_columns = matrix.shape[1]
    for row in range(n_rows):
        source = row_view(matrix, order[start + row])
        copy_elements(arena, to + row * row_stride, source, 0, n_columns)


@compile_kernel
def activate_layer(arena, settings, layer, first, last, seen):
    """Replace a hidden layer's pre-activations by activations."""
    # Padding included: no one reads the padded activations.
    n_rows, out_row = last - first, layer[at.OUTPUT_ROW]
    start, size = layer[at.OUTPUT] + first * out_row, n_rows * out_row
    if layer[at.CALL_KEEP] != 0:
        kept = layer[at.KEPT] + first * out_row
        call(layer[at.CALL_KEEP], arena, start, kept, size)
        if layer[at.CALL_DROP] != 0:
            call(
                layer[at.CALL_DROP],
                arena, start, kept, out_row, n_rows, layer[at.FAN_OUT], layer[at.FIRST_UNIT],
                seen + first, settings[at.SEED], layer[at.DROP_BELOW], layer[at.DROP_SCALE],
            )  # fmt: skip
    elif layer[at.CALL_ACTIVATE] != 0:
        call(layer[at.CALL_ACTIVATE], arena, start, size)


@compile_kernel
def forward(arena, layers, settings, inputs, first, last, seen):
    """Activations of all layers for rows `first` to `last`; the output stays linear.

    `inputs` is the start of the first row's features. Sparse inputs have been multiplied. `seen`
    is the number of rows that were trained on before this batch.
    """
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        if number > 0:
            inputs = layer[at.INPUT] + first * layer[at.INPUT_ROW]
        elif settings[at.IS_SPARSE]:
            activate_layer(arena, settings, layer, first, last, seen)
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
        activate_layer(arena, settings, layer, first, last, seen)


@compile_kernel
def finish_rows(
    arena, layers, settings, targets, Y, sample_weight, order, start, sums, first, last
):  # fmt: skip
    """Predictions, losses and output deltas of rows `first` to `last`.

    `targets` is the start of this thread's block of targets.
    """
    layer = layers[settings[at.N_LAYERS] - 1]
    row_stride, n_rows, fan_out = layer[at.OUTPUT_ROW], last - first, layer[at.FAN_OUT]
    predictions = layer[at.OUTPUT] + first * row_stride
    if settings[at.CALL_OUTPUT] != 0:
        call(settings[at.CALL_OUTPUT], arena, predictions, row_stride, n_rows, fan_out)
    gather(Y, order, start + first, arena, targets, row_stride, n_rows)
    call(
        settings[at.CALL_LOSSES],
        arena, settings, targets, predictions, row_stride, n_rows, fan_out, sums, N_SUMS + first,
    )  # fmt: skip
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
        if before[at.CALL_DERIVATIVE] != 0:
            source = before[at.KEPT] if before[at.CALL_KEEP] != 0 else before[at.OUTPUT]
            call(
                before[at.CALL_DERIVATIVE],
                arena, source + first * out_row, out + first * out_row, (last - first) * out_row,
            )  # fmt: skip
