"""The kernels of training and prediction.

Either all blocks of a launch train one network together, or each block trains one by itself.
"""

from functools import cache
from math import isfinite

import numba
import numpy as np

from . import layout as at
from .arguments import Block, Group, Network, Rows, StepRecord
from .blocks import ALIGNMENT, N_SHARED, THREADS, total_of
from .elements import four_times, load, store
from .jit import compile_device, compile_kernel
from .jit import inside_kernels as cuda
from .outputs import OutputPart, output_functions
from .row_pass import copy_group, make_multiply_group, make_rows_phase
from .specialization import specialized
from .step_end import step_end
from .weight_pass import make_weights_phase


@specialized
def training_kernels(dtype, specialization):
    """Make the kernels that train networks.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the arena's elements.
    specialization : Specialization

    Returns
    -------
    dict
        Kernels by name.
    """
    return {
        "train_rows": _train_rows(dtype, specialization),
        "train_weights": _train_weights(dtype, specialization),
        "clip_norm": _clip_norm(dtype, specialization),
        "limit_columns": _limit_columns(dtype, specialization),
        "add_step": _add_step(dtype, specialization),
        "train": _train(dtype, specialization),
        "train_many": _train_many(dtype, specialization),
    }


def _train_rows(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    rows_phase = make_rows_phase(dtype, specialization)

    @compile_kernel(specialization, THREADS)
    def train_rows(network, rows, record, step, steps_done):
        """Run the first phase of one step, as a launch of its own."""
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        block = Block(cuda.blockIdx.x, cuda.gridDim.x, shared)
        rows_phase(block, network, rows, record, step, steps_done)

    return train_rows


def _train_weights(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    weights_phase = make_weights_phase(dtype, specialization)

    @compile_kernel(specialization, THREADS)
    def train_weights(network, record, n_in_order, step):
        """Run the second phase of one step, as a launch of its own."""
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        block = Block(cuda.blockIdx.x, cuda.gridDim.x, shared)
        weights_phase(block, network, record, n_in_order, step)

    return train_weights


def _clip_norm(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    clip_phase = step_end(specialization).clip_phase

    @compile_kernel(specialization)
    def clip_norm(network, record, step):
        """Run the third phase of one step, as a launch of its own."""
        shared = cuda.shared.array(THREADS, FLOAT)
        clip_phase(Block(cuda.blockIdx.x, cuda.gridDim.x, shared), network, record, step)

    return clip_norm


def _limit_columns(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    limit_phase = step_end(specialization).limit_phase

    @compile_kernel(specialization)
    def limit_columns(network):
        """Run the last phase of one step, as a launch of its own."""
        shared = cuda.shared.array(THREADS, FLOAT)
        limit_phase(Block(cuda.blockIdx.x, cuda.gridDim.x, shared), network)

    return limit_columns


def _add_step(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    add_sums = step_end(specialization).add_sums

    @compile_kernel(specialization)
    def add_step(network, record, n_in_order, step):
        """Add up penalty and gradient norm of one step by one block, as a launch of its own."""
        shared = cuda.shared.array(THREADS, FLOAT)
        add_sums(shared, network, record, n_in_order, step)

    return add_step


def _train(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    rows_phase = make_rows_phase(dtype, specialization)
    weights_phase = make_weights_phase(dtype, specialization)
    finish_step = step_end(specialization).finish_step

    @compile_kernel(specialization, THREADS)
    def train(network, rows, record, first_step, last_step, steps_done):
        """Run many steps in one cooperative launch, whose blocks must all run at the same time."""
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        grid = cuda.cg.this_grid()
        block = Block(cuda.blockIdx.x, cuda.gridDim.x, shared)
        for step in range(first_step, last_step):
            rows_phase(block, network, rows, record, step, steps_done)
            grid.sync()
            weights_phase(block, network, record, rows.order.size, step)
            finish_step(grid, block, network, record, rows.order.size, step)

    return train


def _train_many(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    run_step, add_up_run = _make_run_step(dtype, specialization), _make_add_up_run(specialization)

    @compile_kernel(specialization, THREADS)
    def train_many(networks, rows, record, runs, totals):
        """Run steps of many networks, one block for each, and add up the epochs that end."""
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        sums = cuda.shared.array(THREADS, numba.float64)
        run = cuda.blockIdx.x
        model, n_steps = runs[run, at.MODEL], runs[run, at.N_STEPS]
        network = Network(
            networks.arena, networks.layers[model], networks.settings[model],
            networks.constants[model],
        )  # fmt: skip
        first, last = runs[run, at.FIRST_ROW], runs[run, at.FIRST_ROW] + runs[run, at.N_ROWS]
        my_rows = Rows(rows.X, rows.Y, rows.sample_weight, rows.order[first:last])
        first_step, last_step = runs[run, at.FIRST_OF_STEPS], runs[run, at.FIRST_OF_STEPS] + n_steps
        my_record = StepRecord(
            record.step_scalars[first_step:last_step], record.row_losses[first:last],
            record.penalties[first_step:last_step], record.gradient_norms[first_step:last_step],
        )  # fmt: skip
        for step in range(runs[run, at.BEGIN], runs[run, at.END]):
            run_step(shared, network, my_rows, my_record, step, runs[run, at.STEPS_DONE])
        if runs[run, at.END] == n_steps:
            cuda.syncthreads()
            add_up_run(sums, network, my_record, totals[model])

    return train_many


def _make_run_step(dtype, specialization):
    """Make a device function that runs a step of a network by one block."""
    rows_phase = make_rows_phase(dtype, specialization)
    weights_phase, end = make_weights_phase(dtype, specialization), step_end(specialization)
    clips, limits = specialization.clips_norms, specialization.limits_columns

    @compile_device
    def run_step(shared, network, rows, record, step, steps_done):
        block = Block(0, 1, shared)
        rows_phase(block, network, rows, record, step, steps_done)
        cuda.syncthreads()
        weights_phase(block, network, record, rows.order.size, step)
        cuda.syncthreads()
        if clips and network.settings[at.CLIPS_NORM]:
            end.clip_phase(block, network, record, step)
            cuda.syncthreads()
        if limits and network.settings[at.LIMITS_COLUMNS]:
            end.limit_phase(block, network)
            cuda.syncthreads()
        if end.has_sums(network):
            end.add_sums(shared, network, record, rows.order.size, step)

    return run_step


def _make_add_up_run(specialization):
    """Make a device function that adds up an epoch of a network by one block."""
    has_sums, measures = step_end(specialization).has_sums, specialization.needs_gradient_norm

    @compile_device
    def add_up_run(sums, network, record, totals):
        loss = total_of(sums, record.row_losses)
        penalty = norm = 0.0
        if has_sums(network):
            penalty = total_of(sums, record.penalties)
        if measures and network.settings[at.SQUARES] >= 0:
            norm = total_of(sums, record.gradient_norms)
        if cuda.threadIdx.x == 0:
            totals[0] = loss
            totals[1] = penalty
            totals[2] = norm

    return add_up_run


@specialized
def prediction_kernels(dtype, specialization):
    """Make the kernels that every network on the device needs.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the arena's elements.
    specialization : Specialization
        The result of :func:`~.specialization.prediction_specialization`.

    Returns
    -------
    dict
        Kernels by name.
    """
    return {**array_kernels(dtype), "predict": _predict(dtype, specialization)}


@compile_device
def _place_of_row(number, top, last, n_features):
    """Find where row `top` + `number` begins in X; beyond the last row, where the last one does."""
    return (top + min(number, last)) * n_features


places_of_rows = four_times(_place_of_row)


def _predict(dtype, specialization):
    FLOAT = numba.from_dtype(np.dtype(dtype))
    multiply_group = make_multiply_group(dtype, specialization)
    activate_outputs = output_functions(specialization).activate_outputs

    @compile_kernel(specialization, THREADS)
    def predict(network, X, n_rows, outputs):
        """Predict the first rows of X.

        Each block uses one group of rows of the arena's activations again and again. So a launch
        must not have more blocks than the arena has such groups.
        """
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        arena, layers, settings = network.arena, network.layers, network.settings
        last, thread = settings[at.N_LAYERS] - 1, cuda.threadIdx.x
        n_features, n_outputs = layers[0, at.FAN_IN], layers[last, at.FAN_OUT]
        mine, row, column = cuda.blockIdx.x * at.GROUP, thread % at.GROUP, thread // at.GROUP
        top = mine
        while top < n_rows:
            group = Group(mine, min(at.GROUP, n_rows - top))
            copy_group(
                thread, THREADS, arena, layers[0, at.INPUT] + mine * n_features, X,
                places_of_rows(top, group.n_rows - 1, n_features), n_features, group.n_rows,
            )  # fmt: skip
            cuda.syncthreads()
            for number in range(settings[at.N_LAYERS]):
                multiply_group(True, shared, network, number, False, group, 0)
            p = layers[last, at.OUTPUT] + mine * n_outputs + row
            activate_outputs(
                settings[at.LOSS], OutputPart(arena, p, n_outputs, column, THREADS // at.GROUP)
            )
            if row < group.n_rows:
                for j in range(column, n_outputs, THREADS // at.GROUP):
                    outputs[top + row, j] = load(arena, p + at.GROUP * j)
            top += cuda.gridDim.x * at.GROUP

    return predict


@cache
def array_kernels(dtype):
    """Make the kernels that do not depend on a network's options.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the elements of the arena or of the array.

    Returns
    -------
    dict
        Kernels by name.
    """

    @compile_kernel()
    def transpose(network):
        """Fill the transposed copies of the weights."""
        arena, layers = network.arena, network.layers
        for number in range(1, network.settings[at.N_LAYERS]):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            for i in range(cuda.grid(1), fan_in * fan_out, cuda.gridsize(1)):
                row, column = i // fan_out, i % fan_out
                to = layers[number, at.TRANSPOSED] + column * fan_in + row
                store(arena, to, load(arena, layers[number, at.WEIGHTS] + i))

    @compile_kernel()
    def add_up(record, totals):
        """Add up the losses, penalties and gradient norms of an epoch by one block."""
        sums = cuda.shared.array(THREADS, numba.float64)
        loss, penalty = total_of(sums, record.row_losses), total_of(sums, record.penalties)
        norm = total_of(sums, record.gradient_norms)
        if cuda.threadIdx.x == 0:
            totals[0] = loss
            totals[1] = penalty
            totals[2] = norm

    @compile_kernel()
    def take(source, rows, result):
        """Copy some rows of a matrix, and convert them to the type of the result."""
        for i in range(cuda.blockIdx.x, rows.size, cuda.gridDim.x):
            for j in range(cuda.threadIdx.x, source.shape[1], THREADS):
                result[i, j] = source[rows[i], j]

    @compile_kernel()
    def find_infinite(values, found):
        """Set the element of `found` where a value is infinite or not a number."""
        for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
            if not isfinite(values[i]):
                found[0] = 1

    return {"transpose": transpose, "add_up": add_up, "take": take, "find_infinite": find_infinite}
