"""Where everything lies in the arena on the device.

Parameters lie in the order of :mod:`fastmlp.parameters`, each matrix row-major, and so do
the optimiser's two vectors behind them. A transposed copy of the weights of all layers but
the first serves the backward pass. Activations and deltas are row-major, one row for each
row of the batch. At the end lies a number for each weight tile.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..parameters import n_parameters
from ..plan import Activation
from .support import is_simulated

# Columns of the layer table.
FAN_IN, FAN_OUT, WEIGHTS, BIASES, TRANSPOSED = 0, 1, 2, 3, 4
INPUT, OUTPUT, DELTA = 5, 6, 7
FIRST_TILE, TILE_COLUMNS = 8, 9  # number of the layer's first weight tile; tiles side by side
ACTIVATION = 10
LAYER_FIELDS = 11

# Elements of the settings vector.
N_LAYERS, LOSS, OPTIMIZER, BATCH_SIZE = 0, 1, 2, 3
N_PARAMETERS, N_TILES, IS_WEIGHTED = 4, 5, 6
FIRST_X, FIRST_Y, FIRST_WEIGHT = 7, 8, 9  # where the network's data begin in their arrays
NORMS = 10  # where each weight tile leaves a number
N_SETTINGS = 11

# Elements of the vector of constants.
ALPHA, MOMENTUM, BETA_1, ONE_MINUS_BETA_1, BETA_2, ONE_MINUS_BETA_2 = 0, 1, 2, 3, 4, 5
EPSILON, MACHINE_EPSILON = 6, 7
N_CONSTANTS = 8

# Columns of the table of what blocks do that have a network each: the network's number, its part
# of the order and of what there is for each step, and the steps to run.
MODEL, FIRST_ROW, N_ROWS, FIRST_OF_STEPS, N_STEPS, BEGIN, END = 0, 1, 2, 3, 4, 5, 6
RUN_FIELDS = 7

# Rows and columns of a weight tile: a block of threads computes its gradient and updates it.
TILE = 16 if is_simulated() else 32


@dataclass(frozen=True)
class Layout:
    """Offsets of one network, in elements of the arena."""

    layers: np.ndarray
    settings: np.ndarray
    size: int


def device_layout(plan, n_rows, is_trained=True):
    """Lay out the arena of a plan for batches of `n_rows` rows.

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
    weights, biases = 0, sum(a * b for a, b in pairwise(units))
    end, n_tiles = (3 * n_theta if is_trained else n_theta), 0
    for number, (layer, (fan_in, fan_out)) in enumerate(zip(layers, pairwise(units), strict=True)):
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
                end += fan_in * fan_out
            layer[INPUT] = layers[number - 1, OUTPUT]
        layer[OUTPUT] = end
        end += n_rows * fan_out
        # The output layer's delta takes the place of its activation.
        layer[DELTA] = layer[OUTPUT] if number == n_layers - 1 else end
        if is_trained and number < n_layers - 1:
            end += n_rows * fan_out
    layers[:, ACTIVATION] = *plan.activations, Activation.IDENTITY
    settings = np.zeros(N_SETTINGS, dtype=np.int64)
    settings[[N_LAYERS, LOSS]] = n_layers, plan.loss
    settings[[OPTIMIZER, BATCH_SIZE, N_PARAMETERS]] = plan.optimizer, n_rows, n_theta
    settings[[N_TILES, NORMS]] = n_tiles, end
    if is_trained:
        end += n_tiles
    return Layout(layers, settings, int(end))


def constants(plan):
    """The vector of constants of a plan, in its dtype."""
    values = np.zeros(N_CONSTANTS)
    values[[ALPHA, MOMENTUM]] = plan.alpha, plan.momentum
    values[[BETA_1, ONE_MINUS_BETA_1]] = plan.beta_1, 1 - plan.beta_1
    values[[BETA_2, ONE_MINUS_BETA_2]] = plan.beta_2, 1 - plan.beta_2
    values[[EPSILON, MACHINE_EPSILON]] = plan.epsilon, np.finfo(plan.dtype).eps
    return values.astype(plan.dtype)
