"""The compiled training step and prediction, as one thread of a team sees them.

A step has two phases. In the first, threads share the rows of the batch: gather,
forward, loss and deltas back. In the second, they share the weights: a block of the
weight gradient is computed and consumed by the optimiser at once, so that the gradient
never travels to memory. Where a batch's activations are many and the weights few, its rows
form groups instead, as many for any number of threads: the gradient of each group is
summed in the first phase, and the second adds these sums, so that activations never
travel between cores. Every number is computed by one thread in one fixed order, so
results do not depend on the number of threads.
"""

from math import sqrt

import numpy as np

from ...network.formulas import updates
from ...network.plan import Optimizer
from . import layout as at
from .gemm import TILE_ROWS
from .indirect_call import call
from .jit import compile_entry, compile_formula, compile_kernel
from .row_pass import gather
from .threads import wait
from .views import copy_elements, matrix_at, row_view, vector_at, view
from .weight_pass import gradient_squares, n_weight_blocks
from .work_sharing import EPOCH_LOSS, GRADIENT_NORM, N_SUMS, share

adam_learning_rate = compile_formula(updates.adam_learning_rate)
nadam_learning_rate = compile_formula(updates.nadam_learning_rate)
nadam_gradient_share = compile_formula(updates.nadam_gradient_share)


@compile_kernel
def batch_weight(sample_weight, order, start, stop):
    """Total sample weight of a batch; its number of rows without weights."""
    if sample_weight.size == 0:
        return np.float64(stop - start)
    total = 0.0
    for i in range(start, stop):
        total += sample_weight[order[i]]
    return total


# Arrays of a job of training.
(LAYERS, SETTINGS, HYPER, INPUTS, FEATURES, ROW_STARTS, WORK, TARGETS, SAMPLE_WEIGHT, ORDER, SUMS,
 SHARES) = range(12)  # fmt: skip


@compile_entry
def train(number, n_threads, barrier, arena, job):
    """Steps over the rows in the order given; `hyper` holds the step's numbers and steps done.

    For sparse inputs X holds the values, and `features` and `row_starts` their places (see
    :mod:`fastmlp.engines.cpu.sparse`); `work` has a part for each thread.

    The mean of the batches' losses before their updates, weighted by their rows, is added to
    ``sums[EPOCH_LOSS]`` as a sum over rows; if gradients are shaped, the norm of each step's to
    ``sums[GRADIENT_NORM]``.
    """
    layers = matrix_at(job, LAYERS, np.int64)
    settings = vector_at(job, SETTINGS, np.int64)
    hyper = vector_at(job, HYPER, np.float64)
    X = matrix_at(job, INPUTS, arena)
    features = vector_at(job, FEATURES, np.int32)
    row_starts = vector_at(job, ROW_STARTS, np.int64)
    work = vector_at(job, WORK, np.int64)
    Y = matrix_at(job, TARGETS, arena)
    sample_weight = vector_at(job, SAMPLE_WEIGHT, arena)
    order = vector_at(job, ORDER, np.int64)
    sums = vector_at(job, SUMS, np.float64)
    shares = vector_at(job, SHARES, np.int64)
    scratch = settings[at.SCRATCH] + number * settings[at.SCRATCH_SIZE]
    mine = view(arena, scratch, at.N_HYPER)
    n_layers, batch_size = settings[at.N_LAYERS], settings[at.BATCH_SIZE]
    n_blocks = n_weight_blocks(layers, settings)
    first_block, last_block = shares[number], shares[number + 1]
    block = settings[at.BLOCK_ROWS]
    inputs = layers[0, at.INPUT] + number * block * layers[0, at.INPUT_ROW]
    targets = settings[at.TARGETS] + number * block * layers[n_layers - 1, at.OUTPUT_ROW]
    for i in range(at.N_HYPER):
        mine[i] = hyper[i]
    n_groups = settings[at.N_GROUPS]
    n_parts = n_groups if n_groups > 1 else n_threads
    first_part, last_part = share(number, n_threads, n_parts, 1)
    if settings[at.KEEP_AT] >= 0:
        # Before the first barrier no one changes a parameter.
        first, last = share(number, n_threads, settings[at.N_PARAMETERS], at.COPY_ELEMENTS)
        source, to = settings[at.PARAMETERS] + first, settings[at.KEEP_AT] + first
        copy_elements(arena, to, arena, source, last - first)
    my_work = view(work, number * settings[at.WORK_SIZE], settings[at.WORK_SIZE])
    generation = 0
    step = hyper[at.STEPS_DONE]
    for start in range(0, order.size, batch_size):
        stop = min(start + batch_size, order.size)
        n_rows = stop - start
        seen = np.int64(step) * batch_size
        step += 1
        total_weight = batch_weight(sample_weight, order, start, stop)
        mine[at.INVERSE_WEIGHT] = 1 / total_weight
        if settings[at.OPTIMIZER] == Optimizer.ADAM:
            mine[at.LEARNING_RATE] = adam_learning_rate(
                hyper[at.LEARNING_RATE], hyper[at.BETA_1], hyper[at.BETA_2], step
            )
        elif settings[at.OPTIMIZER] == Optimizer.NADAM:
            mine[at.LEARNING_RATE] = nadam_learning_rate(
                hyper[at.LEARNING_RATE], hyper[at.BETA_1], hyper[at.BETA_2], step
            )
            mine[at.GRADIENT_SHARE] = nadam_gradient_share(hyper[at.BETA_1], step)

        for part in range(first_part, last_part):
            first, last = share(part, n_parts, n_rows, TILE_ROWS)
            for top in range(first, last, block):
                bottom = min(top + block, last)
                if settings[at.IS_SPARSE]:
                    call(
                        settings[at.CALL_MULTIPLY_ROWS],
                        arena, layers, settings, X, features, row_starts, order, start,
                        top, bottom,
                    )  # fmt: skip
                else:
                    row_stride = layers[0, at.INPUT_ROW]
                    gather(X, order, start + top, arena, inputs, row_stride, bottom - top)
                call(
                    settings[at.CALL_FORWARD],
                    arena, layers, settings, inputs, top, bottom, seen,
                )  # fmt: skip
                call(
                    settings[at.CALL_FINISH],
                    arena, layers, settings, targets, Y, sample_weight, order, start, sums,
                    top, bottom,
                )  # fmt: skip
                call(settings[at.CALL_BACKWARD], arena, layers, settings, top, bottom)
            if n_groups > 1 and last > first:
                call(
                    settings[at.CALL_SUM_GROUP],
                    arena, layers, settings, scratch, X, order, start, first, last - first,
                    settings[at.PARTIAL_SUMS] + part * settings[at.N_PARAMETERS],
                )  # fmt: skip
        generation += 1
        if not wait(barrier, generation, n_threads):
            return

        loss = 0.0
        if number == 0:
            for row in range(n_rows):
                loss += sums[N_SUMS + row]
        call(
            settings[at.CALL_UPDATE],
            arena, layers, settings, sums, scratch, X, features, row_starts, my_work,
            order, start, n_rows, first_block, last_block,
        )  # fmt: skip
        generation += 1
        if not wait(barrier, generation, n_threads):
            return
        if settings[at.CALL_FINISH_UPDATE] != 0:
            call(
                settings[at.CALL_FINISH_UPDATE],
                arena, layers, settings, sums, scratch, first_block, last_block,
            )  # fmt: skip
            generation += 1
            if not wait(barrier, generation, n_threads):
                return
        if settings[at.CALL_LIMIT] != 0:
            first, last = share(number, n_threads, settings[at.N_PANELS], 1)
            call(settings[at.CALL_LIMIT], arena, layers, settings, scratch, first, last)
            generation += 1
            if not wait(barrier, generation, n_threads):
                return
        if number == 0:
            norm = absolutes = 0.0
            for i in range(n_blocks):
                norm += sums[N_SUMS + batch_size + i]
                absolutes += sums[N_SUMS + batch_size + n_blocks + i]
            loss += 0.5 * hyper[at.ALPHA] * norm + hyper[at.L1] * absolutes
            sums[EPOCH_LOSS] += loss / total_weight * n_rows
            if settings[at.CALL_SHAPE] != 0:
                sums[GRADIENT_NORM] += sqrt(gradient_squares(layers, settings, sums))


