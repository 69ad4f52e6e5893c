"""Kernels that limit norms: of the whole gradient, and of the weights that lead to a unit."""

from math import sqrt

from . import layout as at
from .indirect_call import call
from .jit import compile_kernel
from .jobs import N_SUMS
from .optimizers import limit_columns, scale
from .slots import DECAY_WEIGHTS, UPDATE
from .views import arrays_of
from .weight_pass import block_of, blocks_within, transpose_block


@compile_kernel
def gradient_squares(settings, sums):
    """Sum the squared norms of the gradients of all patches to that of the whole gradient.

    Parameters
    ----------
    settings : vector of int64
    sums : vector of float64
        The sums over patches; see jobs.py.

    Returns
    -------
    float
    """
    n_patches = settings[at.N_PATCHES]
    start = N_SUMS + settings[at.BATCH_SIZE] + 2 * n_patches
    total = 0.0
    for patch in range(n_patches):
        total += sums[start + patch]
    return total


@compile_kernel
def use_scaled_gradient(network, scratch, parameter, size, is_weight):
    """Update parameters by their kept gradient, after it is scaled to the limit of its norm.

    Parameters
    ----------
    network : Network
    scratch : int
        Where this thread's scratch, with the factor, starts in the arena.
    parameter, size : int
        The number of the first parameter, and the number of parameters.
    is_weight : bool
        Whether the parameters are weights; biases are not decayed.
    """
    arena, _, settings, calls = arrays_of(network)
    start, kept = settings[at.PARAMETERS] + parameter, settings[at.GRADIENTS] + parameter
    if arena[scratch + at.GRADIENT_SCALE] != 1:
        scale(arena, scratch + at.GRADIENT_SCALE, kept, size)
    if is_weight and calls[DECAY_WEIGHTS] != 0:
        call(calls, DECAY_WEIGHTS, arena, scratch + at.DECAY, start, size)
    call(calls, UPDATE, arena, settings, scratch, kept, start, size, at.NO_PENALTY, at.UNIT)


@compile_kernel
def finish_update(network, sums, scratch, first, last):
    """Limit the norm of the whole gradient, and update some blocks of weights.

    Parameters
    ----------
    network : Network
    sums : vector of float64
        The sums over patches; see jobs.py.
    scratch : int
        Where this thread's scratch starts in the arena.
    first, last : int
        The blocks, counted over all layers: from `first` on, up to the one before `last`.
    """
    arena, layers, settings, _ = arrays_of(network)
    panel, parameters = settings[at.PANEL], settings[at.PARAMETERS]
    total = gradient_squares(settings, sums)
    limit = arena[scratch + at.CLIP_NORM]
    factor = limit / sqrt(total) if total > limit * limit else 1.0
    arena[scratch + at.GRADIENT_SCALE] = factor
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        first_here, last_here = blocks_within(layer, first, last)
        for block in range(first_here, last_here):
            top, rows, column, width, weights = block_of(layer, settings, block)
            if top == 0:
                use_scaled_gradient(network, scratch, layer[at.BIASES] + column, width, False)
            use_scaled_gradient(network, scratch, weights, rows * width, True)
            if number > 0:
                transpose_block(arena, layer, panel, parameters + weights, top, rows, column, width)


@compile_kernel
def limit_norms(network, scratch, first, last):
    """Limit the norm of the incoming weights of each unit of some panels.

    Parameters
    ----------
    network : Network
    scratch : int
        Where this thread's scratch starts in the arena.
    first, last : int
        The panels, counted over all layers: from `first` on, up to the one before `last`.
    """
    arena, layers, settings, _ = arrays_of(network)
    panel, parameters = settings[at.PANEL], settings[at.PARAMETERS]
    counted = 0
    for number in range(settings[at.N_LAYERS]):
        layer = layers[number]
        fan_in, out_width = layer[at.FAN_IN], layer[at.OUT_WIDTH]
        for column in range(0, out_width, panel):
            if first <= counted < last:
                width = min(panel, out_width - column)
                start = parameters + layer[at.WEIGHTS] + column * fan_in
                limit_columns(
                    arena, scratch + at.MAX_NORM, start, fan_in, width, scratch + at.N_SCALARS
                )
                if number > 0:
                    for top in range(0, fan_in, panel):
                        rows = min(panel, fan_in - top)
                        transpose_block(
                            arena, layer, panel, start + top * width, top, rows, column, width
                        )
            counted += 1
