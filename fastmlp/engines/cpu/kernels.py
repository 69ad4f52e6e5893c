"""The compiled training step and prediction, as one thread of a team runs them.

A step has two phases. In the first, threads share the rows of the batch: they copy rows of X,
compute activations and losses, and pass deltas back. In the second, they share the weights: one
block of the gradient after the other is computed, and used by the optimiser at once, so that the
gradient is never written to memory.

Where a batch has many activations and the network few weights, the rows of the batch form groups.
The gradient of each group is summed in the first phase, and the second one adds these sums, so
that activations never travel between cores. The number of groups is the same for any number of
threads. More threads than groups share the rows of all groups first, and then, in a phase of its
own, the sums: one block of the weights over one group after the other.

Every number is computed by one thread in one fixed order, so that results do not depend on the
number of threads.
"""

from math import isfinite, sqrt

import numpy as np

from ...network.formulas import updates
from ...network.plan import Optimizer
from . import layout as at
from .arguments import Inputs, Network
from .barrier import end_early, is_last, take_next, wait
from .indirect_call import call
from .jit import compile_formula, compile_kernel
from .jobs import (
    CALLS,
    EPOCH_LOSS,
    FEATURES,
    FIELDS,
    GRADIENT_NORM,
    LAYERS,
    N_SUMS,
    ORDER,
    OUTPUTS,
    RESULTS,
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
from .norm_limits import gradient_squares
from .row_pass import gather, move_rows
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
from .weight_pass import n_weight_blocks
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
def begin_epoch(network, scalars, given, number, n_threads, epoch):
    """Set one thread's scalars, and keep its share of the parameters where the settings say so.

    Parameters
    ----------
    network : Network
    scalars : vector of the network's dtype
        This thread's copy of `given`; modified in place.
    given : vector of float64
        The scalars of the epoch; layout.py names the elements.
    number, n_threads : int
        The number of this thread, and the number of threads.
    epoch : int
        The number of the epoch, counted from 0 in each job.
    """
    for i in range(at.N_SCALARS):
        scalars[i] = given[i]
    arena, _, settings, _ = arrays_of(network)
    to = settings[at.KEEP_NEXT_AT] if epoch % 2 else settings[at.KEEP_AT]
    if to >= 0:
        first, last = share(number, n_threads, settings[at.N_PARAMETERS], at.COPY_ELEMENTS)
        source = settings[at.PARAMETERS] + first
        copy_elements(arena, to + first, arena, source, last - first)


@compile_kernel
def pass_rows(network, X, Y, sample_weight, sums, number, n_threads, start, n_rows, seen):
    """Run the first phase of a step for this thread's share of the rows of a batch.

    It computes their activations, losses and deltas and, where rows form groups and each thread
    has one or more of them, the gradients of this thread's groups. All of these but the losses are
    written to the arena.

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
    sums_groups = n_groups > 1 and n_threads <= n_groups
    n_parts = n_groups if sums_groups else n_threads
    first_part, last_part = share(number, n_threads, n_parts, 1)
    for part in range(first_part, last_part):
        multiple = at.GROUP_MULTIPLE if sums_groups else at.ROW_MULTIPLE
        first, last = share(part, n_parts, n_rows, multiple)
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
        if sums_groups:
            n_blocks = n_weight_blocks(layers, settings)
            sum_blocks_of_group(network, X, number, start, n_rows, part, 0, n_blocks)


@compile_kernel
def sum_blocks_of_group(network, X, number, start, n_rows, group, first_block, last_block):
    """Sum the gradients of some blocks of weights over one of the groups of a batch's rows.

    Parameters
    ----------
    network : Network
    X : Inputs
    number : int
        The number of this thread.
    start, n_rows : int
        Where the batch starts in the order, and its number of rows.
    group : int
        The number of the group.
    first_block, last_block : int
        The blocks, counted over all layers: from `first_block` on, up to the one before
        `last_block`.
    """
    _, _, settings, calls = arrays_of(network)
    first, last = share(group, settings[at.N_GROUPS], n_rows, at.GROUP_MULTIPLE)
    if last > first:
        scratch = settings[at.SCRATCH] + number * settings[at.SCRATCH_SIZE]
        to = settings[at.PARTIAL_SUMS] + group * settings[at.N_PARAMETERS]
        call(
            calls, SUM_GROUP,
            network, X, scratch, start, first, last - first, to, first_block, last_block,
        )  # fmt: skip


@compile_kernel
def share_groups(network, X, number, n_threads, start, n_rows):
    """Sum one thread's share of the gradients of all blocks over all groups of rows.

    Parameters
    ----------
    network : Network
    X : Inputs
    number, n_threads : int
        The number of this thread, and the number of threads.
    start, n_rows : int
        Where the batch starts in the order, and its number of rows.
    """
    _, layers, settings, _ = arrays_of(network)
    n_blocks = n_weight_blocks(layers, settings)
    first, last = share(number, n_threads, settings[at.N_GROUPS] * n_blocks, 1)
    for group in range(settings[at.N_GROUPS]):
        first_block = max(first - group * n_blocks, 0)
        last_block = min(last - group * n_blocks, n_blocks)
        if first_block < last_block:
            sum_blocks_of_group(network, X, number, start, n_rows, group, first_block, last_block)


@compile_kernel
def penalties(settings, sums, given):
    """Compute the penalties of all weights before the update, from the sums over their patches.

    The formula is alpha / 2 * sum of squares + l1 * sum of absolute values.

    Parameters
    ----------
    settings : vector of int64
    sums : vector of float64
        The sums over patches; see jobs.py.
    given : vector of float64
        The scalars of the epoch; layout.py names the elements.

    Returns
    -------
    float
    """
    squares = absolutes = 0.0
    n_patches = settings[at.N_PATCHES]
    start = N_SUMS + settings[at.BATCH_SIZE]
    for i in range(start, start + n_patches):
        squares += sums[i]
        absolutes += sums[i + n_patches]
    return 0.5 * given[at.ALPHA] * squares + given[at.L1] * absolutes


@compile_kernel
def train(number, n_threads, barrier, arena, job):
    """Take one step for each batch of the rows in the order of the job.

    The job has a row of scalars for each epoch, and its order has the rows of one epoch after
    those of another. The loss of each batch before its update, penalty included, is multiplied by
    the number of its rows and added to the epoch's ``EPOCH_LOSS`` in the matrix of results. Where
    a kernel shapes gradients, the norm of each step's gradient is added to ``GRADIENT_NORM`` there.
    An epoch whose loss is not finite is the last one.
    Where threads sleep too often, a job of a single epoch ends earlier, and the barrier then says
    after how many rows.

    Parameters
    ----------
    number, n_threads : int
        The number of this thread, and the number of threads.
    barrier : pointer to int64
        See :mod:`fastmlp.engines.cpu.barrier_array`.
    arena : pointer to numbers of the network's dtype
        Modified in place.
    job : pointer to int64
        The addresses and sizes of the arrays whose numbers are named in jobs.py; see
        ``jobs.describe``.
    """
    barrier, arena, job = vector_from(barrier), vector_from(arena), vector_from(job)
    network, X = network_at(arena, job), inputs_at(arena, job)
    Y, sample_weight = matrix_at(job, TARGETS, arena), vector_at(job, SAMPLE_WEIGHT, arena)
    epochs, results = matrix_at(job, SCALARS, np.float64), matrix_at(job, RESULTS, np.float64)
    sums, shares = vector_at(job, SUMS, np.float64), vector_at(job, SHARES, np.int64)
    _, _, settings, calls = arrays_of(network)
    work = view(
        vector_at(job, WORK, np.int64), number * settings[at.WORK_SIZE], settings[at.WORK_SIZE]
    )
    first_block, last_block = shares[number], shares[number + 1]
    scratch = settings[at.SCRATCH] + number * settings[at.SCRATCH_SIZE]
    scalars = view(arena, scratch, at.N_SCALARS)
    given, batch_size = row_view(epochs, 0), settings[at.BATCH_SIZE]
    step, generation = given[at.STEPS_DONE], 0
    epoch, start, end = -1, 0, 0
    while start < X.order.size:
        if start == end:
            if epoch >= 0:
                generation += 1  # the first thread has written the loss of the epoch by then
                if not wait(barrier, generation, n_threads):
                    return
                if not isfinite(results[epoch, EPOCH_LOSS]):
                    return
            epoch += 1
            end += X.order.size // epochs.shape[0]
            given = row_view(epochs, epoch)
            # No thread changes a parameter before the first barrier of the epoch.
            begin_epoch(network, scalars, given, number, n_threads, epoch)
        n_rows = min(batch_size, end - start)
        seen = np.int64(step) * batch_size
        step += 1
        if number == 0 and n_threads > 1:
            end_early(barrier, start + n_rows)
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
        if 1 < settings[at.N_GROUPS] < n_threads:
            share_groups(network, X, number, n_threads, start, n_rows)
            generation += 1
            if not wait(barrier, generation, n_threads):
                return
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
            loss += penalties(settings, sums, given)
            results[epoch, EPOCH_LOSS] += loss / total_weight * n_rows
            if calls[SHAPE_GRADIENT] != 0:
                results[epoch, GRADIENT_NORM] += sqrt(gradient_squares(settings, sums))
        if n_threads > 1 and is_last(barrier, start + n_rows):
            return
        start += n_rows


@compile_kernel
def predict(number, n_threads, barrier, arena, job):
    """Predict for all rows of X, a block of rows at a time.

    Threads take one block after the other, so that none waits for a thread that is not running.
    Each thread has room for a block of its own in the arena. Predictions are written to the job's
    matrix of outputs. The order of the job has the numbers of the rows to predict. For dense inputs
    it may be empty, which stands for all rows; these are then read where they lie, unless their
    distance suits the cache less than that of rows in the arena.

    Parameters
    ----------
    number, n_threads : int
        The number of this thread, and the number of threads.
    barrier : pointer to int64
        It counts the blocks that threads have taken; a thread that is alone does so by itself.
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
    barrier, n_all = vector_from(barrier), outputs.shape[0]
    layer = layers[n_layers - 1]
    base = number * block
    input_row = layers[0, at.INPUT_ROW]
    inputs = layers[0, at.INPUT] + base * input_row
    distance = job[VALUES * FIELDS] - np.int64(arena.ctypes.data)  # in bytes, from the arena to X
    in_place = X.order.size == 0 and X.values.shape[1] == input_row
    in_place = in_place and distance % arena.itemsize == 0
    taken = take_next(barrier) if n_threads > 1 else 0
    while 0 <= taken * block < n_all:
        top = taken * block
        bottom = min(top + block, n_all)
        if settings[at.IS_SPARSE]:
            call(calls, MULTIPLY_ROWS, network, X, top - base, base, base + bottom - top)
        elif in_place:
            inputs = distance // arena.itemsize + top * input_row
        elif X.order.size > 0:
            gather(X.values, X.order, top, arena, inputs, input_row, bottom - top)
        else:
            for row in range(bottom - top):
                x = row_view(X.values, top + row)
                copy_elements(arena, inputs + row * input_row, x, 0, x.size)
        call(calls, FORWARD, network, inputs, base, base + bottom - top, 0)
        predictions = layer[at.OUTPUT] + base * layer[at.OUTPUT_ROW]
        out_row, fan_out, n_rows = layer[at.OUTPUT_ROW], layer[at.FAN_OUT], bottom - top
        if settings[at.LOSS_ROW] < out_row:
            move_rows(arena, predictions, out_row, predictions, fan_out, n_rows, fan_out)
            out_row = fan_out
        if calls[ACTIVATE_OUTPUT] != 0:
            call(calls, ACTIVATE_OUTPUT, arena, predictions, out_row, n_rows, fan_out)
        if out_row == fan_out:
            copy_elements(row_view(outputs, top), 0, arena, predictions, n_rows * fan_out)
        else:
            for row in range(n_rows):
                p = predictions + row * out_row
                copy_elements(row_view(outputs, top + row), 0, arena, p, fan_out)
        taken = take_next(barrier) if n_threads > 1 else taken + 1
