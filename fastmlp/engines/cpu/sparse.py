"""Kernels of the first layer for sparse inputs, which are compiled only where X is sparse.

Inputs are in compressed rows: the values, their feature numbers, and where each row starts. The
values are a matrix of one row, so that kernels have the same signature for sparse and dense inputs.
"""

from . import layout as at
from .jit import compile_kernel
from .vector_math import multiply_add
from .views import arrays_of, view


@compile_kernel
def multiply_rows(network, X, start, first, last):
    """Compute the pre-activations of the first layer for rows of the batch, in the arena.

    Parameters
    ----------
    network : Network
    X : Inputs
    start : int
        Where the batch starts in the order.
    first, last : int
        The rows, as numbers in the batch: from `first` on, up to the one before `last`.
    """
    arena, layers, settings, _ = arrays_of(network)
    layer, panel = layers[0], settings[at.PANEL]
    parameters = settings[at.PARAMETERS]
    for column in range(0, layer[at.OUT_WIDTH], panel):
        width = min(panel, layer[at.OUT_WIDTH] - column)
        weights = parameters + layer[at.WEIGHTS] + column * layer[at.COLUMN_STEP]
        weight_row = layer[at.WEIGHT_ROW] if layer[at.WEIGHT_ROW] > 0 else width
        biases = view(arena, parameters + layer[at.BIASES] + column, width)
        for row in range(first, last):
            z = view(arena, layer[at.OUTPUT] + row * layer[at.OUTPUT_ROW] + column, width)
            for j in range(width):
                z[j] = biases[j]
            source = X.order[start + row]
            for k in range(X.row_starts[source], X.row_starts[source + 1]):
                w = view(arena, weights + X.features[k] * weight_row, width)
                for j in range(width):
                    z[j] = multiply_add(X.values[0, k], w[j], z[j])


@compile_kernel
def group_by_feature(work, X, start, n_rows, first_feature, last_feature, n_features):
    """List a batch's entries of some features, feature by feature.

    Parameters
    ----------
    work : vector of int64
        Modified in place. Its first elements say where the list of each feature starts, and one
        more says where the last list ends. From element ``n_features + 2`` on there are two
        numbers for each entry: its row in the batch, and its place among the values.
    X : Inputs
    start, n_rows : int
        Where the batch starts in the order, and its number of rows.
    first_feature, last_feature : int
        The features that are listed: from `first_feature` on, up to the one before `last_feature`.
    n_features : int
        The number of features of X.
    """
    features, row_starts, order = X.features, X.row_starts, X.order
    n_listed = last_feature - first_feature
    for i in range(n_listed + 2):
        work[i] = 0
    for row in range(n_rows):
        source = order[start + row]
        for k in range(row_starts[source], row_starts[source + 1]):
            feature = features[k] - first_feature
            if 0 <= feature < n_listed:
                work[feature + 2] += 1
    for i in range(2, n_listed + 2):
        work[i] += work[i - 1]
    # Until now the start of each list is one element further right than documented. While a list
    # is filled, its element counts up to the start of the next list.
    for row in range(n_rows):
        source = order[start + row]
        for k in range(row_starts[source], row_starts[source + 1]):
            feature = features[k] - first_feature
            if 0 <= feature < n_listed:
                entry = n_features + 2 + 2 * work[feature + 1]
                work[entry] = row
                work[entry + 1] = k
                work[feature + 1] += 1


@compile_kernel
def sum_block(network, X, work, first_feature, top, rows, column, width, to):
    """Sum the gradient of a block of the first layer's weights over the listed entries.

    Parameters
    ----------
    network : Network
    X : Inputs
    work : vector of int64
        The lists that :func:`group_by_feature` has made.
    first_feature : int
        The first feature that is listed.
    top, rows, column, width : int
        The block; see :func:`fastmlp.engines.cpu.weight_pass.block_of`.
    to : int
        Where in the arena the sums are written, row after row.
    """
    arena, layers, _, _ = arrays_of(network)
    layer, values = layers[0], X.values
    entries = layer[at.FAN_IN] + 2
    deltas = layer[at.DELTA] + column
    total = view(arena, to, rows * width)
    for i in range(total.size):
        total[i] = 0
    for i in range(rows):
        feature = top + i - first_feature
        g = view(arena, to + i * width, width)
        for entry in range(work[feature], work[feature + 1]):
            row, place = work[entries + 2 * entry], work[entries + 2 * entry + 1]
            delta = view(arena, deltas + row * layer[at.OUTPUT_ROW], width)
            for j in range(width):
                g[j] = multiply_add(values[0, place], delta[j], g[j])
