"""Where everything lies in the arena, the one array that the kernels work on.

Weights are stored in panels of two vectors of columns, each panel row after row, so
that the matrix product reads them as one stream; columns are padded with zeros to
whole vectors, and stay zero. A second, transposed copy of the weights (of all layers
but the first) serves the backward pass. Activations and deltas are row-major, one row
for each row of the batch, padded alike.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import inf

import numpy as np

from ...network.plan import Optimizer, TrainingPlan, keeps_derivatives
from ...network.weights import views
from .gemm import TILE_ROWS
from .vector_unit import lanes

# Columns of the layer table. Places are elements of the arena, counted from its start.
FAN_IN, FAN_OUT = 0, 1
IN_WIDTH, OUT_WIDTH = 2, 3  # the same, padded to whole vectors
WEIGHTS, BIASES = 4, 5  # where they start, counted from the first parameter
TRANSPOSED = 6  # where the transposed weights start; the first layer has none
# Where the layer's inputs start and the distance of their rows. The first layer's inputs are a
# block for each thread.
INPUT, INPUT_ROW = 7, 8
OUTPUT, OUTPUT_ROW = 9, 10  # the same of the layer's outputs
DELTA = 11  # where the deltas of the outputs start; their rows are OUTPUT_ROW apart
FIRST_BLOCK, N_BLOCKS = 12, 13  # the layer's blocks of weights, numbered over all layers
# Distance of rows of weights, where 0 stands for the width of the panel, and of columns.
WEIGHT_ROW, COLUMN_STEP = 14, 15
KEPT = 16  # where the derivatives of the activations are kept for the backward pass, if they are
DROP_BELOW = 17  # dropout switches off the units whose random bits are below this
FIRST_UNIT = 18  # number of the layer's first unit among all hidden units
DROP_SCALE = 19  # where the factor lies that scales up units that stay
LAYER_FIELDS = 20

# Elements of the settings vector.
N_LAYERS, OPTIMIZER, BATCH_SIZE = 0, 1, 2
PANEL = 3  # columns of a full panel
PARAMETERS, N_PARAMETERS = 4, 5
TO_FIRST, TO_SECOND = 6, 7  # distance from the parameters to the optimiser's two vectors
ZEROS, ONE = 8, 9  # where a row of zeros, as long as a panel's, and the number one lie
SCRATCH, SCRATCH_SIZE = 10, 11  # each thread has a piece of scratch, one after the other
TARGETS = 12  # each thread has a block of targets, with the output layer's distance of rows
BLOCK_ROWS = 13  # rows that go through all layers together
N_GROUPS = 14  # groups of rows whose gradients are summed apart; 1 where they are not
PARTIAL_SUMS = 15  # where those sums lie, each ordered like the parameters
IS_SPARSE, WORK_SIZE = 16, 17  # whether X is sparse; elements of a thread's work array
MACHINE_EPSILON = 18  # where the machine epsilon lies
LOSS_PARAMETERS = 19  # where a number for each output lies
CLEARS_PADDING = 20  # whether the padding of output deltas has to be made zero
SEED = 21  # of dropout
GRADIENTS = 22  # where the mean gradient is kept while its norm is limited; -1 where that is not
N_PANELS = 23  # panels of all layers
KEEP_AT = 24  # where to copy the parameters to before the first step; -1 for nowhere
N_SETTINGS = 25

# Scalars of a step, at the start of a thread's scratch. Those that the plan fixes:
ALPHA, L1 = 0, 1
MOMENTUM, BETA_1, ONE_MINUS_BETA_1, BETA_2, ONE_MINUS_BETA_2, EPSILON = 2, 3, 4, 5, 6, 7
CLIP_VALUE, CLIP_NORM, MAX_NORM = 8, 9, 10
NO_PENALTY, UNIT = 11, 12  # the numbers zero and one, instead of ALPHA or L1, and INVERSE_WEIGHT
# Those that change from epoch to epoch:
LEARNING_RATE = 13  # Adam and NAdam correct it in each step
DECAY = 14  # what weights are multiplied with before a step
STEPS_DONE = 15
# Those that change from step to step:
INVERSE_WEIGHT = 16  # one divided by the batch's total sample weight
GRADIENT_SHARE = 17  # the share of the new gradient in NAdam's mixture
GRADIENT_SCALE = 18  # what a gradient is multiplied with to limit its norm
N_SCALARS = 32

COPY_ELEMENTS = 64  # copies are shared out in multiples of this

_CACHE_LINE = 64  # bytes
_PAGE = 4096  # bytes
# Groups of rows have at least so many rows, and there are no more groups than this.
_GROUP_ROWS, _MOST_GROUPS = 64, 8
_BLOCK_BYTES = 128 * 1024  # activations of a row block: a part of the level-2 cache


@dataclass(frozen=True)
class Layout:
    """Where one network lies in its arena.

    Attributes
    ----------
    layers : ndarray of shape (n_layers, LAYER_FIELDS), int64
    settings : ndarray of shape (N_SETTINGS,), int64
    size : int
        Elements of the arena.
    n_blocks : int
        Blocks of weights of all layers.
    """

    layers: np.ndarray
    settings: np.ndarray
    size: int
    n_blocks: int


def round_up(number, multiple):
    """The smallest multiple that is not below `number`."""
    return -(-number // multiple) * multiple


def _row_stride(width, itemsize, vector):
    """Distance of the rows of activations.

    Rows that are half a page or a multiple of it apart would share their cache sets, so that
    such rows get one vector more.

    Parameters
    ----------
    width : int
        Elements of a row.
    itemsize : int
        Bytes of an element.
    vector : int
        Elements of a vector.
    """
    return width + vector if (width * itemsize) % (_PAGE // 2) == 0 else width


def block_rows(layer_units, itemsize):
    """Rows of a block: few enough to stay in the cache, enough to reuse the weights.

    Parameters
    ----------
    layer_units : sequence of int
        Units of the layers whose activations are stored.
    itemsize : int
        Bytes of an element.
    """
    rows = _BLOCK_BYTES // (2 * sum(layer_units) * itemsize)
    return int(np.clip(round_up(rows, TILE_ROWS), 4 * TILE_ROWS, 20 * TILE_ROWS))


class _Reservations:
    """Gives out pieces of the arena, each of which starts at a cache line.

    Parameters
    ----------
    itemsize : int
        Bytes of an element.

    Attributes
    ----------
    end : int
        Elements that were given out.
    """

    def __init__(self, itemsize):
        self.end = 0
        self._line = _CACHE_LINE // itemsize

    def __call__(self, n_elements):
        """Where the next `n_elements` elements start."""
        start = self.end
        self.end = round_up(start + int(n_elements), self._line)
        return start


@cache
def prediction_layout(units, activation, loss, dtype, n_threads, packed, is_sparse=False):
    """Lay out the arena for predictions: parameters and a block of rows for each thread.

    Parameters
    ----------
    units : tuple of int
    activation : Activation
    loss : Loss
    dtype : numpy.dtype
    n_threads : int
    packed : bool
        Whether weights lie in panels, which pays for many rows. Otherwise they lie in the order
        of :mod:`fastmlp.network.weights`, where the last vector of a row reads into the next row:
        those columns are computed and not used.
    is_sparse : bool
        As for :func:`training_layout`.

    Returns
    -------
    Layout
    """
    plan = TrainingPlan(units, activation, loss, Optimizer.GRADIENT, dtype=dtype)
    trained = training_layout(plan, 1, is_sparse)
    layers, settings = trained.layers.copy(), trained.settings.copy()
    itemsize, vector = dtype.itemsize, lanes(dtype)
    reserve = _Reservations(itemsize)
    n_parameters = int(settings[N_PARAMETERS])
    if not packed:
        n_weights = sum(fan_in * fan_out for fan_in, fan_out in pairwise(units))
        layers[:, WEIGHT_ROW], layers[:, COLUMN_STEP] = layers[:, FAN_OUT], 1
        sizes = layers[:, FAN_IN] * layers[:, FAN_OUT]
        layers[:, WEIGHTS] = np.cumsum(sizes) - sizes
        layers[:, BIASES] = n_weights + np.cumsum(layers[:, FAN_OUT]) - layers[:, FAN_OUT]
        n_parameters = n_weights + sum(units[1:])
    settings[PARAMETERS] = reserve(n_parameters + settings[PANEL])
    rows = n_threads * settings[BLOCK_ROWS]
    row = 0 if is_sparse else _row_stride(round_up(units[0], vector), itemsize, vector)
    start = reserve(rows * row)
    for layer in layers:
        layer[INPUT], layer[INPUT_ROW] = start, row
        row = _row_stride(layer[OUT_WIDTH], itemsize, vector)
        start = reserve(rows * row)
        layer[OUTPUT], layer[OUTPUT_ROW] = start, row
    return Layout(layers, settings, reserve.end, trained.n_blocks)


def n_groups(plan, is_sparse=False):
    """Groups of a batch's rows whose gradients are summed apart; 1 where that does not pay.

    Groups pay where the activations and deltas of a batch, half of which would travel between
    cores, are at least four times the parameters, for which gradients and weights travel
    instead. They do not pay for sparse inputs. The number does not depend on the threads, so
    that results do not either; no more threads than groups are of use.

    Parameters
    ----------
    plan : TrainingPlan
    is_sparse : bool
        Whether X is sparse.
    """
    sizes = [(fan_in + 1) * fan_out for fan_in, fan_out in pairwise(plan.layer_units)]
    if is_sparse or 2 * sum(sizes) > plan.batch_size * sum(plan.layer_units[1:]):
        return 1
    groups = _MOST_GROUPS
    while groups > 1 and groups * _GROUP_ROWS > plan.batch_size:
        groups //= 2
    return groups


def training_layout(plan, n_threads, is_sparse=False):
    """Lay out the arena of a training plan.

    Parameters
    ----------
    plan : TrainingPlan
    n_threads : int
    is_sparse : bool
        Whether X is sparse, so that no rows of it are gathered.

    Returns
    -------
    Layout
    """
    itemsize = plan.dtype.itemsize
    vector = lanes(plan.dtype)
    panel = 2 * vector
    units = plan.layer_units
    n_layers = len(units) - 1
    layers = np.zeros((n_layers, LAYER_FIELDS), dtype=np.int64)
    settings = np.zeros(N_SETTINGS, dtype=np.int64)

    n_parameters = n_blocks = 0
    for layer, (fan_in, fan_out) in zip(layers, pairwise(units), strict=True):
        width = round_up(fan_out, vector)
        layer[[FAN_IN, FAN_OUT]] = fan_in, fan_out
        layer[[IN_WIDTH, OUT_WIDTH]] = round_up(fan_in, vector), width
        layer[WEIGHTS] = n_parameters
        layer[BIASES] = n_parameters + fan_in * width
        layer[COLUMN_STEP] = fan_in
        n_parameters += (fan_in + 1) * width
        layer[FIRST_BLOCK] = n_blocks
        layer[N_BLOCKS] = -(-fan_in // panel) * -(-width // panel)
        n_blocks += layer[N_BLOCKS]

    reserve = _Reservations(itemsize)
    settings[ZEROS] = reserve(panel)
    settings[ONE] = reserve(1)
    settings[MACHINE_EPSILON] = reserve(1)
    settings[N_PARAMETERS] = n_parameters
    settings[PARAMETERS] = reserve(n_parameters)
    settings[TO_FIRST] = reserve(n_parameters) - settings[PARAMETERS]
    settings[TO_SECOND] = reserve(n_parameters) - settings[PARAMETERS]
    settings[GRADIENTS] = reserve(n_parameters) if plan.clip_norm < inf else -1
    # Where nothing is updated, nothing can be lost.
    settings[KEEP_AT] = -1 if plan.optimizer == Optimizer.GRADIENT else reserve(2 * n_parameters)
    for layer in layers[1:]:
        layer[TRANSPOSED] = reserve(layer[OUT_WIDTH] * layer[IN_WIDTH])

    row = 0 if is_sparse else _row_stride(round_up(units[0], vector), itemsize, vector)
    settings[BLOCK_ROWS] = block_rows(units[is_sparse:], itemsize)
    settings[IS_SPARSE] = is_sparse
    start = reserve(n_threads * settings[BLOCK_ROWS] * row)
    for number, layer in enumerate(layers, start=1):
        layer[INPUT], layer[INPUT_ROW] = start, row
        row = _row_stride(layer[OUT_WIDTH], itemsize, vector)
        start = reserve(plan.batch_size * row)
        layer[OUTPUT], layer[OUTPUT_ROW] = start, row
        # The output layer's delta takes the place of its activation.
        layer[DELTA] = start if number == n_layers else reserve(plan.batch_size * row)
        if number < n_layers:
            dropout = plan.dropouts[number - 1]
            if keeps_derivatives(plan.activations[number - 1], dropout):
                layer[KEPT] = reserve(plan.batch_size * row)
            layer[DROP_BELOW] = int(dropout * 2**32)
            layer[FIRST_UNIT] = sum(units[1:number])
            layer[DROP_SCALE] = reserve(1)
    settings[LOSS_PARAMETERS] = reserve(row)
    settings[SEED] = plan.seed

    settings[TARGETS] = reserve(n_threads * settings[BLOCK_ROWS] * row)
    settings[SCRATCH_SIZE] = N_SCALARS + (2 * panel + plan.batch_size) * panel
    settings[SCRATCH] = reserve(n_threads * settings[SCRATCH_SIZE])
    settings[N_GROUPS] = groups = n_groups(plan, is_sparse)
    settings[PARTIAL_SUMS] = reserve(groups * n_parameters if groups > 1 else 0)
    settings[[N_LAYERS, OPTIMIZER, BATCH_SIZE]] = n_layers, plan.optimizer, plan.batch_size
    settings[PANEL] = panel
    settings[N_PANELS] = sum(-(-layer[OUT_WIDTH] // panel) for layer in layers)
    return Layout(layers, settings, reserve.end, int(n_blocks))


def shares(layout, n_threads, n_lanes):
    """Limits of each thread's weight blocks, so that all take about the same time.

    Parameters
    ----------
    layout : Layout
    n_threads : int
    n_lanes : int
        Elements of a vector.

    Returns
    -------
    ndarray of shape (n_threads + 1,), int64
    """
    panel, n_rows = layout.settings[PANEL], layout.settings[BATCH_SIZE]
    costs = []  # roughly in cycles: two multiply-adds each, then the optimiser's division
    for layer in layout.layers:
        rows = np.minimum(panel, layer[FAN_IN] - np.arange(0, layer[FAN_IN], panel))
        columns = np.minimum(panel, layer[OUT_WIDTH] - np.arange(0, layer[OUT_WIDTH], panel))
        cost = np.outer(rows, columns) * 2.0
        is_sparse = not costs and layout.settings[IS_SPARSE]
        if layout.settings[N_GROUPS] == 1 and not is_sparse:
            cost *= 1 + n_rows / (4 * n_lanes)
            cost[:, 0] += 4.0 * n_rows  # packing the inputs
            cost[0] += 4.0 * n_rows  # the biases
        costs.append(cost.ravel())
    done = np.cumsum(np.concatenate([[0.0], *costs]))
    wanted = done[-1] * np.arange(n_threads + 1) / n_threads
    return np.abs(done - wanted[:, None]).argmin(axis=1).astype(np.int64)


def pack(parameters, units, arena, start, layout):
    """Copy a flat parameter vector into panels of the arena, from `start` on.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,)
        In the order of :mod:`fastmlp.network.weights`.
    units : sequence of int
    arena : ndarray
        Modified in place.
    start : int
    layout : Layout
    """
    coefs, intercepts = views(parameters, units)
    for layer, weights, biases in zip(layout.layers, coefs, intercepts, strict=True):
        for panel, columns in _panels(arena, start, layer, layout.settings[PANEL]):
            panel[:, : weights[:, columns].shape[1]] = weights[:, columns]
        to = start + layer[BIASES]
        arena[to : to + len(biases)] = biases


def unpack(parameters, units, arena, start, layout):
    """Copy a flat parameter vector back out of the panels: the inverse of :func:`pack`.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,)
        Modified in place.
    units, arena, start, layout
        As for :func:`pack`.
    """
    coefs, intercepts = views(parameters, units)
    for layer, weights, biases in zip(layout.layers, coefs, intercepts, strict=True):
        for panel, columns in _panels(arena, start, layer, layout.settings[PANEL]):
            weights[:, columns] = panel[:, : weights[:, columns].shape[1]]
        source = start + layer[BIASES]
        biases[:] = arena[source : source + len(biases)]


def _panels(arena, start, layer, panel):
    """Each panel of a layer's weights.

    Parameters
    ----------
    arena : ndarray
    start : int
        Where the first parameter lies.
    layer : ndarray of shape (LAYER_FIELDS,)
    panel : int
        Columns of a full panel.

    Yields
    ------
    matrix : ndarray of shape (fan_in, width)
        A view of the arena.
    columns : slice
        The columns of the weights that it holds.
    """
    for column in range(0, layer[OUT_WIDTH], panel):
        width = min(panel, layer[OUT_WIDTH] - column)
        first = start + layer[WEIGHTS] + column * layer[FAN_IN]
        matrix = arena[first : first + layer[FAN_IN] * width].reshape(layer[FAN_IN], width)
        yield matrix, slice(column, min(column + width, layer[FAN_OUT]))


def pack_transposed(parameters, units, arena, layout):
    """Fill the transposed copies of all layers' weights but the first.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,)
        In the order of :mod:`fastmlp.network.weights`.
    units : sequence of int
    arena : ndarray
        Modified in place.
    layout : Layout
    """
    panel = layout.settings[PANEL]
    for layer, weights in zip(layout.layers[1:], views(parameters, units)[0][1:], strict=True):
        for column in range(0, layer[IN_WIDTH], panel):
            width = min(panel, layer[IN_WIDTH] - column)
            first = layer[TRANSPOSED] + column * layer[OUT_WIDTH]
            matrix = arena[first : first + layer[OUT_WIDTH] * width].reshape(-1, width)
            block = weights[column : column + width]
            matrix[: layer[FAN_OUT], : len(block)] = block.T
