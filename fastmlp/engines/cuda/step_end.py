"""Phases of a training step that follow the second one, in plans that need them.

Where the norm of the gradient is limited, the second phase stores the gradient beside the
parameters, and a third phase scales it and updates the parameters. Where the norms of units'
weights are limited, one more phase does that. At the end the penalty, and the norm of the gradient,
are summed over tiles. Each of these begins when all blocks have ended the one before.
"""

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import numba

from . import layout as at
from .arguments import rows_of_step
from .blocks import THREADS, block_sum
from .elements import load, store, zeros
from .jit import compile_device, number_like
from .jit import inside_kernels as cuda
from .optimizers import update_functions
from .specialization import specialized
from .weight_update import facts_of_step

TILE = at.TILE
# Number of threads that share a column of a tile.
_SPLITS = THREADS // TILE


class StepEnd(NamedTuple):
    """Device functions that end a step.

    Attributes
    ----------
    clip_phase : device function
        It takes ``(block, network, record, step)``, limits the norm of the gradient and updates the
        parameters.
    limit_phase : device function
        It takes ``(block, network)`` and limits the norm of each unit's incoming weights.
    has_sums : device function
        It takes ``(network)`` and returns whether `add_sums` has anything to do.
    add_sums : device function
        It takes ``(shared, network, record, n_in_order, step)`` and computes the penalty of the
        step, and the norm of its gradient, by one block.
    finish_step : device function
        It takes ``(grid, block, network, record, n_in_order, step)`` and runs all of these in a
        cooperative launch.
    """

    clip_phase: Callable
    limit_phase: Callable
    has_sums: Callable
    add_sums: Callable
    finish_step: Callable


@specialized
def step_end(specialization):
    """Make the :class:`StepEnd` of a :class:`~.specialization.Specialization`."""
    clip_phase, add_sums = _make_clip_phase(specialization), _make_add_sums(specialization)
    has_sums = _make_has_sums(specialization)
    clips_norms, limits_columns = specialization.clips_norms, specialization.limits_columns

    @compile_device
    def finish_step(grid, block, network, record, n_in_order, step):
        grid.sync()
        if clips_norms:
            clip_phase(block, network, record, step)
            grid.sync()
        if limits_columns:
            _limit_phase(block, network)
            grid.sync()
        # The last block has the fewest rows in the next step.
        if block.number == block.count - 1 and has_sums(network):
            add_sums(block.shared, network, record, n_in_order, step)

    return StepEnd(clip_phase, _limit_phase, has_sums, add_sums, finish_step)


@compile_device
def _squared_gradient(sums, arena, settings):
    """Compute the square of the gradient's norm from the sums of its tiles by one block."""
    total = 0.0
    for tile in range(cuda.threadIdx.x, settings[at.N_TILES], THREADS):
        total += arena[settings[at.SQUARES] + tile]
    return block_sum(sums, total)


def _make_clip_phase(specialization):
    """Make the function ``clip_phase`` of :class:`StepEnd`."""
    _, fetch, change = update_functions(specialization.without_custom_loss())

    @compile_device
    def update_clipped(arena, facts, w, factor, decay):
        """Update a parameter by its gradient, times a factor; return its new value."""
        n_parameters = facts.n_parameters
        return change(
            facts.optimizer, arena, w, n_parameters, fetch(arena, w, n_parameters),
            load(arena, w + 3 * n_parameters) * factor, facts.learning_rate, facts.gradient_share,
            decay, facts.constants,
        )  # fmt: skip

    @compile_device
    def clip_phase(block, network, record, step):
        arena, layers, settings = network.arena, network.layers, network.settings
        sums = cuda.shared.array(THREADS, numba.float64)
        facts, limit = facts_of_step(network, record, step), network.constants[at.CLIP_NORM]
        total = _squared_gradient(sums, arena, settings)
        factor = one = number_like(1, limit)
        if total > limit * limit:
            factor = number_like(limit / sqrt(total), limit)
        first, apart = block.number * THREADS + cuda.threadIdx.x, block.count * THREADS
        for number in range(settings[at.N_LAYERS]):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            for i in range(first, fan_in * fan_out, apart):
                w = layers[number, at.WEIGHTS] + i
                value = update_clipped(arena, facts, w, factor, facts.decay)
                if number > 0:
                    to = layers[number, at.TRANSPOSED] + i % fan_out * fan_in + i // fan_out
                    store(arena, to, value)
            for column in range(first, fan_out, apart):
                update_clipped(arena, facts, layers[number, at.BIASES] + column, factor, one)

    return clip_phase


