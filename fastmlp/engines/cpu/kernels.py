"""The compiled training step and prediction, as one thread of a team runs them.

A step has two phases. In the first, threads share the rows of the batch: they copy rows of X,
compute activations and losses, and pass deltas back. In the second, they share the weights: one
block of the gradient after the other is computed, and used by the optimiser at once, so that the
gradient is never written to memory.

Where a batch has many activations and the network few weights, the rows of the batch form groups.
The gradient of each group is summed in the first phase, and the second one adds these sums, so
that activations never travel between cores. The number of groups is the same for any number of
threads.

Every number is computed by one thread in one fixed order, so that results do not depend on the
number of threads.
"""

from math import sqrt

import numpy as np

from ...network.formulas import updates
from ...network.plan import Optimizer
from . import layout as at
from .arguments import Inputs, Network
from .barrier import wait
from .indirect_call import call
from .jit import compile_formula, compile_kernel
from .jobs import (
    CALLS,
    EPOCH_LOSS,
    FEATURES,
    GRADIENT_NORM,
    LAYERS,
    N_SUMS,
    ORDER,
    OUTPUTS,
    ROW_STARTS,
    SAMPLE_WEIGHT,
    SCALARS,
    SETTINGS,
    SHARES,
    SUMS,
    TARGETS,
    VALUES,
    WORK,
)
from .row_pass import gather
from .slots import (
    ACTIVATE_OUTPUT,
    BACKWARD,
    FINISH_ROWS,
    FINISH_UPDATE,
    FORWARD,
    LIMIT_NORMS,
    MULTIPLY_ROWS,
    SHAPE_GRADIENT,
    SUM_GROUP,
    UPDATE_WEIGHTS,
)
from .vector_unit import TILE_ROWS
from .views import (
    arrays_of,
    copy_elements,
    matrix_at,
    pointer_to,
    row_view,
    vector_at,
    vector_from,
    view,
)
from .weight_pass import gradient_squares, n_weight_blocks
from .work_sharing import share

adam_learning_rate = compile_formula(updates.adam_learning_rate)
nadam_learning_rate = compile_formula(updates.nadam_learning_rate)
nadam_gradient_share = compile_formula(updates.nadam_gradient_share)


@compile_kernel
def network_at(arena, job):
    """Return the network of a job.

    Parameters
    ----------
    arena : vector of the network's dtype
    job : vector of int64
        The addresses and sizes of arrays; see ``jobs.describe``.

    Returns
    -------
    Network
    """
    return Network(
        pointer_to(arena),
        pointer_to(matrix_at(job, LAYERS, np.int64)),
        pointer_to(vector_at(job, SETTINGS, np.int64)),
        pointer_to(vector_at(job, CALLS, np.uint64)),
    )


@compile_kernel
def inputs_at(arena, job):
    """Return the rows of X of a job, and their order.

    Parameters
    ----------
    arena : vector of the network's dtype
    job : vector of int64
        The addresses and sizes of arrays; see ``jobs.describe``.

    Returns
    -------
    Inputs
    """
    return Inputs(
        matrix_at(job, VALUES, arena),
        vector_at(job, FEATURES, np.int32),
        vector_at(job, ROW_STARTS, np.int64),
        vector_at(job, ORDER, np.int64),
    )


@compile_kernel
def batch_weight(sample_weight, order, start, stop):
    """Sum the sample weights of a batch; without weights, count its rows.

    Parameters
    ----------
    sample_weight : vector of the network's dtype
        The weights of all rows; empty where there are no weights.
    order : vector of int64
        Row numbers, in the order in which batches are cut.
    start, stop : int
        The batch: from element `start` of the order on, up to the one before `stop`.

    Returns
    -------
    float
    """
    if sample_weight.size == 0:
        return np.float64(stop - start)
    total = 0.0
    for i in range(start, stop):
        total += sample_weight[order[i]]
    return total


@compile_kernel
def set_step_scalars(scalars, given, optimizer, step, total_weight):
    """Set the scalars that change from step to step.

    Parameters
    ----------
    scalars : vector of the network's dtype
        This thread's copy of `given`; modified in place.
    given : vector of float64
        The scalars of the epoch; layout.py names the elements.
    optimizer : int
        A code of :class:`fastmlp.network.plan.Optimizer`.
    step : float
        The number of the step, counted from 1 since training began.
    total_weight : float
        The sum of the batch's sample weights.
    """
    scalars[at.INVERSE_WEIGHT] = 1 / total_weight
    learning_rate, beta_1, beta_2 = given[at.LEARNING_RATE], given[at.BETA_1], given[at.BETA_2]
    if optimizer == Optimizer.ADAM:
        scalars[at.LEARNING_RATE] = adam_learning_rate(learning_rate, beta_1, beta_2, step)
    elif optimizer == Optimizer.NADAM:
        scalars[at.LEARNING_RATE] = nadam_learning_rate(learning_rate, beta_1, beta_2, step)
        scalars[at.GRADIENT_SHARE] = nadam_gradient_share(beta_1, step)


