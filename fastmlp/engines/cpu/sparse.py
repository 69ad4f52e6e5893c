"""The first layer for sparse inputs: compiled only when they are met.

Inputs are in compressed rows: values (here a matrix of one row, so that kernels have one
signature for both kinds of input), feature numbers, and where each row starts.
"""

from . import layout as at
from .jit import compile_kernel
from .views import arrays_of, view


def work_size(n_features, most_entries):
    """Elements of one thread's part of the work array: see :func:`group_by_feature`.

    Parameters
    ----------
    n_features : int
        Features of X.
    most_entries : int
        Entries of a batch, at most.
    """
    return n_features + 2 + 2 * most_entries


@compile_kernel
def multiply_rows(network, X, start, first, last):
    """Pre-activations of the first layer for rows `first` to `last` of a batch.

    Parameters
    ----------
    network : Network
    X : Inputs
    start : int
        Where the batch starts in the order.
    first, last : int
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
                    z[j] += X.values[0, k] * w[j]


@compile_kernel
def group_by_feature(work, X, start, n_rows, first_feature, last_feature, n_features):
    """List a batch's entries of some features, feature by feature.

    Parameters
    ----------
    work : vector of int64
        Modified in place: gets, for each feature, where its list starts (one after the last
        feature as well); then for each entry its row in the batch and its place among the values.
    X : Inputs
    start, n_rows : int
        Where the batch starts in the order, and its rows.
    first_feature, last_feature : int
    n_features : int
        Features of X.
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
    # Filling moves each start to the next one's place: from here on it is one further left.
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
        As :func:`group_by_feature` fills it.
    first_feature : int
        The first feature that is listed.
    top, rows, column, width : int
        The block.
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
                g[j] += values[0, place] * delta[j]