@compile_entry
def predict(number, n_threads, barrier, arena, job):
    """Predictions for all rows of X, a block at a time; each thread has its own block.

    The job is layers, settings, X, features, row starts, order and outputs. Sparse inputs are
    as for :func:`train`; `order` is then the numbers of all rows.
    """
    layers = matrix_at(job, 0, np.int64)
    settings = vector_at(job, 1, np.int64)
    X = matrix_at(job, 2, arena)
    features = vector_at(job, 3, np.int32)
    row_starts = vector_at(job, 4, np.int64)
    order = vector_at(job, 5, np.int64)
    outputs = matrix_at(job, 6, arena)
    n_layers, block = settings[at.N_LAYERS], settings[at.BLOCK_ROWS]
    first, last = share(number, n_threads, outputs.shape[0], block)
    layer = layers[n_layers - 1]
    base = number * block
    inputs = layers[0, at.INPUT] + base * layers[0, at.INPUT_ROW]
    for top in range(first, last, block):
        bottom = min(top + block, last)
        if settings[at.IS_SPARSE]:
            call(
                settings[at.CALL_MULTIPLY_ROWS],
                arena, layers, settings, X, features, row_starts, order, top - base,
                base, base + bottom - top,
            )  # fmt: skip
        else:
            for row in range(bottom - top):
                x = row_view(X, top + row)
                copy_elements(arena, inputs + row * layers[0, at.INPUT_ROW], x, 0, x.size)
        call(
            settings[at.CALL_FORWARD],
            arena, layers, settings, inputs, base, base + bottom - top, 0,
        )  # fmt: skip
        predictions = layer[at.OUTPUT] + base * layer[at.OUTPUT_ROW]
        if settings[at.CALL_OUTPUT] != 0:
            call(
                settings[at.CALL_OUTPUT],
                arena, predictions, layer[at.OUTPUT_ROW], bottom - top, layer[at.FAN_OUT],
            )  # fmt: skip
        for row in range(top, bottom):
            p = predictions + (row - top) * layer[at.OUTPUT_ROW]
            copy_elements(row_view(outputs, row), 0, arena, p, layer[at.FAN_OUT])