@compile_kernel
def keep_parameters(network, number, n_threads):
    """Copy one thread's share of the parameters to where the settings say, if they say so.

    Parameters
    ----------
    network : Network
    number, n_threads : int
        The number of this thread, and the number of threads.
    """
    arena, _, settings, _ = arrays_of(network)
    if settings[at.KEEP_AT] >= 0:
        first, last = share(number, n_threads, settings[at.N_PARAMETERS], at.COPY_ELEMENTS)
        source, to = settings[at.PARAMETERS] + first, settings[at.KEEP_AT] + first
        copy_elements(arena, to, arena, source, last - first)


@compile_kernel
def pass_rows(network, X, Y, sample_weight, sums, number, n_threads, start, n_rows, seen):
    """Run the first phase of a step for this thread's share of the rows of a batch.

    It computes their activations, losses and deltas and, where rows form groups, the gradients of
    this thread's groups. All of these but the losses are written to the arena.

    Parameters
    ----------
    network : Network
    X : Inputs
    Y : matrix of the network's dtype
    sample_weight : vector of the network's dtype
        The weights of all rows; empty where there are no weights.
    sums : vector of float64
        Modified in place: gets the loss of each row; see jobs.py.
    number, n_threads : int
        The number of this thread, and the number of threads.
    start, n_rows : int
        Where the batch starts in the order, and its number of rows.
    seen : int
        The number of rows that were trained on before this batch.
    """
    arena, layers, settings, calls = arrays_of(network)
    block, n_groups = settings[at.BLOCK_ROWS], settings[at.N_GROUPS]
    row_stride = layers[0, at.INPUT_ROW]
    target_row = layers[settings[at.N_LAYERS] - 1, at.OUTPUT_ROW]
    inputs = layers[0, at.INPUT] + number * block * row_stride
    targets = settings[at.TARGETS] + number * block * target_row
    n_parts = n_groups if n_groups > 1 else n_threads
    first_part, last_part = share(number, n_threads, n_parts, 1)
    for part in range(first_part, last_part):
        first, last = share(part, n_parts, n_rows, TILE_ROWS)
        for top in range(first, last, block):
            bottom = min(top + block, last)
            if settings[at.IS_SPARSE]:
                call(calls, MULTIPLY_ROWS, network, X, start, top, bottom)
            else:
                gather(X.values, X.order, start + top, arena, inputs, row_stride, bottom - top)
            call(calls, FORWARD, network, inputs, top, bottom, seen)
            call(
                calls, FINISH_ROWS,
                network, targets, Y, sample_weight, X.order, start, sums, top, bottom,
            )  # fmt: skip
            if settings[at.FAILED_AT] < 2 * bottom * Y.shape[1]:
                return  # a custom loss failed in these rows, or in earlier ones
            call(calls, BACKWARD, network, top, bottom)
        if n_groups > 1 and last > first:
            scratch = settings[at.SCRATCH] + number * settings[at.SCRATCH_SIZE]
            to = settings[at.PARTIAL_SUMS] + part * settings[at.N_PARAMETERS]
            call(calls, SUM_GROUP, network, X, scratch, start, first, last - first, to)


@compile_kernel
def penalties(layers, settings, sums, given):
    """Compute the penalties of all weights before the update, from the sums over their blocks.

    The formula is alpha / 2 * sum of squares + l1 * sum of absolute values.

    Parameters
    ----------
    layers : matrix of int64
        The layer table.
    settings : vector of int64
    sums : vector of float64
        The sums over blocks; see jobs.py.
    given : vector of float64
        The scalars of the epoch; layout.py names the elements.

    Returns
    -------
    float
    """
    squares = absolutes = 0.0
    n_blocks = n_weight_blocks(layers, settings)
    start = N_SUMS + settings[at.BATCH_SIZE]
    for i in range(start, start + n_blocks):
        squares += sums[i]
        absolutes += sums[i + n_blocks]
    return 0.5 * given[at.ALPHA] * squares + given[at.L1] * absolutes


