"""The layout of the arena, which is the one array on the device that holds a network.

The arena begins with the parameters in the order of :mod:`fastmlp.network.weights`, each matrix
row-major. The optimiser's two vectors follow in the same order. Transposed copies of the weights of
all layers but the first serve the backward pass. At the end lie the parameters of the loss, the
factors of dropout and the sums of each weight tile. After them some elements stay unused, because
products read beyond the end of a matrix.

Activations and deltas lie in groups of four rows of the batch, and within a group column by column,
so that a thread reads and writes the four rows of a column at once. Where the last group has fewer
rows than four, the others are zero.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np

from ...network.plan import Activation, TrainingPlan, keeps_derivatives
from ...network.weights import n_parameters
from .support import is_simulated

# Columns of the layer table.
FAN_IN, FAN_OUT, WEIGHTS, BIASES, TRANSPOSED = 0, 1, 2, 3, 4
INPUT, OUTPUT, DELTA = 5, 6, 7
# Place of the stored derivatives (see network.plan.keeps_derivatives); -1 where there are none.
KEPT = 8
# Number of the layer's first weight tile, and number of tiles side by side.
FIRST_TILE, TILE_COLUMNS = 9, 10
ACTIVATION = 11
# Dropout: a unit is switched off where its random bits are less than DROP_BELOW, which is -1
# without dropout. FIRST_UNIT is the number of the layer's first unit among all hidden units, and
# DROP_SCALE the place of the factor for units that stay.
DROP_BELOW, FIRST_UNIT, DROP_SCALE = 12, 13, 14
LAYER_FIELDS = 15
# The columns that hold places in the arena.
LAYER_PLACES = [WEIGHTS, BIASES, TRANSPOSED, INPUT, OUTPUT, DELTA, KEPT, DROP_SCALE]

# Elements of the settings vector.
N_LAYERS, LOSS, OPTIMIZER, BATCH_SIZE = 0, 1, 2, 3
N_PARAMETERS, N_TILES, IS_WEIGHTED = 4, 5, 6
# Where the network's data begin in the arrays of Rows.
FIRST_X, FIRST_Y, FIRST_WEIGHT = 7, 8, 9
SEED = 10  # seed of dropout's masks
CLIPS_NORM, LIMITS_COLUMNS = 11, 12  # whether a step has these phases
LOSS_PARAMETERS = 13  # place of the loss's parameters, one for each output
# Places of sums over each weight tile: of the squares of its weights, of their absolute values, and
# of the squares of its gradient. A place is -1 where these sums are not needed.
NORMS, ABSOLUTES, SQUARES = 14, 15, 16
# Where a block has at least this many groups of rows, each warp takes a group by itself.
GROUPS_FOR_WARPS = 17
N_SETTINGS = 18
# The elements that hold places in the arena.
SETTINGS_PLACES = [LOSS_PARAMETERS, NORMS, ABSOLUTES, SQUARES]

# Elements of the vector of constants.
ALPHA, MOMENTUM, BETA_1, ONE_MINUS_BETA_1, BETA_2, ONE_MINUS_BETA_2 = 0, 1, 2, 3, 4, 5
EPSILON, MACHINE_EPSILON = 6, 7
L1, CLIP_VALUE, CLIP_NORM, MAX_NORM = 8, 9, 10, 11
N_CONSTANTS = 12

# Columns of the table of numbers that change from step to step: the learning rate with the bias
# correction, one over the batch's weight, NAdam's share of the gradient, and the factor by which
# weights decay before the step.
LEARNING_RATE, INVERSE_WEIGHT, GRADIENT_SHARE, DECAY = 0, 1, 2, 3
N_STEP_SCALARS = 4

# Columns of the table of runs. In a run, one block trains one network. The columns are the number
# of the network, its part of the order and of the record of steps, the first step to run and the
# one after the last, and the number of steps done before this epoch.
MODEL, FIRST_ROW, N_ROWS, FIRST_OF_STEPS, N_STEPS, BEGIN, END, STEPS_DONE = 0, 1, 2, 3, 4, 5, 6, 7
RUN_FIELDS = 8

# Number of rows of a group.
GROUP = 4
# Number of rows, and of columns, of a weight tile. One block of threads computes the gradient of a
# tile and updates it.
TILE = 16 if is_simulated() else 32
# Largest number of elements that products read beyond the end of a matrix.
BEYOND = 4 * TILE


def _whole_groups(n: int) -> int:
    """Round up to a multiple of the size of a group."""
    return -(-n // GROUP) * GROUP


def _groups_for_warps(units: tuple[int, ...]) -> int:
    """Estimate how many groups of rows a block needs for warps to be faster by themselves.

    Every product takes some time to wait, however small it is. It also takes time to read the rows
    of weights; a block whose warps work together divides that time among them, and a warp by itself
    does not.
    """
    waiting = 1000 * (2 * len(units) - 3)  # in cycles of the clock
    reading = 50 * (sum(units[:-1]) + sum(units[2:]))
    for n_groups in range(2, 8):
        if n_groups * (waiting + reading / 8) > waiting + reading:
            return n_groups
    return 8


@dataclass(frozen=True)
class Layout:
    """The tables that say where the parts of a network lie in an arena.

    Parameters
    ----------
    layers : ndarray of shape (n_layers, LAYER_FIELDS), int64
    settings : ndarray of shape (N_SETTINGS,), int64
    size : int
        Number of elements of the arena.
    initial_values : tuple of float
        Values of the arena's elements from the place LOSS_PARAMETERS on; all others begin as zero.
    """

    layers: np.ndarray
    settings: np.ndarray
    size: int
    initial_values: tuple[float, ...] = ()

    def move(self, distance: int) -> None:
        """Move the network by some elements, for an arena that holds several networks."""
        for table, places in (self.layers.T, LAYER_PLACES), (self.settings, SETTINGS_PLACES):
            table[places] += np.where(table[places] >= 0, distance, 0)

    def fill(self, arena: np.ndarray) -> None:
        """Write the initial values to an arena."""
        first = self.settings[LOSS_PARAMETERS]
        arena[first : first + len(self.initial_values)] = self.initial_values


def device_layout(plan: TrainingPlan, n_rows: int, is_trained: bool = True) -> Layout:
    """Lay out the arena of a plan for batches of a given size.

    Kernels read four elements at once, so the arena must begin at a multiple of four elements.

    Parameters
    ----------
    plan : TrainingPlan
    n_rows : int
        Number of rows of a batch.
    is_trained : bool
        Whether the network is trained. Otherwise the arena has parameters and activations only.

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
    # The parameters, the optimiser's two vectors and, where its norm is limited, the gradient.
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
    initial_values: list[float] = []
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