@compile_device
def _limit_columns(shared, network, number, left):
    """Limit the norms of TILE columns of weights, from column `left` on, by one block."""
    arena, layers, most = network.arena, network.layers, network.constants[at.MAX_NORM]
    fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
    in_tile, split = cuda.threadIdx.x % TILE, cuda.threadIdx.x // TILE
    column = left + in_tile
    (total,) = zeros(1, arena)
    if column < fan_out:
        for row in range(split, fan_in, _SPLITS):
            value = load(arena, layers[number, at.WEIGHTS] + row * fan_out + column)
            total += value * value
    shared[cuda.threadIdx.x] = total
    cuda.syncthreads()
    total = shared[in_tile]
    for other in range(1, _SPLITS):
        total += shared[other * TILE + in_tile]
    # A norm that is not a number leaves its column as it is.
    if column < fan_out and total > most * most:
        factor = most / sqrt(total)
        for row in range(split, fan_in, _SPLITS):
            w = layers[number, at.WEIGHTS] + row * fan_out + column
            value = load(arena, w) * factor
            store(arena, w, value)
            if number > 0:
                store(arena, layers[number, at.TRANSPOSED] + column * fan_in + row, value)
    cuda.syncthreads()


@compile_device
def _limit_phase(block, network):
    """Limit the norm of each unit's incoming weights; blocks take turns over TILE columns each."""
    counted = 0
    for number in range(network.settings[at.N_LAYERS]):
        for left in range(0, network.layers[number, at.FAN_OUT], TILE):
            if counted % block.count == block.number:
                _limit_columns(block.shared, network, number, left)
            counted += 1


@compile_device
def _sum_over_tiles(shared, arena, first, n_tiles):
    """Add up the sums that the tiles have written from place `first` on, by one block."""
    (total,) = zeros(1, arena)
    for tile in range(cuda.threadIdx.x, n_tiles, THREADS):
        total += arena[first + tile]
    return block_sum(shared, total)


def _make_add_sums(specialization):
    """Make the function ``add_sums`` of :class:`StepEnd`."""
    has_l1, measures = specialization.penalises_absolutes, specialization.needs_gradient_norm

    @compile_device
    def add_sums(shared, network, record, n_in_order, step):
        arena, settings, constants = network.arena, network.settings, network.constants
        squares = cuda.shared.array(THREADS, numba.float64)
        n_rows, n_tiles = rows_of_step(settings, n_in_order, step), settings[at.N_TILES]
        (norm,) = zeros(1, arena)
        if constants[at.ALPHA] > 0:
            norm = _sum_over_tiles(shared, arena, settings[at.NORMS], n_tiles)
        penalty = norm * constants[at.ALPHA] * number_like(0.5, norm)
        if has_l1 and settings[at.ABSOLUTES] >= 0:
            absolute = _sum_over_tiles(shared, arena, settings[at.ABSOLUTES], n_tiles)
            penalty += absolute * constants[at.L1]
        if cuda.threadIdx.x == 0:
            penalty *= record.step_scalars[step, at.INVERSE_WEIGHT]
            record.penalties[step] = penalty * number_like(n_rows, penalty)
        if measures and settings[at.SQUARES] >= 0:
            square = _squared_gradient(squares, arena, settings)
            if cuda.threadIdx.x == 0:
                record.gradient_norms[step] = sqrt(square)

    return add_sums


def _make_has_sums(specialization):
    """Make the function ``has_sums`` of :class:`StepEnd`."""
    has_l1, measures = specialization.penalises_absolutes, specialization.needs_gradient_norm

    @compile_device
    def has_sums(network):
        settings = network.settings
        if has_l1 and settings[at.ABSOLUTES] >= 0:
            return True
        if measures and settings[at.SQUARES] >= 0:
            return True
        return network.constants[at.ALPHA] > 0

    return has_sums
