"""Device functions that turn the summed gradient of a tile of weights into the new weights.

They are the end of the second phase of a step, both for the tiles of
:mod:`fastmlp.engines.cuda.weight_pass` and for the larger ones of wide networks
(:mod:`fastmlp.engines.cuda.wide`). For each tile they also write the sums of its weights before the
step, for penalties, and of its gradient.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from . import layout as at
from .blocks import block_sum
from .elements import add_product, four_times, store
from .jit import compile_device, number_like
from .jit import inside_kernels as cuda
from .optimizers import update_functions
from .specialization import specialized


class StepFacts(NamedTuple):
    """The numbers that all updates of a step have in common, which threads keep in registers.

    Attributes
    ----------
    constants : tuple
        The first elements of the vector of constants, in its order.
    optimizer : int
        Code of the optimiser.
    n_parameters : int
    leaves_gradient : int
        Whether gradients are stored for the phase that limits their norm.
    learning_rate, inverse_weight, gradient_share, decay : float
        The numbers of the step; :mod:`fastmlp.engines.cuda.layout` describes them.
    """

    constants: tuple
    optimizer: int
    n_parameters: int
    leaves_gradient: int
    learning_rate: float
    inverse_weight: float
    gradient_share: float
    decay: float


@compile_device
def facts_of_step(network, record, step):
    """Read the :class:`StepFacts` of a step."""
    constants, settings, scalars = network.constants, network.settings, record.step_scalars
    return StepFacts(
        (
            constants[at.ALPHA], constants[at.MOMENTUM], constants[at.BETA_1],
            constants[at.ONE_MINUS_BETA_1], constants[at.BETA_2], constants[at.ONE_MINUS_BETA_2],
            constants[at.EPSILON], constants[at.MACHINE_EPSILON], constants[at.L1],
            constants[at.CLIP_VALUE],
        ),
        settings[at.OPTIMIZER], settings[at.N_PARAMETERS], settings[at.CLIPS_NORM],
        scalars[step, at.LEARNING_RATE], scalars[step, at.INVERSE_WEIGHT],
        scalars[step, at.GRADIENT_SHARE], scalars[step, at.DECAY],
    )  # fmt: skip


class Tile(NamedTuple):
    """A tile of a layer's weights, and the elements of it that the calling thread updates.

    Attributes
    ----------
    layer : int
    number : int
        Number of the tile among those of all layers.
    top, left : int
        First row and column of the tile in the matrix.
    row, column : int
        First row, and the column, of the thread's elements within the tile.
    fan_in, fan_out : int
        Rows and columns of the matrix.
    """

    layer: int
    number: int
    top: int
    left: int
    row: int
    column: int
    fan_in: int
    fan_out: int


@compile_device
def is_column(tile):
    """Tell whether the matrix has the thread's column of a tile."""
    return tile.left + tile.column < tile.fan_out


@compile_device
def has_bias(tile):
    """Tell whether a thread updates the bias of its column."""
    return tile.top == 0 and tile.row == 0 and is_column(tile)


@compile_device
def nearest_column(tile):
    """Find a thread's column of the matrix; beyond the last column, find that one."""
    return min(tile.left + tile.column, tile.fan_out - 1)


class TileShape(NamedTuple):
    """The places of a tile's sums in shared memory, and the elements that a thread updates.

    Attributes
    ----------
    stride : int
        Distance of the rows of a tile in shared memory.
    rows_apart : int
        Distance of the rows of a thread's elements, which lie in one column.
    n_elements : int
        Number of elements of a thread.
    total : device function
        It takes ``(shared, place)`` and returns the sum of the tile's element at a place.
    """

    stride: int
    rows_apart: int
    n_elements: int
    total: Callable


class TileFunctions(NamedTuple):
    """Device functions that update the weights of tiles of some shape.

    Attributes
    ----------
    fetch_four : device function
        It takes ``(arena, tile, row, weights, n_parameters)``, where `weights` is the place of the
        matrix, and reads four weights of the thread's column, from row `row` of the tile on, and
        the optimiser's numbers of each. It returns a tuple of :class:`Fetched`.
    update_four : device function
        It takes ``(arena, shared, facts, tile, row, fetched, sums)``, updates these weights, and
        returns the three sums of the tile with theirs added: squares of weights, their absolute
        values, and squares of the gradient.
    fetch_bias : device function
        It takes ``(arena, tile, biases, n_parameters)`` and reads the bias of the thread's
        column as :class:`Fetched`.
    update_bias : device function
        It takes ``(arena, facts, fetched, total, sums)``, updates the bias, and returns the sums.
        Only threads for which :func:`has_bias` is true call it.
    finish_tile : device function
        It takes ``(shared, network, tile, sums)`` and writes the transposed weights and the sums of
        the tile.
    """

    fetch_four: Callable
    update_four: Callable
    fetch_bias: Callable
    update_bias: Callable
    finish_tile: Callable


class Fetched(NamedTuple):
    """A parameter that was read before its update.

    Attributes
    ----------
    place : int
        Place of the parameter in the arena.
    numbers : tuple of three float
        The parameter and the optimiser's two numbers.
    """

    place: int
    numbers: Any


