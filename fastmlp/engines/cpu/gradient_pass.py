"""The compiled pass to gradients of outputs with respect to inputs, as one thread runs it.

A block of rows goes forward through all layers. For each output that is asked for, its derivative
then goes back through them, and through the weights of the first layer on to the inputs. No
gradient of a weight is computed, so that a pass takes about twice the time of a prediction.
"""

import numpy as np

from ..gradient_rules import FIRST_OF_TWO, OF_OUTPUT, OF_SOFTMAX, PREDICTED
from . import layout as at
from .arguments import Matrix, Size, StridedMatrix
from .barrier import take_next
from .indirect_call import call
from .jit import compile_kernel
from .jobs import GRADIENTS, RULE, UNITS
from .kernels import inputs_at, network_at
from .row_pass import gather
from .row_products import product_of_rows
from .slots import ACTIVATE_OUTPUT, BACKWARD, FORWARD, MULTIPLY, MULTIPLY_ROWS
from .views import arrays_of, copy_elements, matrix_at, row_view, vector_at, vector_from, view


@compile_kernel
def predicted_unit(p):
    """Return the output of the class that the probabilities of a row predict.

    Parameters
    ----------
    p : vector of shape (n_outputs,)
        A single one is the probability of the second of two classes.

    Returns
    -------
    int
        The first one of several that are largest; ``FIRST_OF_TWO`` for the class that has no
        output of its own.
    """
    if p.size == 1:
        return np.int64(0) if p[0] > p.dtype.type(0.5) else np.int64(FIRST_OF_TWO)
    best = np.int64(0)
    for j in range(1, p.size):
        if p[j] > p[best]:
            best = np.int64(j)
    return best


@compile_kernel
def unit_deltas(arena, layer, outputs, deltas, n_rows, unit, rule):
    """Write the derivatives of one output of each row for the output layer's pre-activations.

    Parameters
    ----------
    arena : vector
        Modified in place.
    layer : vector of int64
        The output layer's row of the layer table.
    outputs, deltas : int
        Where the activations of the first row start, and where its derivatives are written.
    n_rows : int
    unit : int
        The number of the output, or ``PREDICTED``.
    rule : int
        Which derivative the output's activation has; see gradient_rules.py.
    """
    row_stride, fan_out = layer[at.OUTPUT_ROW], layer[at.FAN_OUT]
    one = arena.dtype.type(1)
    for row in range(n_rows):
        p = view(arena, outputs + row * row_stride, fan_out)
        delta = view(arena, deltas + row * row_stride, row_stride)
        for j in range(row_stride):
            delta[j] = 0
        chosen = predicted_unit(p) if unit == PREDICTED else unit
        is_first = chosen == FIRST_OF_TWO
        chosen = max(chosen, 0)
        slope, own = one, p[chosen]
        if rule == OF_SOFTMAX:
            for j in range(fan_out):
                delta[j] = -own * p[j]
        if rule == OF_OUTPUT:
            slope = own
        elif rule > OF_OUTPUT:  # a probability
            slope = own * (one - own)
        delta[chosen] = -slope if is_first else slope


@compile_kernel
def pass_to_inputs(network, to, first, last):
    """Multiply the first layer's deltas by its weights: the gradients of the inputs.

    Parameters
    ----------
    network : Network
    to : int
        Where in the arena the gradient of the first row is written; the distance of rows is that
        of inputs.
    first, last : int
        The rows, as numbers in the batch: from `first` on, up to the one before `last`.
    """
    arena, layers, settings, calls = arrays_of(network)
    layer = layers[0]
    delta_row, row_stride = layer[at.OUTPUT_ROW], layer[at.INPUT_ROW]
    for column in range(0, layer[at.IN_WIDTH], settings[at.PANEL]):
        width = min(settings[at.PANEL], layer[at.IN_WIDTH] - column)
        call(
            calls, MULTIPLY, arena,
            Size(last - first, min(width, layer[at.FAN_IN] - column), layer[at.FAN_OUT]),
            StridedMatrix(layer[at.DELTA] + first * delta_row, delta_row, 1),
            Matrix(layer[at.TRANSPOSED] + column * layer[at.OUT_WIDTH], width),
            Matrix(to + column, row_stride),
            Matrix(settings[at.ZEROS], 0),
        )  # fmt: skip


