"""The kernels: how blocks share a network, or have one each."""

from functools import cache
from math import isfinite

import numba
import numpy as np

from . import layout as at
from .blocks import ALIGNMENT, N_SHARED, THREADS, total_of
from .elements import load, store
from .jit import compile_kernel
from .jit import inside_kernels as cuda
from .outputs import output_functions
from .row_pass import row_phase
from .weight_pass import weight_phases


@cache
def training_kernels(dtype, choices):
    """The kernels that train networks, as a dict by name.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the arena.
    choices : Choices
    """
    FLOAT = numba.from_dtype(np.dtype(dtype))
    rows_phase = row_phase(dtype, choices).rows_phase
    of_weights = weight_phases(dtype, choices)
    weights_phase, add_sums = of_weights.weights_phase, of_weights.add_sums
    clip_phase, limit_phase = of_weights.clip_phase, of_weights.limit_phase
    has_sums, finish_step = of_weights.has_sums, of_weights.finish_step
    clips, limits, measures = (
        choices.clips_norms, choices.limits_columns, choices.measures_gradients,
    )  # fmt: skip

    @compile_kernel(choices, THREADS)
    def train_rows(
        arena, layers, settings, constants, X, Y, sample_weight, order, numbers, row_losses, step,
        steps_done,
    ):  # fmt: skip
        """The first phase of one step, as a launch of its own."""
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        rows_phase(
            cuda.blockIdx.x, cuda.gridDim.x, shared, arena, layers, settings, constants, X, Y,
            sample_weight, order, numbers, row_losses, step, steps_done,
        )  # fmt: skip

    @compile_kernel(choices, THREADS)
    def train_weights(arena, layers, settings, constants, n_in_order, numbers, step):
        """The second phase of one step, as a launch of its own."""
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        weights_phase(
            cuda.blockIdx.x, cuda.gridDim.x, shared, arena, layers, settings, constants, n_in_order,
            numbers, step,
        )  # fmt: skip

    @compile_kernel(choices)
    def clip_norm(arena, layers, settings, constants, numbers, step):
        """The third phase of one step, as a launch of its own."""
        clip_phase(
            cuda.blockIdx.x, cuda.gridDim.x, arena, layers, settings, constants, numbers, step
        )

    @compile_kernel(choices)
    def limit_columns(arena, layers, settings, constants):
        """The last phase of one step, as a launch of its own."""
        shared = cuda.shared.array(THREADS, FLOAT)
        limit_phase(cuda.blockIdx.x, cuda.gridDim.x, shared, arena, layers, settings, constants)

    @compile_kernel(choices)
    def add_step(
        arena, settings, constants, n_in_order, numbers, penalties, gradient_norms, step
    ):  # fmt: skip
        """Penalty and norm of one step, by one block, as a launch of its own."""
        shared = cuda.shared.array(THREADS, FLOAT)
        add_sums(
            shared, arena, settings, constants, n_in_order, numbers, penalties, gradient_norms, step
        )

    @compile_kernel(choices, THREADS)
    def train(
        arena, layers, settings, constants, X, Y, sample_weight, order, numbers, row_losses,
        penalties, gradient_norms, first_step, last_step, steps_done,
    ):  # fmt: skip
        """Many steps in one cooperative launch: all blocks have to be resident at once."""
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        grid = cuda.cg.this_grid()
        block, n_blocks = cuda.blockIdx.x, cuda.gridDim.x
        for step in range(first_step, last_step):
            rows_phase(
                block, n_blocks, shared, arena, layers, settings, constants, X, Y, sample_weight,
                order, numbers, row_losses, step, steps_done,
            )  # fmt: skip
            grid.sync()
            weights_phase(
                block, n_blocks, shared, arena, layers, settings, constants, order.size, numbers,
                step,
            )  # fmt: skip
            finish_step(
                grid, block, n_blocks, shared, arena, layers, settings, constants, order.size,
                numbers, penalties, gradient_norms, step,
            )  # fmt: skip

    @compile_kernel(choices, THREADS)
    def train_many(
        arena, layers, settings, constants, X, Y, sample_weight, order, numbers, row_losses,
        penalties, gradient_norms, runs, totals,
    ):  # fmt: skip
        """Steps of many networks, a block for each; sums over the epoch when it ends."""
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        sums = cuda.shared.array(THREADS, numba.float64)
        block = cuda.blockIdx.x
        model = runs[block, at.MODEL]
        first_row, n_rows = runs[block, at.FIRST_ROW], runs[block, at.N_ROWS]
        first_step, n_steps = runs[block, at.FIRST_OF_STEPS], runs[block, at.N_STEPS]
        my_layers, my_settings, my_constants = layers[model], settings[model], constants[model]
        my_order = order[first_row : first_row + n_rows]
        my_losses = row_losses[first_row : first_row + n_rows]
        my_numbers = numbers[first_step : first_step + n_steps]
        my_penalties = penalties[first_step : first_step + n_steps]
        my_norms = gradient_norms[first_step : first_step + n_steps]
        for step in range(runs[block, at.BEGIN], runs[block, at.END]):
            rows_phase(
                0, 1, shared, arena, my_layers, my_settings, my_constants, X, Y, sample_weight,
                my_order, my_numbers, my_losses, step, runs[block, at.STEPS_DONE],
            )  # fmt: skip
            cuda.syncthreads()
            weights_phase(
                0, 1, shared, arena, my_layers, my_settings, my_constants, n_rows, my_numbers, step
            )
            cuda.syncthreads()
            if clips and my_settings[at.CLIPS_NORM]:
                clip_phase(0, 1, arena, my_layers, my_settings, my_constants, my_numbers, step)
                cuda.syncthreads()
            if limits and my_settings[at.LIMITS_COLUMNS]:
                limit_phase(0, 1, shared, arena, my_layers, my_settings, my_constants)
                cuda.syncthreads()
            if has_sums(my_settings, my_constants):
                add_sums(
                    shared, arena, my_settings, my_constants, n_rows, my_numbers, my_penalties,
                    my_norms, step,
                )  # fmt: skip
        if runs[block, at.END] == n_steps:
            cuda.syncthreads()
            loss = total_of(sums, my_losses)
            penalty = norm = 0.0
            if has_sums(my_settings, my_constants):
                penalty = total_of(sums, my_penalties)
            if measures and my_settings[at.SQUARES] >= 0:
                norm = total_of(sums, my_norms)
            if cuda.threadIdx.x == 0:
                totals[model, 0] = loss
                totals[model, 1] = penalty
                totals[model, 2] = norm

    return {
        "train_rows": train_rows, "train_weights": train_weights, "clip_norm": clip_norm,
        "limit_columns": limit_columns, "add_step": add_step, "train": train,
        "train_many": train_many,
    }  # fmt: skip


