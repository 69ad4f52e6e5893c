"""The layout of the arena, the one array that the kernels work on.

Weights are stored in panels. A panel is two vectors wide, and stored row after row, so that the
matrix product reads it as one stream. The columns of a layer's weights are padded with zeros to
whole vectors; the padding stays zero. The backward pass uses a second, transposed copy of the
weights of all layers but the first. Activations and deltas have one row for each row of the batch;
these rows are padded to whole vectors as well, and those of outputs to vectors of 64 bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import inf

import numpy as np

from ...network.plan import (
    OUTPUT_ACTIVATIONS,
    Activation,
    Loss,
    Optimizer,
    TrainingPlan,
    keeps_derivatives,
)
from ...network.weights import views
from .vector_unit import TILE_ROWS, lanes

# Columns of the layer table. A place is the number of an element of the arena.
FAN_IN, FAN_OUT = 0, 1
IN_WIDTH, OUT_WIDTH = 2, 3  # fan-in and fan-out, padded to whole vectors
WEIGHTS, BIASES = 4, 5  # where they start, counted from the first parameter
TRANSPOSED = 6  # where the transposed weights start; the first layer has none
# Where the layer's inputs start, and the distance of their rows. The inputs of the first layer are
# a block of rows for each thread.
INPUT, INPUT_ROW = 7, 8
OUTPUT, OUTPUT_ROW = 9, 10  # where the layer's outputs start, and the distance of their rows
DELTA = 11  # where the deltas of the outputs start; the distance of their rows is OUTPUT_ROW
FIRST_BLOCK, N_BLOCKS = 12, 13  # the layer's blocks of weights, numbered over all layers
# Distance of the rows of weights, where 0 stands for the width of the panel, and distance of the
# columns of panels.
WEIGHT_ROW, COLUMN_STEP = 14, 15
KEPT = 16  # where the derivatives of the activations are kept for the backward pass, if they are
DROP_BELOW = 17  # dropout switches off the units whose random bits are below this number
FIRST_UNIT = 18  # number of the layer's first unit among all hidden units
DROP_SCALE = 19  # where the factor lies that scales up the units that stay
FIRST_PATCH = 20  # number of the layer's first patch of weights among those of all layers
PATCHES_IN_ROW = 21  # number of patches beside each other
LAYER_FIELDS = 22

# Elements of the settings vector.
N_LAYERS, OPTIMIZER, BATCH_SIZE = 0, 1, 2
PANEL = 3  # number of columns of a full panel
PARAMETERS, N_PARAMETERS = 4, 5  # where the parameters start, and their number with the padding
TO_FIRST, TO_SECOND = 6, 7  # distance from the parameters to the optimiser's two vectors
ZEROS, ONE = 8, 9  # where a row of zeros, as long as a panel's, and the number one lie
SCRATCH, SCRATCH_SIZE = 10, 11  # where the threads' pieces of scratch start, and the size of one
TARGETS = 12  # where the threads' blocks of targets start; each has room for a block of outputs
BLOCK_ROWS = 13  # number of rows that go through all layers together
N_GROUPS = 14  # number of groups of rows whose gradients are summed apart; 1 where they are not
PARTIAL_SUMS = 15  # where those sums lie, each in the order of the parameters
IS_SPARSE, WORK_SIZE = 16, 17  # whether X is sparse; size of a thread's part of the work array
MACHINE_EPSILON = 18  # where the machine epsilon lies
LOSS_PARAMETERS = 19  # where the loss's parameters lie, a number for each output
CLEARS_PADDING = 20  # whether the padding of output deltas has to be made zero
SEED = 21  # the seed of dropout
GRADIENTS = 22  # where the mean gradient is kept while its norm is limited; -1 for nowhere
N_PANELS = 23  # number of panels of all layers
KEEP_AT = 24  # where the parameters are copied to before the first step; -1 for nowhere
FAILED_AT = 25  # where a custom loss failed in the batch, or NO_FAILURE; see custom_loss.py
FAILED_START = 26  # where that batch starts in the order
KEEP_NEXT_AT = 27  # where they are copied to before every second epoch of a job
BLOCK_HEIGHT = 28  # number of rows of a full block of weights
PATCH_COLUMNS, N_PATCHES = 29, 30  # see patch_sums.py; columns of a patch, and number of patches
# Distance of rows of targets, and of outputs while their losses are computed. It is that of the
# outputs elsewhere, or else the number of outputs, where whole vectors would be mostly padding.
LOSS_ROW = 31
N_SETTINGS = 32
NO_FAILURE = np.iinfo(np.int64).max

# Scalars of a step, at the start of a thread's scratch. The plan fixes the first ones.
ALPHA, L1 = 0, 1
MOMENTUM, BETA_1, ONE_MINUS_BETA_1, BETA_2, ONE_MINUS_BETA_2, EPSILON = 2, 3, 4, 5, 6, 7
CLIP_VALUE, CLIP_NORM, MAX_NORM = 8, 9, 10
# The numbers zero and one; they are used instead of ALPHA or L1, and of INVERSE_WEIGHT.
NO_PENALTY, UNIT = 11, 12
# Each epoch changes these.
LEARNING_RATE = 13  # Adam and NAdam correct it in each step
DECAY = 14  # what weights are multiplied by before a step
STEPS_DONE = 15
# Each step changes these.
INVERSE_WEIGHT = 16  # one divided by the batch's total sample weight
GRADIENT_SHARE = 17  # the share of the new gradient in NAdam's mixture
GRADIENT_SCALE = 18  # what a gradient is multiplied by to limit its norm
N_SCALARS = 32

# Rows of a batch form groups of a multiple of this number of rows, on every machine. Tiles of so
# few rows take no longer for each row than larger ones, and groups have about as many rows.
GROUP_MULTIPLE = 4
# Threads share the rows of a batch without groups in multiples of this number.
ROW_MULTIPLE = 2
COPY_ELEMENTS = 64  # threads share copies in multiples of this number of elements

_CACHE_LINE = 64  # bytes
# The distance of rows of outputs, and of targets, is a multiple of this number of bytes.
ROW_BYTES = 64
# Bytes of a column of a block of weights, and of a row of a patch of it; the same on each machine.
_COLUMN_BYTES, _PATCH_BYTES = 128, 32
_PAGE = 4096  # bytes
# The smallest number of rows of a group, and the largest number of groups.
_GROUP_ROWS, _MOST_GROUPS = 64, 8
_FEW_PARAMETERS = 10_000  # so many are copied one by one, by their places
_BLOCK_BYTES = 128 * 1024  # activations of a block of rows: a part of the level-2 cache


@dataclass(frozen=True)
class Layout:
    """The layout of one network's arena.

    Attributes
    ----------
    layers : ndarray of shape (n_layers, LAYER_FIELDS), int64
        The layer table; see the constants above.
    settings : ndarray of shape (N_SETTINGS,), int64
        The settings vector; see the constants above.
    size : int
        Number of elements of the arena.
    n_blocks : int
        Number of blocks of weights of all layers.
    places : ndarray of shape (n_parameters,), int64, or None
        Where each parameter lies, counted from the first one; None where there are so many that
        they are copied by panels.
    """

    layers: np.ndarray
    settings: np.ndarray
    size: int
    n_blocks: int
    places: np.ndarray | None = None


def round_up(number: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is not below `number`."""
    return -(-number // multiple) * multiple


def patch_columns(itemsize: int) -> int:
    """Return the number of columns of a patch of weights; see :mod:`.patch_sums`."""
    return _PATCH_BYTES // itemsize


def row_stride(width: int, itemsize: int, vector: int) -> int:
    """Compute the distance of the rows of activations.

    It is the width of a row. Rows whose distance is a multiple of half a page would share their
    cache sets, so that such a row gets one vector more.

    Parameters
    ----------
    width : int
        Number of elements of a row.
    itemsize : int
        Number of bytes of an element.
    vector : int
        Number of elements of a vector.

    Returns
    -------
    int
        The distance in elements.
    """
    return width + vector if (width * itemsize) % (_PAGE // 2) == 0 else width


def block_rows(layer_units: Sequence[int], itemsize: int) -> int:
    """Choose the number of rows that go through all layers together.

    They are few enough that their activations stay in the cache, and many enough that weights
    which are in registers or in the cache are used often.

    Parameters
    ----------
    layer_units : sequence of int
        Units of the layers whose activations are stored.
    itemsize : int
        Number of bytes of an element.

    Returns
    -------
    int
    """
    rows = _BLOCK_BYTES // (2 * sum(layer_units) * itemsize)
    return min(max(round_up(rows, TILE_ROWS), 4 * TILE_ROWS), 20 * TILE_ROWS)


class Reservations:
    """The pieces of an arena that are in use; each of them starts at a cache line.

    Parameters
    ----------
    itemsize : int
        Number of bytes of an element.

    Attributes
    ----------
    end : int
        Number of elements that are in use.
    """

    def __init__(self, itemsize: int) -> None:
        self.end = 0
        self._line = _CACHE_LINE // itemsize

    def __call__(self, n_elements: int) -> int:
        """Reserve the next `n_elements` elements, and return where they start."""
        start = self.end
        self.end = round_up(start + int(n_elements), self._line)
        return start


@lru_cache(maxsize=128)
def prediction_layout(
    units: tuple[int, ...],
    activation: Activation | tuple[Activation, ...],
    loss: Loss,
    dtype: np.dtype,
    n_threads: int,
    packed: bool,
    is_sparse: bool = False,
) -> Layout:
    """Lay out the arena for predictions: a block of rows for each thread, and packed weights.

    Parameters
    ----------
    units : tuple of int
        Units of every layer, from the input features to the outputs.
    activation : Activation or tuple of Activation
        The activation of all hidden layers, or a tuple with one for each.
    loss : Loss
    dtype : numpy.dtype
        Type of the network's numbers.
    n_threads : int
    packed : bool
        Whether weights lie in panels, which takes less time for many rows. Otherwise they lie
        outside of the arena as matrices in C order, and whoever predicts sets their places, as
        distances from the start of the arena. The last vector of a row then reads into the next
        row, so that some columns are computed and not used.
    is_sparse : bool
        Whether X is sparse, so that no rows of it are copied.

    Returns
    -------
    Layout
    """
    plan = TrainingPlan(units, activation, loss, Optimizer.GRADIENT, dtype=dtype)
    trained = _training_layout(plan, 1, is_sparse)
    layers, settings = trained.layers.copy(), trained.settings.copy()
    itemsize, vector = dtype.itemsize, lanes(dtype)
    reserve = Reservations(itemsize)
    if packed:
        settings[PARAMETERS] = reserve(settings[N_PARAMETERS])
    else:
        layers[:, WEIGHT_ROW], layers[:, COLUMN_STEP] = layers[:, FAN_OUT], 1
        layers[:, [WEIGHTS, BIASES]] = settings[PARAMETERS] = 0
    rows = n_threads * settings[BLOCK_ROWS]
    row = 0 if is_sparse else row_stride(units[0], itemsize, vector)
    start = reserve(rows * row)
    for number, layer in enumerate(layers, start=1):
        layer[INPUT], layer[INPUT_ROW] = start, row
        row = row_stride(layer[OUT_WIDTH], itemsize, vector)
        if number == len(layers):
            row = round_up(row, ROW_BYTES // itemsize)
        start = reserve(rows * row)
        layer[OUTPUT], layer[OUTPUT_ROW] = start, row
    return Layout(layers, settings, reserve.end, trained.n_blocks)


def n_groups(plan: TrainingPlan, is_sparse: bool = False) -> int:
    """Choose the number of groups of a batch's rows whose gradients are summed apart.

    Without groups half of a batch's activations and deltas travel between cores; with them
    gradients and weights do so instead. Groups are used where there are at least four times as
    many activations and deltas as parameters. They are not used for sparse inputs.

    The number of groups does not depend on the number of threads, so that results do not depend
    on it either. No more threads than groups have work.

    Parameters
    ----------
    plan : TrainingPlan
    is_sparse : bool
        Whether X is sparse.

    Returns
    -------
    int
        1 where no groups are used.
    """
    sizes = [(fan_in + 1) * fan_out for fan_in, fan_out in pairwise(plan.layer_units)]
    if is_sparse or 2 * sum(sizes) > plan.batch_size * sum(plan.layer_units[1:]):
        return 1
    groups = _MOST_GROUPS
    while groups > 1 and groups * _GROUP_ROWS > plan.batch_size:
        groups //= 2
    return groups


def training_layout(plan: TrainingPlan, n_threads: int, is_sparse: bool = False) -> Layout:
    """Lay out the arena of a training plan.

    Parameters
    ----------
    plan : TrainingPlan
    n_threads : int
    is_sparse : bool
        Whether X is sparse, so that no rows of it are copied.

    Returns
    -------
    Layout
        Its settings are not those of other calls.
    """
    # A custom loss would live as long as it is remembered.
    lay_out = _remembered_layout if plan.custom_loss is None else _training_layout
    layout = lay_out(plan, n_threads, is_sparse)
    return replace(layout, settings=layout.settings.copy())


def _training_layout(plan: TrainingPlan, n_threads: int, is_sparse: bool) -> Layout:
    """Compute what :func:`training_layout` returns."""
    itemsize = plan.dtype.itemsize
    vector = lanes(plan.dtype)
    panel = 2 * vector
    units = plan.layer_units
    n_layers = len(units) - 1
    layers = np.zeros((n_layers, LAYER_FIELDS), dtype=np.int64)
    settings = np.zeros(N_SETTINGS, dtype=np.int64)
    settings[FAILED_AT] = NO_FAILURE

    height = _COLUMN_BYTES // itemsize
    columns = patch_columns(itemsize)
    n_parameters = n_blocks = n_patches = 0
    for layer, (fan_in, fan_out) in zip(layers, pairwise(units), strict=True):
        width = round_up(fan_out, vector)
        layer[[FAN_IN, FAN_OUT]] = fan_in, fan_out
        layer[[IN_WIDTH, OUT_WIDTH]] = round_up(fan_in, vector), width
        layer[WEIGHTS] = n_parameters
        layer[BIASES] = n_parameters + fan_in * width
        layer[COLUMN_STEP] = fan_in
        n_parameters += (fan_in + 1) * width
        layer[FIRST_BLOCK] = n_blocks
        layer[N_BLOCKS] = -(-fan_in // height) * -(-width // panel)
        n_blocks += layer[N_BLOCKS]
        # Columns of padding are zeros and belong to no patch.
        layer[[FIRST_PATCH, PATCHES_IN_ROW]] = n_patches, -(-fan_out // columns)
        n_patches += -(-fan_in // height) * layer[PATCHES_IN_ROW]

    reserve = Reservations(itemsize)
    settings[ZEROS] = reserve(panel)
    settings[ONE] = reserve(1)
    settings[MACHINE_EPSILON] = reserve(1)
    settings[N_PARAMETERS] = n_parameters
    settings[PARAMETERS] = reserve(n_parameters)
    settings[TO_FIRST] = reserve(n_parameters) - settings[PARAMETERS]
    settings[TO_SECOND] = reserve(n_parameters) - settings[PARAMETERS]
    settings[GRADIENTS] = reserve(n_parameters) if plan.clip_norm < inf else -1
    # Where parameters are not updated, they need not be kept.
    keeps = plan.optimizer != Optimizer.GRADIENT
    settings[KEEP_AT] = settings[KEEP_NEXT_AT] = reserve(2 * n_parameters) if keeps else -1
    for layer in layers[1:]:
        layer[TRANSPOSED] = reserve(layer[OUT_WIDTH] * layer[IN_WIDTH])

    row = 0 if is_sparse else row_stride(round_up(units[0], vector), itemsize, vector)
    settings[BLOCK_ROWS] = block_rows(units[is_sparse:], itemsize)
    settings[IS_SPARSE] = is_sparse
    start = reserve(n_threads * settings[BLOCK_ROWS] * row)
    for number, layer in enumerate(layers, start=1):
        layer[INPUT], layer[INPUT_ROW] = start, row
        row = row_stride(layer[OUT_WIDTH], itemsize, vector)
        if number == n_layers:
            row = round_up(row, ROW_BYTES // itemsize)
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
    # A softmax needs whole vectors, other activations and losses go number by number.
    is_apart = OUTPUT_ACTIVATIONS[plan.loss] == "softmax" or 2 * units[-1] > row
    settings[LOSS_ROW] = row if is_apart else units[-1]
    settings[LOSS_PARAMETERS] = reserve(row)
    settings[SEED] = plan.seed

    settings[TARGETS] = reserve(n_threads * settings[BLOCK_ROWS] * row)
    settings[SCRATCH_SIZE] = N_SCALARS + (2 * panel + plan.batch_size) * height
    settings[SCRATCH] = reserve(n_threads * settings[SCRATCH_SIZE])
    settings[N_GROUPS] = groups = n_groups(plan, is_sparse)
    settings[PARTIAL_SUMS] = reserve(groups * n_parameters if groups > 1 else 0)
    settings[[N_LAYERS, OPTIMIZER, BATCH_SIZE]] = n_layers, plan.optimizer, plan.batch_size
    settings[[PANEL, BLOCK_HEIGHT]] = panel, height
    settings[[PATCH_COLUMNS, N_PATCHES]] = columns, n_patches
    settings[N_PANELS] = sum(-(-layer[OUT_WIDTH] // panel) for layer in layers)
    layout = Layout(layers, settings, reserve.end, int(n_blocks))
    n_real = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(units))
    if n_real > _FEW_PARAMETERS:
        return layout
    places = np.empty(n_real, dtype=np.int64)
    unpack(places, units, np.arange(n_parameters), 0, layout)
    return replace(layout, places=places)


_remembered_layout = lru_cache(maxsize=32)(_training_layout)


def shares(layout: Layout, n_threads: int, n_lanes: int) -> np.ndarray:
    """Share the blocks of weights among threads, so that all take about the same time.

    Parameters
    ----------
    layout : Layout
    n_threads : int
    n_lanes : int
        Number of elements of a vector.

    Returns
    -------
    ndarray of shape (n_threads + 1,), int64
        Thread `i` has the blocks from element `i` up to, and without, element `i + 1`.
    """
    if n_threads == 1:
        return np.array([0, layout.n_blocks], dtype=np.int64)
    panel, n_rows = layout.settings[PANEL], layout.settings[BATCH_SIZE]
    height = layout.settings[BLOCK_HEIGHT]
    # Rough numbers of cycles: two multiply-adds each, and then the optimiser's division.
    costs: list[np.ndarray] = []
    for layer in layout.layers:
        rows = np.minimum(height, layer[FAN_IN] - np.arange(0, layer[FAN_IN], height))
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


def pack(
    parameters: np.ndarray, units: Sequence[int], arena: np.ndarray, start: int, layout: Layout
) -> None:
    """Copy a flat parameter vector into panels of the arena.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,)
        The parameters, in the order of :mod:`fastmlp.network.weights`.
    units : sequence of int
        Units of every layer, from the input features to the outputs.
    arena : ndarray of shape (layout.size,)
        Modified in place.
    start : int
        Where the first parameter lies in the arena.
    layout : Layout
    """
    if layout.places is None:
        pack_layers(*views(parameters, units), arena, start, layout)
    else:
        arena[start : start + layout.settings[N_PARAMETERS]][layout.places] = parameters


def pack_layers(
    coefs: Sequence[np.ndarray],
    intercepts: Sequence[np.ndarray],
    arena: np.ndarray,
    start: int,
    layout: Layout,
) -> None:
    """Copy weights and biases into panels of the arena.

    Parameters
    ----------
    coefs : sequence of ndarray of shape (fan_in, fan_out)
    intercepts : sequence of ndarray of shape (fan_out,)
    arena : ndarray of shape (layout.size,)
        Modified in place.
    start : int
        Where the first parameter lies in the arena.
    layout : Layout
    """
    width = int(layout.settings[PANEL])
    for layer, weights, biases in zip(layout.layers.tolist(), coefs, intercepts, strict=True):
        for panel, columns in _panels(arena, start, layer, width):
            panel[:, : columns.stop - columns.start] = weights[:, columns]
        to = start + layer[BIASES]
        arena[to : to + len(biases)] = biases


def unpack(
    parameters: np.ndarray, units: Sequence[int], arena: np.ndarray, start: int, layout: Layout
) -> None:
    """Copy panels of the arena into a flat parameter vector: the inverse of :func:`pack`.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,)
        Modified in place: gets the parameters, in the order of :mod:`fastmlp.network.weights`.
    units : sequence of int
        Units of every layer, from the input features to the outputs.
    arena : ndarray of shape (layout.size,)
    start : int
        Where the first parameter lies in the arena.
    layout : Layout
    """
    if layout.places is not None:
        source = arena[start : start + layout.settings[N_PARAMETERS]]
        source.take(layout.places, out=parameters, mode="clip")  # else it makes a copy first
        return
    coefs, intercepts = views(parameters, units)
    width = int(layout.settings[PANEL])
    for layer, weights, biases in zip(layout.layers.tolist(), coefs, intercepts, strict=True):
        for panel, columns in _panels(arena, start, layer, width):
            weights[:, columns] = panel[:, : columns.stop - columns.start]
        source = start + layer[BIASES]
        biases[:] = arena[source : source + len(biases)]


def _panels(
    arena: np.ndarray, start: int, layer: list[int], panel: int
) -> Iterator[tuple[np.ndarray, slice]]:
    """Iterate over the panels of a layer's weights.

    Parameters
    ----------
    arena : ndarray of shape (n_elements,)
    start : int
        Where the first parameter lies in the arena.
    layer : list of int
        A row of the layer table.
    panel : int
        Number of columns of a full panel.

    Yields
    ------
    matrix : ndarray of shape (fan_in, width)
        A view of the arena.
    columns : slice
        The columns of the weights that the panel holds.
    """
    for column in range(0, layer[OUT_WIDTH], panel):
        width = min(panel, layer[OUT_WIDTH] - column)
        first = start + layer[WEIGHTS] + column * layer[FAN_IN]
        matrix = arena[first : first + layer[FAN_IN] * width].reshape(layer[FAN_IN], width)
        yield matrix, slice(column, min(column + width, layer[FAN_OUT]))


def pack_transposed(
    parameters: np.ndarray, units: Sequence[int], arena: np.ndarray, layout: Layout
) -> None:
    """Fill the transposed copies of the weights of all layers but the first.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,)
        The parameters, in the order of :mod:`fastmlp.network.weights`.
    units : sequence of int
        Units of every layer, from the input features to the outputs.
    arena : ndarray of shape (layout.size,)
        Modified in place.
    layout : Layout
    """
    coefs = views(parameters, units)[0]
    transpose_layers(coefs[1:], layout.layers[1:], arena, int(layout.settings[PANEL]))


def transpose_layers(
    coefs: Sequence[np.ndarray], layers: np.ndarray, arena: np.ndarray, panel: int
) -> None:
    """Fill the transposed copies of the weights of some layers.

    Parameters
    ----------
    coefs : sequence of ndarray of shape (fan_in, fan_out)
    layers : ndarray of shape (n_layers, LAYER_FIELDS), int64
        Their rows of the layer table.
    arena : ndarray of shape (n_elements,)
        Modified in place.
    panel : int
        Number of columns of a full panel.
    """
    transpose(coefs, [transposed_parts(arena, layer, panel) for layer in layers.tolist()])


def transposed_parts(
    arena: np.ndarray, layer: list[int], panel: int
) -> list[tuple[np.ndarray, slice]]:
    """Find where the weights of a layer lie transposed: in full panels, and in one that is not.

    Parameters
    ----------
    arena : ndarray of shape (n_elements,)
    layer : list of int
        A row of the layer table.
    panel : int
        Number of columns of a full panel.

    Returns
    -------
    list of (ndarray of shape (n_panels, n_inputs, fan_out), slice)
        Views of the arena, and the inputs whose weights they hold.
    """
    n_full, n_left = divmod(layer[FAN_IN], panel)
    width, end = layer[IN_WIDTH] - n_full * panel, n_full * panel
    parts = []
    for n_panels, n_columns, n_inputs, first in (n_full, panel, panel, 0), (1, width, n_left, end):
        if n_panels and n_inputs:
            start = layer[TRANSPOSED] + first * layer[OUT_WIDTH]
            shape = n_panels, layer[OUT_WIDTH], n_columns
            view = arena[start : start + n_panels * layer[OUT_WIDTH] * n_columns].reshape(shape)
            view = view[:, : layer[FAN_OUT], :n_inputs].transpose(0, 2, 1)
            parts.append((view, slice(first, first + n_panels * n_inputs)))
    return parts


def transpose(
    coefs: Sequence[np.ndarray], parts_of_layers: Sequence[list[tuple[np.ndarray, slice]]]
) -> None:
    """Copy the weights of some layers to where they lie transposed.

    Parameters
    ----------
    coefs : sequence of ndarray of shape (fan_in, fan_out)
    parts_of_layers : sequence of list
        For each layer what :func:`transposed_parts` returns; the views are modified in place.
    """
    for weights, parts in zip(coefs, parts_of_layers, strict=True):
        for view, inputs in parts:
            view[...] = weights[inputs].reshape(view.shape)