@compile_kernel
def gradients_of_entries(network, X, start, first, last, gradients):
    """Multiply the first layer's deltas by the weights of the inputs that a sparse X has.

    Parameters
    ----------
    network : Network
    X : Inputs
    start : int
        Where the batch starts in the order.
    first, last : int
        The rows, as numbers in the batch: from `first` on, up to the one before `last`.
    gradients : vector of shape (n_entries,)
        Modified in place: gets a number for each entry of these rows.
    """
    arena, layers, settings, _ = arrays_of(network)
    layer = layers[0]
    weights = settings[at.PARAMETERS] + layer[at.WEIGHTS]
    for row in range(first, last):
        source, delta = X.order[start + row], layer[at.DELTA] + row * layer[at.OUTPUT_ROW]
        for k in range(X.row_starts[source], X.row_starts[source + 1]):
            place = weights + X.features[k] * layer[at.WEIGHT_ROW]
            gradients[k] = product_of_rows(arena, place, delta, layer[at.FAN_OUT])


@compile_kernel
def differentiate(number, n_threads, barrier, arena, job):
    """Compute gradients of outputs with respect to inputs, a block of rows at a time.

    Threads take blocks as for a prediction. The order of the job has the numbers of the rows. The
    gradients of a row are written to a row of the job's matrix, one output after the other; or, for
    the entries of a sparse X alone, those of all rows to a row of the matrix for each output.

    Parameters
    ----------
    number, n_threads : int
        The number of this thread, and the number of threads.
    barrier : pointer to int64
        It counts the blocks that threads have taken; a thread that is alone does so by itself.
    arena : pointer to numbers of the network's dtype
        Modified in place.
    job : pointer to int64
        The addresses and sizes of the arrays whose numbers are named in jobs.py; see
        ``jobs.describe``.
    """
    arena, job = vector_from(arena), vector_from(job)
    network, X = network_at(arena, job), inputs_at(arena, job)
    _, layers, settings, calls = arrays_of(network)
    gradients = matrix_at(job, GRADIENTS, arena)
    units, rule = vector_at(job, UNITS, np.int64), vector_at(job, RULE, np.int64)
    barrier, n_all, block = vector_from(barrier), X.order.size, settings[at.BLOCK_ROWS]
    layer, base = layers[settings[at.N_LAYERS] - 1], number * block
    input_row, n_features = layers[0, at.INPUT_ROW], layers[0, at.FAN_IN]
    inputs = layers[0, at.INPUT] + base * input_row
    outputs = layer[at.OUTPUT] + base * layer[at.OUTPUT_ROW]
    deltas = layer[at.DELTA] + base * layer[at.OUTPUT_ROW]
    taken = take_next(barrier) if n_threads > 1 else 0
    while 0 <= taken * block < n_all:
        top = taken * block
        n_rows = min(block, n_all - top)
        if settings[at.IS_SPARSE]:
            call(calls, MULTIPLY_ROWS, network, X, top - base, base, base + n_rows)
        else:
            gather(X.values, X.order, top, arena, inputs, input_row, n_rows)
        call(calls, FORWARD, network, inputs, base, base + n_rows, 0)
        if calls[ACTIVATE_OUTPUT] != 0:
            row_stride, fan_out = layer[at.OUTPUT_ROW], layer[at.FAN_OUT]
            call(calls, ACTIVATE_OUTPUT, arena, outputs, row_stride, n_rows, fan_out)
        for k in range(units.size):
            unit_deltas(arena, layer, outputs, deltas, n_rows, units[k], rule[0])
            call(calls, BACKWARD, network, base, base + n_rows)
            if rule[1]:
                of_unit = row_view(gradients, k)
                gradients_of_entries(network, X, top - base, base, base + n_rows, of_unit)
                continue
            # The rows of inputs have been read, and gradients take their place.
            pass_to_inputs(network, inputs, base, base + n_rows)
            for row in range(n_rows):
                to = row_view(gradients, top + row)
                copy_elements(to, k * n_features, arena, inputs + row * input_row, n_features)
        taken = take_next(barrier) if n_threads > 1 else taken + 1