@cache
def prediction_kernels(dtype, choices):
    """The kernels that every network on the device needs, as a dict by name.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the arena.
    choices : Choices
        Of predictions.
    """
    FLOAT = numba.from_dtype(np.dtype(dtype))
    phase = row_phase(dtype, choices)
    copy_group, multiply_group = phase.copy_group, phase.multiply_group
    activate_outputs, _ = output_functions(choices)

    @compile_kernel(choices, THREADS)
    def predict(arena, layers, settings, X, n_rows, outputs):
        """Predictions for the first rows of X.

        A block has a group of rows of the activations to itself: as many blocks as the batch has
        groups, at most.
        """
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        last = settings[at.N_LAYERS] - 1
        n_features, n_outputs = layers[0, at.FAN_IN], layers[last, at.FAN_OUT]
        mine, row = cuda.blockIdx.x * at.GROUP, cuda.threadIdx.x % at.GROUP
        top = mine
        while top < n_rows:
            n_here = min(at.GROUP, n_rows - top)
            copy_group(
                cuda.threadIdx.x, THREADS, arena, layers[0, at.INPUT] + mine * n_features, X,
                top * n_features, (top + min(1, n_here - 1)) * n_features,
                (top + min(2, n_here - 1)) * n_features, (top + min(3, n_here - 1)) * n_features,
                n_features, n_here,
            )  # fmt: skip
            cuda.syncthreads()
            for number in range(settings[at.N_LAYERS]):
                multiply_group(
                    True, shared, arena, layers, settings, number, False, mine, n_here, 0
                )
            p = layers[last, at.OUTPUT] + mine * n_outputs + row
            column = cuda.threadIdx.x // at.GROUP
            activate_outputs(settings[at.LOSS], arena, p, n_outputs, column, THREADS // at.GROUP)
            if row < n_here:
                for j in range(column, n_outputs, THREADS // at.GROUP):
                    outputs[top + row, j] = load(arena, p + at.GROUP * j)
            top += cuda.gridDim.x * at.GROUP

    return {**array_kernels(dtype), "predict": predict}


@cache
def array_kernels(dtype):
    """The kernels for arenas and matrices of one dtype, whatever the networks, by name."""

    @compile_kernel()
    def transpose(arena, layers, settings):
        """Fill the transposed copies of the weights."""
        for number in range(1, settings[at.N_LAYERS]):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            for i in range(cuda.grid(1), fan_in * fan_out, cuda.gridsize(1)):
                row, column = i // fan_out, i % fan_out
                to = layers[number, at.TRANSPOSED] + column * fan_in + row
                store(arena, to, load(arena, layers[number, at.WEIGHTS] + i))

    @compile_kernel()
    def add_up(losses, penalties, gradient_norms, totals):
        """Sums over an epoch, by one block."""
        sums = cuda.shared.array(THREADS, numba.float64)
        loss, penalty = total_of(sums, losses), total_of(sums, penalties)
        norm = total_of(sums, gradient_norms)
        if cuda.threadIdx.x == 0:
            totals[0] = loss
            totals[1] = penalty
            totals[2] = norm

    @compile_kernel()
    def take(source, rows, result):
        """Some rows of a matrix, to the type of another."""
        for i in range(cuda.blockIdx.x, rows.size, cuda.gridDim.x):
            for j in range(cuda.threadIdx.x, source.shape[1], THREADS):
                result[i, j] = source[rows[i], j]

    @compile_kernel()
    def find_infinite(values, found):
        """Set an element where a value is infinite or not a number."""
        for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
            if not isfinite(values[i]):
                found[0] = 1

    return {"transpose": transpose, "add_up": add_up, "take": take, "find_infinite": find_infinite}
