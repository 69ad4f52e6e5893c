"""The kernels: how blocks share a network, or have one each."""

from functools import cache
from math import isfinite

import numba

from . import layout as at
from .elementwise import activate_output
from .jit import compile_kernel
from .jit import inside_kernels as cuda
from .steps import ROWS, THREADS, phases, total_of


@cache
def kernels(dtype):
    """The kernels for arenas of one dtype, as a dict by name."""
    of_dtype = phases(dtype)
    rows_phase, weights_phase = of_dtype.rows_phase, of_dtype.weights_phase
    add_penalty, forward = of_dtype.add_penalty, of_dtype.forward

    @compile_kernel
    def train_rows(
        arena, layers, settings, constants, X, Y, sample_weight, order, inverses, row_losses, step
    ):  # fmt: skip
        """The first phase of one step, as a launch of its own."""
        rows_phase(
            cuda.blockIdx.x, cuda.gridDim.x, arena, layers, settings, constants, X, Y,
            sample_weight, order, inverses, row_losses, step,
        )  # fmt: skip

    @compile_kernel
    def train_weights(arena, layers, settings, constants, n_in_order, rates, inverses, step):
        """The second phase of one step, as a launch of its own."""
        weights_phase(
            cuda.blockIdx.x, cuda.gridDim.x, arena, layers, settings, constants, n_in_order, rates,
            inverses, step,
        )  # fmt: skip

    @compile_kernel
    def penalty(arena, settings, constants, n_in_order, inverses, penalties, step):
        """The penalty of one step, by one block, as a launch of its own."""
        add_penalty(arena, settings, constants, n_in_order, inverses, penalties, step)

    @compile_kernel
    def train(
        arena, layers, settings, constants, X, Y, sample_weight, order, rates, inverses,
        row_losses, penalties, first_step, last_step,
    ):  # fmt: skip
        """Many steps in one cooperative launch: all blocks have to be resident at once."""
        grid = cuda.cg.this_grid()
        block, n_blocks = cuda.blockIdx.x, cuda.gridDim.x
        for step in range(first_step, last_step):
            rows_phase(
                block, n_blocks, arena, layers, settings, constants, X, Y, sample_weight, order,
                inverses, row_losses, step,
            )  # fmt: skip
            grid.sync()
            weights_phase(
                block, n_blocks, arena, layers, settings, constants, order.size, rates, inverses,
                step,
            )  # fmt: skip
            grid.sync()
            # The last block has the fewest rows to do next.
            if constants[at.ALPHA] > 0 and block == n_blocks - 1:
                add_penalty(arena, settings, constants, order.size, inverses, penalties, step)

    @compile_kernel
    def train_many(
        arena, layers, settings, constants, X, Y, sample_weight, order, rates, inverses,
        row_losses, penalties, runs, totals,
    ):  # fmt: skip
        """Steps of many networks, a block for each; sums over the epoch when it ends."""
        loss_sums = cuda.shared.array(THREADS, numba.float64)
        penalty_sums = cuda.shared.array(THREADS, numba.float64)
        block = cuda.blockIdx.x
        model = runs[block, at.MODEL]
        first_row, n_rows = runs[block, at.FIRST_ROW], runs[block, at.N_ROWS]
        first_step, n_steps = runs[block, at.FIRST_OF_STEPS], runs[block, at.N_STEPS]
        my_layers, my_settings, my_constants = layers[model], settings[model], constants[model]
        my_order = order[first_row : first_row + n_rows]
        my_losses = row_losses[first_row : first_row + n_rows]
        my_rates = rates[first_step : first_step + n_steps]
        my_inverses = inverses[first_step : first_step + n_steps]
        my_penalties = penalties[first_step : first_step + n_steps]
        has_penalty = my_constants[at.ALPHA] > 0
        for step in range(runs[block, at.BEGIN], runs[block, at.END]):
            rows_phase(
                0, 1, arena, my_layers, my_settings, my_constants, X, Y, sample_weight, my_order,
                my_inverses, my_losses, step,
            )  # fmt: skip
            cuda.syncthreads()
            weights_phase(
                0, 1, arena, my_layers, my_settings, my_constants, n_rows, my_rates, my_inverses,
                step,
            )  # fmt: skip
            cuda.syncthreads()
            if has_penalty:
                add_penalty(
                    arena, my_settings, my_constants, n_rows, my_inverses, my_penalties, step
                )
        if runs[block, at.END] == n_steps:
            cuda.syncthreads()
            loss = total_of(loss_sums, my_losses)
            penalty = 0.0
            if has_penalty:
                penalty = total_of(penalty_sums, my_penalties)
            if cuda.threadIdx.x == 0:
                totals[model, 0] = loss
                totals[model, 1] = penalty

    @compile_kernel
    def predict(arena, layers, settings, X, n_rows, outputs):
        """Predictions for the first rows of X.

        A block has a few rows of the activations to itself: as many blocks as the batch has
        such parts, at most.
        """
        last = settings[at.N_LAYERS] - 1
        n_features, n_outputs = layers[0, at.FAN_IN], layers[last, at.FAN_OUT]
        slab = min(ROWS, settings[at.BATCH_SIZE])
        mine = cuda.blockIdx.x * slab
        inputs = layers[0, at.INPUT] + mine * n_features
        for top in range(mine, n_rows, cuda.gridDim.x * slab):
            n_here = min(slab, n_rows - top)
            for i in range(cuda.threadIdx.x, n_here * n_features, THREADS):
                arena[inputs + i] = X[top * n_features + i]
            cuda.syncthreads()
            forward(arena, layers, settings, mine, n_here)
            if cuda.threadIdx.x < n_here:
                p = layers[last, at.OUTPUT] + (mine + cuda.threadIdx.x) * n_outputs
                activate_output(settings[at.LOSS], arena, p, n_outputs)
                for j in range(n_outputs):
                    outputs[top + cuda.threadIdx.x, j] = arena[p + j]
            cuda.syncthreads()

    @compile_kernel
    def transpose(arena, layers, settings):
        """Fill the transposed copies of the weights."""
        for number in range(1, settings[at.N_LAYERS]):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            for i in range(cuda.grid(1), fan_in * fan_out, cuda.gridsize(1)):
                row, column = i // fan_out, i % fan_out
                to = layers[number, at.TRANSPOSED] + column * fan_in + row
                arena[to] = arena[layers[number, at.WEIGHTS] + i]

    @compile_kernel
    def add_up(values, result):
        """Sum of all values, by one block."""
        sums = cuda.shared.array(THREADS, numba.float64)
        total = total_of(sums, values)
        if cuda.threadIdx.x == 0:
            result[0] = total

    @compile_kernel
    def take(source, rows, result):
        """Some rows of a matrix, to the type of another."""
        for i in range(cuda.blockIdx.x, rows.size, cuda.gridDim.x):
            for j in range(cuda.threadIdx.x, source.shape[1], THREADS):
                result[i, j] = source[rows[i], j]

    @compile_kernel
    def find_infinite(values, found):
        """Set an element where a value is infinite or not a number."""
        for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
            if not isfinite(values[i]):
                found[0] = 1

    return {
        "train_rows": train_rows, "train_weights": train_weights, "penalty": penalty,
        "train": train, "train_many": train_many, "predict": predict, "transpose": transpose,
        "add_up": add_up, "take": take, "find_infinite": find_infinite,
    }  # fmt: skip