@specialized
def tile_functions(specialization, shape):
    """Make the :class:`TileFunctions` for tiles of a :class:`TileShape`."""
    _, fetch, _ = update_functions(specialization.without_custom_loss())
    update_bias = _make_update_bias(specialization)
    ROWS_APART = shape.rows_apart

    @compile_device
    def fetch_row(number, arena, tile, row, weights, n_parameters):
        inside = min(tile.top + row + number * ROWS_APART, tile.fan_in - 1)
        w = weights + nearest_column(tile) + inside * tile.fan_out
        return Fetched(w, fetch(arena, w, n_parameters))

    @compile_device
    def fetch_bias(arena, tile, biases, n_parameters):
        place = biases + nearest_column(tile)
        return Fetched(place, fetch(arena, place, n_parameters))

    return TileFunctions(
        four_times(fetch_row), _make_update_four(specialization, shape), fetch_bias, update_bias,
        _make_finish_tile(specialization, shape),
    )  # fmt: skip


@specialized
def _make_update(specialization):
    """Make a device function that updates a parameter."""
    shape_gradient, _, change = update_functions(specialization.without_custom_loss())
    clips_norms = specialization.clips_norms

    @compile_device
    def update(arena, facts, fetched, total, alpha, l1, decay):
        """Update a parameter from a sum over the batch; return its gradient and its new value.

        Where the norm of the gradient is limited, store the gradient for the next phase instead.
        """
        w, value = fetched.place, fetched.numbers[0]
        g = shape_gradient(total, value, alpha, l1, facts.inverse_weight, facts.constants)
        if clips_norms and facts.leaves_gradient:
            store(arena, w + 3 * facts.n_parameters, g)
        else:
            value = change(
                facts.optimizer, arena, w, facts.n_parameters, fetched.numbers, g,
                facts.learning_rate, facts.gradient_share, decay, facts.constants,
            )  # fmt: skip
        return g, value

    return update


def _make_update_four(specialization, shape):
    """Make the function ``update_four`` of :class:`TileFunctions`."""
    update = _make_update(specialization)
    has_l1, measures = specialization.penalises_absolutes, specialization.needs_gradient_norm
    ROWS_APART, STRIDE, total = shape.rows_apart, shape.stride, shape.total

    @compile_device
    def update_element(number, sums, arena, shared, facts, tile, row, fetched):
        """Update a weight, and write its new value to shared memory for the other threads."""
        if not is_column(tile) or tile.top + row + number * ROWS_APART >= tile.fan_in:
            return sums
        place = row * STRIDE + tile.column + number * ROWS_APART * STRIDE
        norm, absolute, square = sums
        value = fetched.numbers[0]
        norm = add_product(norm, value, value)
        if has_l1:
            absolute += abs(value)
        g, value = update(
            arena, facts, fetched, total(shared, place), facts.constants[at.ALPHA],
            facts.constants[at.L1], facts.decay,
        )  # fmt: skip
        if measures:
            square = add_product(square, g, g)
        store(shared, place, value)
        return norm, absolute, square

    @compile_device
    def update_four(arena, shared, facts, tile, row, fetched, sums):
        sums = update_element(0, sums, arena, shared, facts, tile, row, fetched[0])
        sums = update_element(1, sums, arena, shared, facts, tile, row, fetched[1])
        sums = update_element(2, sums, arena, shared, facts, tile, row, fetched[2])
        return update_element(3, sums, arena, shared, facts, tile, row, fetched[3])

    return update_four


@specialized
def _make_update_bias(specialization):
    """Make the function ``update_bias`` of :class:`TileFunctions`."""
    update, measures = _make_update(specialization), specialization.needs_gradient_norm

    @compile_device
    def update_bias(arena, facts, fetched, total, sums):
        norm, absolute, square = sums
        zero, one = number_like(0, total), number_like(1, total)
        g, _ = update(arena, facts, fetched, total, zero, zero, one)
        if measures:
            square = add_product(square, g, g)
        return norm, absolute, square

    return update_bias


def _make_finish_tile(specialization, shape):
    """Make the function ``finish_tile`` of :class:`TileFunctions`."""
    leave_sums, clips_norms = _make_leave_sums(specialization), specialization.clips_norms
    ROWS_APART, STRIDE, N_ELEMENTS = shape.rows_apart, shape.stride, shape.n_elements

    @compile_device
    def finish_tile(shared, network, tile, sums):
        cuda.syncthreads()
        if tile.layer > 0 and not (clips_norms and network.settings[at.CLIPS_NORM]):
            # Threads exchange rows and columns, so that neighbours write neighbouring elements.
            for i in range(N_ELEMENTS):
                across = tile.row + i * ROWS_APART
                if tile.top + tile.column < tile.fan_in and tile.left + across < tile.fan_out:
                    to = network.layers[tile.layer, at.TRANSPOSED]
                    to += (tile.left + across) * tile.fan_in + tile.top + tile.column
                    store(network.arena, to, shared[tile.column * STRIDE + across])
            cuda.syncthreads()
        leave_sums(shared, network, tile.number, sums)

    return finish_tile


@specialized
def _make_leave_sums(specialization):
    """Make a device function that writes the sums of a tile to the arena."""
    has_l1, measures = specialization.penalises_absolutes, specialization.needs_gradient_norm

    @compile_device
    def leave_sum(shared, arena, place, value):
        value = block_sum(shared, value)
        if cuda.threadIdx.x == 0:
            arena[place] = value

    @compile_device
    def leave_sums(shared, network, tile, sums):
        settings = network.settings
        norm, absolute, square = sums
        if network.constants[at.ALPHA] > 0:
            leave_sum(shared, network.arena, settings[at.NORMS] + tile, norm)
        if has_l1 and settings[at.ABSOLUTES] >= 0:
            leave_sum(shared, network.arena, settings[at.ABSOLUTES] + tile, absolute)
        if measures and settings[at.SQUARES] >= 0:
            leave_sum(shared, network.arena, settings[at.SQUARES] + tile, square)

    return leave_sums