@compile_kernel
def train(number, n_threads, barrier, arena, job):
    """Take one step for each batch of the rows in the order of the job.

    The loss of each batch before its update, penalty included, is multiplied by the number of its
    rows and added to ``sums[EPOCH_LOSS]``. Where a kernel shapes gradients, the norm of each step's
    gradient is added to ``sums[GRADIENT_NORM]``.

    Parameters
    ----------
    number, n_threads : int
        The number of this thread, and the number of threads.
    barrier : pointer to int64
        See :mod:`fastmlp.engines.cpu.barrier`.
    arena : pointer to numbers of the network's dtype
        Modified in place.
    job : pointer to int64
        The addresses and sizes of the arrays whose numbers are named in jobs.py; see
        ``jobs.describe``.
    """
    barrier, arena, job = vector_from(barrier), vector_from(arena), vector_from(job)
    network, X = network_at(arena, job), inputs_at(arena, job)
    Y, sample_weight = matrix_at(job, TARGETS, arena), vector_at(job, SAMPLE_WEIGHT, arena)
    given = vector_at(job, SCALARS, np.float64)
    sums, shares = vector_at(job, SUMS, np.float64), vector_at(job, SHARES, np.int64)
    _, layers, settings, calls = arrays_of(network)
    work = view(
        vector_at(job, WORK, np.int64), number * settings[at.WORK_SIZE], settings[at.WORK_SIZE]
    )
    first_block, last_block = shares[number], shares[number + 1]
    scratch = settings[at.SCRATCH] + number * settings[at.SCRATCH_SIZE]
    scalars = view(arena, scratch, at.N_SCALARS)
    for i in range(at.N_SCALARS):
        scalars[i] = given[i]
    # No thread changes a parameter before the first barrier.
    keep_parameters(network, number, n_threads)
    batch_size, step, generation = settings[at.BATCH_SIZE], given[at.STEPS_DONE], 0
    for start in range(0, X.order.size, batch_size):
        n_rows = min(batch_size, X.order.size - start)
        seen = np.int64(step) * batch_size
        step += 1
        total_weight = batch_weight(sample_weight, X.order, start, start + n_rows)
        set_step_scalars(scalars, given, settings[at.OPTIMIZER], step, total_weight)
        pass_rows(network, X, Y, sample_weight, sums, number, n_threads, start, n_rows, seen)
        generation += 1
        if not wait(barrier, generation, n_threads):
            return
        if settings[at.FAILED_AT] < at.NO_FAILURE:
            # All threads see this before any of them has changed a weight.
            if number == 0:
                settings[at.FAILED_START] = start
            return
        loss = 0.0
        if number == 0:
            for row in range(n_rows):
                loss += sums[N_SUMS + row]
        call(
            calls, UPDATE_WEIGHTS,
            network, X, work, sums, scratch, start, n_rows, first_block, last_block,
        )  # fmt: skip
        generation += 1
        if not wait(barrier, generation, n_threads):
            return
        if calls[FINISH_UPDATE] != 0:
            call(calls, FINISH_UPDATE, network, sums, scratch, first_block, last_block)
            generation += 1
            if not wait(barrier, generation, n_threads):
                return
        if calls[LIMIT_NORMS] != 0:
            first, last = share(number, n_threads, settings[at.N_PANELS], 1)
            call(calls, LIMIT_NORMS, network, scratch, first, last)
            generation += 1
            if not wait(barrier, generation, n_threads):
                return
        if number == 0:
            loss += penalties(layers, settings, sums, given)
            sums[EPOCH_LOSS] += loss / total_weight * n_rows
            if calls[SHAPE_GRADIENT] != 0:
                sums[GRADIENT_NORM] += sqrt(gradient_squares(layers, settings, sums))


@compile_kernel
def predict(number, n_threads, barrier, arena, job):
    """Predict for all rows of X, a block of rows at a time.

    Each thread has a block of its own in the arena. Predictions are written to the job's matrix of
    outputs. For sparse inputs the order of the job has the numbers of all rows; for others it is
    not used.

    Parameters
    ----------
    number, n_threads : int
        The number of this thread, and the number of threads.
    barrier : pointer to int64
        It is not used, because threads do not wait for each other.
    arena : pointer to numbers of the network's dtype
        Modified in place.
    job : pointer to int64
        The addresses and sizes of the arrays whose numbers are named in jobs.py; see
        ``jobs.describe``.
    """
    arena, job = vector_from(arena), vector_from(job)
    network, X = network_at(arena, job), inputs_at(arena, job)
    _, layers, settings, calls = arrays_of(network)
    outputs = matrix_at(job, OUTPUTS, arena)
    n_layers, block = settings[at.N_LAYERS], settings[at.BLOCK_ROWS]
    first, last = share(number, n_threads, outputs.shape[0], block)
    layer = layers[n_layers - 1]
    base = number * block
    inputs = layers[0, at.INPUT] + base * layers[0, at.INPUT_ROW]
    for top in range(first, last, block):
        bottom = min(top + block, last)
        if settings[at.IS_SPARSE]:
            call(calls, MULTIPLY_ROWS, network, X, top - base, base, base + bottom - top)
        else:
            for row in range(bottom - top):
                x = row_view(X.values, top + row)
                copy_elements(arena, inputs + row * layers[0, at.INPUT_ROW], x, 0, x.size)
        call(calls, FORWARD, network, inputs, base, base + bottom - top, 0)
        predictions = layer[at.OUTPUT] + base * layer[at.OUTPUT_ROW]
        if calls[ACTIVATE_OUTPUT] != 0:
            call(
                calls, ACTIVATE_OUTPUT,
                arena, predictions, layer[at.OUTPUT_ROW], bottom - top, layer[at.FAN_OUT],
            )  # fmt: skip
        for row in range(top, bottom):
            p = predictions + (row - top) * layer[at.OUTPUT_ROW]
            copy_elements(row_view(outputs, row), 0, arena, p, layer[at.FAN_OUT])
