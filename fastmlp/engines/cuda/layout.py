"""Where everything lies in the arena on the device.

Parameters lie in the order of :mod:`fastmlp.network.weights`, each matrix row-major, and so do
the optimiser's two vectors behind them. A transposed copy of the weights of all layers but
the first serves the backward pass. At the end lie the numbers of the loss and of dropout, one
for each weight tile, and room for what products read beyond a matrix, and do not use.

Activations and deltas lie in groups of four rows of the batch, and in a group column by column,
so that a thread reads and writes the four rows of a column at once. The rows that the last group
has too many are zero.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np

from ...network.plan import Activation, keeps_derivatives
from ...network.weights import n_parameters
from .support import is_simulated

# Columns of the layer table.
FAN_IN, FAN_OUT, WEIGHTS, BIASES, TRANSPOSED = 0, 1, 2, 3, 4
INPUT, OUTPUT, DELTA = 5, 6, 7
KEPT = 8  # derivatives of the activations, where the backward pass cannot tell them; else -1
FIRST_TILE, TILE_COLUMNS = 9, 10  # number of the layer's first weight tile; tiles side by side
ACTIVATION = 11
# Dropout: random bits that switch off (-1: none), number of the first unit, and the place of the
# factor for units that stay.
DROP_BELOW, FIRST_UNIT, DROP_SCALE = 12, 13, 14
LAYER_FIELDS = 15
# The columns that are places in the arena.
LAYER_PLACES = [WEIGHTS, BIASES, TRANSPOSED, INPUT, OUTPUT, DELTA, KEPT, DROP_SCALE]

# Elements of the settings vector.
N_LAYERS, LOSS, OPTIMIZER, BATCH_SIZE = 0, 1, 2, 3
N_PARAMETERS, N_TILES, IS_WEIGHTED = 4, 5, 6
FIRST_X, FIRST_Y, FIRST_WEIGHT = 7, 8, 9  # where the network's data begin in their arrays
SEED = 10  # of dropout
CLIPS_NORM, LIMITS_COLUMNS = 11, 12  # whether a step has these phases
LOSS_PARAMETERS = 13  # one number for each output
# Where each weight tile leaves a number: the sum of squares of its weights, that of their absolute
# values if there is an L1 penalty, and that of squares of its gradient if the norm is wanted; else
# -1.
NORMS, ABSOLUTES, SQUARES = 14, 15, 16
GROUPS_FOR_WARPS = 17  # of rows: from so many groups of a block on, each is one warp's
N_SETTINGS = 18
SETTINGS_PLACES = [LOSS_PARAMETERS, NORMS, ABSOLUTES, SQUARES]

# Elements of the vector of constants.
ALPHA, MOMENTUM, BETA_1, ONE_MINUS_BETA_1, BETA_2, ONE_MINUS_BETA_2 = 0, 1, 2, 3, 4, 5
EPSILON, MACHINE_EPSILON = 6, 7
L1, CLIP_VALUE, CLIP_NORM, MAX_NORM = 8, 9, 10, 11
N_CONSTANTS = 12

# Columns of the table of what changes from step to step: the learning rate with corrections of a
# bias, one over the batch's weight, NAdam's share of the gradient, and what weights are multiplied
# with before the step.
LEARNING_RATE, INVERSE_WEIGHT, GRADIENT_SHARE, DECAY = 0, 1, 2, 3
N_STEP_SCALARS = 4

# Columns of the table of runs, of a block with a network to itself: the network's number, its part
# of the order and of the record of steps, the steps to run, and the steps done before.
MODEL, FIRST_ROW, N_ROWS, FIRST_OF_STEPS, N_STEPS, BEGIN, END, STEPS_DONE = 0, 1, 2, 3, 4, 5, 6, 7
RUN_FIELDS = 8

# Rows of a group.
GROUP = 4
# Rows and columns of a weight tile: a block of threads computes its gradient and updates it.
TILE = 16 if is_simulated() else 32
# Elements that products read beyond the end of a matrix at most.
BEYOND = 4 * TILE


def _whole_groups(n):
    """Round up to a multiple of the size of a group."""
    return -(-n // GROUP) * GROUP


def _groups_for_warps(units):
    """Estimate from how many groups of a block on it is faster to give each to one warp.

    For each product a team waits, however small it is; and a row of weights takes a warp a time
    that is shared by the warps of a block where they work together.
    """
    waiting = 1000 * (2 * len(units) - 3)  # cycles
    reading = 50 * (sum(units[:-1]) + sum(units[2:]))
    for n_groups in range(2, 8):
        if n_groups * (waiting + reading / 8) > waiting + reading:
            return n_groups
    return 8


@dataclass(frozen=True)
class Layout:
    """Offsets of one network, in elements of the arena."""

    layers: np.ndarray
    settings: np.ndarray
    size: int
    initial_values: tuple[float, ...] = ()  # of the arena, from the place of LOSS_PARAMETERS on

    def move(self, distance):
        """Begin at another element of the arena."""
        for table, places in (self.layers.T, LAYER_PLACES), (self.settings, SETTINGS_PLACES):
            table[places] += np.where(table[places] >= 0, distance, 0)

    def fill(self, arena):
        """Write the initial values to an arena."""
        first = self.settings[LOSS_PARAMETERS]
        arena[first : first + len(self.initial_values)] = self.initial_values


def device_layout(plan, n_rows, is_trained=True):
    """Lay out the arena of a plan for batches of `n_rows` rows; it begins at a multiple of four.

    Parameters
    ----------
    plan : TrainingPlan
    n_rows : int
    is_trained : bool
        Without training there are parameters and activations only.

    Returns
    -------
    Layout
    """
    units = plan.layer_units
    n_layers, n_theta = len(units) - 1, n_parameters(units)
    layers = np.zeros((n_layers, LAYER_FIELDS), dtype=np.int64)
    layers[:, [KEPT, DROP_BELOW]] = -1
    layers[:, ACTIVATION] = *plan.activations, Activation.IDENTITY
    settings = np.zeros(N_SETTINGS, dtype=np.int64)
    settings[[N_LAYERS, LOSS, OPTIMIZER]] = n_layers, plan.loss, plan.optimizer
    settings[[BATCH_SIZE, N_PARAMETERS, SEED]] = n_rows, n_theta, plan.seed
    settings[GROUPS_FOR_WARPS] = _groups_for_warps(units)
    settings[[CLIPS_NORM, LIMITS_COLUMNS]] = plan.clip_norm < inf, plan.max_norm < inf
    weights, biases = 0, sum(a * b for a, b in pairwise(units))
    # Parameters, two vectors of state and, to be limited, the gradient.
    end, n_tiles = (3 + (plan.clip_norm < inf)) * n_theta if is_trained else n_theta, 0
    end, n_rows = _whole_groups(end), _whole_groups(n_rows)
    for number, (layer, (fan_in, fan_out)) in enumerate(zip(layers, pairwise(units), strict=True)):
        is_last = number == n_layers - 1
        layer[[FAN_IN, FAN_OUT, WEIGHTS, BIASES]] = fan_in, fan_out, weights, biases
        weights += fan_in * fan_out
        biases += fan_out
        layer[FIRST_TILE], layer[TILE_COLUMNS] = n_tiles, -(-fan_out // TILE)
        n_tiles += -(-fan_in // TILE) * layer[TILE_COLUMNS]
        if number == 0:
            layer[INPUT] = end
            end += n_rows * fan_in
        else:
            if is_trained:
                layer[TRANSPOSED] = end
                end += _whole_groups(fan_in * fan_out)
            layer[INPUT] = layers[number - 1, OUTPUT]
        layer[OUTPUT] = end
        end += n_rows * fan_out
        # The output layer's delta takes the place of its activation.
        layer[DELTA] = layer[OUTPUT] if is_last else end
        if is_trained and not is_last:
            end += n_rows * fan_out
            if keeps_derivatives(plan.activations[number], plan.dropouts[number]):
                layer[KEPT] = end
                end += n_rows * fan_out
    settings[[LOSS_PARAMETERS, N_TILES]] = end, n_tiles
    settings[[NORMS, ABSOLUTES, SQUARES]] = -1
    initial_values = []
    if is_trained:
        initial_values += plan.loss_parameters
        for number, dropout in enumerate(plan.dropouts):
            layers[number, FIRST_UNIT] = sum(units[1 : number + 1])
            if dropout > 0:
                layers[number, DROP_BELOW] = int(dropout * 2**32)
                layers[number, DROP_SCALE] = end + len(initial_values)
                initial_values.append(1 / (1 - dropout))
        end += len(initial_values)
        for place, is_wanted in {
            NORMS: True, ABSOLUTES: plan.l1 > 0, SQUARES: plan.needs_gradient_norm,
        }.items():  # fmt: skip
            if is_wanted:
                settings[place] = end
                end += n_tiles
    end += BEYOND
    return Layout(layers, settings, int(end), tuple(initial_values))


def constants(plan):
    """Make the vector of constants of a plan, in its dtype."""
    values = np.zeros(N_CONSTANTS)
    values[[ALPHA, MOMENTUM, L1]] = plan.alpha, plan.momentum, plan.l1
    values[[BETA_1, ONE_MINUS_BETA_1]] = plan.beta_1, 1 - plan.beta_1
    values[[BETA_2, ONE_MINUS_BETA_2]] = plan.beta_2, 1 - plan.beta_2
    values[[EPSILON, MACHINE_EPSILON]] = plan.epsilon, np.finfo(plan.dtype).eps
    values[[CLIP_VALUE, CLIP_NORM, MAX_NORM]] = plan.clip_value, plan.clip_norm, plan.max_norm
    return values.astype(plan.dtype)