def gradient_layout(plan: TrainingPlan, n_rows: int) -> Layout:
    """Lay out the arena of a plan for gradients of its outputs with respect to its inputs.

    Parameters
    ----------
    plan : TrainingPlan
    n_rows : int
        Number of rows that are in the arena at the same time.

    Returns
    -------
    Layout
        The layer table begins with a row for the inputs, as if a layer without a predecessor had
        them as its outputs: so the backward pass goes on to them as to a hidden layer, whose
        deltas are the gradients. They take the place of the inputs. The deltas of the output layer
        have a place of their own, since an output is read for several of them.
    """
    base, units = device_layout(plan, n_rows, is_trained=False), plan.layer_units
    layers, settings = np.zeros((len(units), LAYER_FIELDS), dtype=np.int64), base.settings.copy()
    layers[1:] = base.layers
    layers[0, [KEPT, DROP_BELOW]] = -1
    layers[0, [FAN_OUT, ACTIVATION]] = units[0], Activation.IDENTITY
    layers[0, [OUTPUT, DELTA]] = base.layers[0, INPUT]
    settings[N_LAYERS] = len(layers)
    end, n_rows = base.size - BEYOND, _whole_groups(n_rows)
    for number, layer in enumerate(layers[1:]):
        layer[TRANSPOSED] = end
        layer[DELTA] = end = end + _whole_groups(layer[FAN_IN] * layer[FAN_OUT])
        end += n_rows * layer[FAN_OUT]
        is_last = number == len(plan.activations)
        if not is_last and keeps_derivatives(plan.activations[number], 0.0):
            layer[KEPT] = end
            end += n_rows * layer[FAN_OUT]
    return Layout(layers, settings, int(end) + BEYOND)


def constants(plan: TrainingPlan) -> np.ndarray:
    """Make the vector of constants of a plan.

    Returns
    -------
    ndarray of shape (N_CONSTANTS,), of the plan's dtype
    """
    values = np.zeros(N_CONSTANTS)
    values[[ALPHA, MOMENTUM, L1]] = plan.alpha, plan.momentum, plan.l1
    values[[BETA_1, ONE_MINUS_BETA_1]] = plan.beta_1, 1 - plan.beta_1
    values[[BETA_2, ONE_MINUS_BETA_2]] = plan.beta_2, 1 - plan.beta_2
    values[[EPSILON, MACHINE_EPSILON]] = plan.epsilon, np.finfo(plan.dtype).eps
    values[[CLIP_VALUE, CLIP_NORM, MAX_NORM]] = plan.clip_value, plan.clip_norm, plan.max_norm
    return values.astype(plan.dtype)
