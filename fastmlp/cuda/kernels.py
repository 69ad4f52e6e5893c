"""The training step and prediction as blocks of GPU threads see them.

A step has the two phases of the CPU's (see :mod:`fastmlp.cpu.kernels`). In the first, a
block takes a few rows of the batch through all layers and back. In the second, a block
computes a tile of the weight gradient and updates the weights from registers. Between
them every block has to be done: a barrier of the grid, or the end of a launch. Every
number is computed by one thread, or summed over threads in one fixed order, so results
do not depend on the number of blocks.
"""

from functools import cache
from math import exp

import numba
import numpy as np
from numba import cuda

from ..formulas import activations, losses, updates
from ..plan import Activation, Loss, Optimizer
from . import layout as at
from .jit import compile_device, compile_formula, compile_kernel
from .support import is_simulated

# Threads of a block. The simulator pays for each by itself.
THREADS = 64 if is_simulated() else 256
# Rows that a block takes through the layers together: a weight that was read serves all.
ROWS = 4
TILE = at.TILE
TILE_ROWS_A_THREAD = 4
assert TILE * TILE == TILE_ROWS_A_THREAD * THREADS

# Plain integers, which the compiler takes as constants.
RELU, TANH, LOGISTIC = int(Activation.RELU), int(Activation.TANH), int(Activation.LOGISTIC)
SQUARED_ERROR, POISSON = int(Loss.SQUARED_ERROR), int(Loss.POISSON)
CROSS_ENTROPY = int(Loss.CROSS_ENTROPY)
SGD, NESTEROV, ADAM = int(Optimizer.SGD), int(Optimizer.NESTEROV), int(Optimizer.ADAM)

logistic = compile_formula(activations.logistic)
logistic_derivative = compile_formula(activations.logistic_derivative)
hyperbolic_tangent = compile_formula(activations.hyperbolic_tangent)
hyperbolic_tangent_derivative = compile_formula(activations.hyperbolic_tangent_derivative)
relu = compile_formula(activations.relu)
relu_derivative = compile_formula(activations.relu_derivative)
squared_error = compile_formula(losses.squared_error)
poisson = compile_formula(losses.poisson)
cross_entropy = compile_formula(losses.cross_entropy)
binary_cross_entropy = compile_formula(losses.binary_cross_entropy)
output_delta = compile_formula(losses.delta)
gradient = compile_formula(updates.gradient)
velocity = compile_formula(updates.velocity)
nesterov_step = compile_formula(updates.nesterov_step)
first_moment = compile_formula(updates.first_moment)
second_moment = compile_formula(updates.second_moment)
scaled_step = compile_formula(updates.scaled_step)


@compile_device
def activate(activation, z):
    """A hidden unit's activation."""
    if activation == RELU:
        return relu(z)
    if activation == TANH:
        return hyperbolic_tangent(z)
    if activation == LOGISTIC:
        return logistic(z)
    return z


@compile_device
def times_derivative(activation, a, delta):
    """A delta times the derivative at the activation `a`."""
    if activation == RELU:
        return delta * relu_derivative(a)
    if activation == TANH:
        return delta * hyperbolic_tangent_derivative(a)
    if activation == LOGISTIC:
        return delta * logistic_derivative(a)
    return delta


@compile_device
def activate_output(loss, arena, p, n_outputs):
    """Replace one row of output pre-activations by predictions."""
    if loss == CROSS_ENTROPY:
        largest = arena[p]
        for j in range(1, n_outputs):
            largest = max(largest, arena[p + j])
        total = largest - largest
        for j in range(n_outputs):
            e = exp(arena[p + j] - largest)
            arena[p + j] = e
            total += e
        for j in range(n_outputs):
            arena[p + j] /= total
    elif loss == POISSON:
        for j in range(n_outputs):
            arena[p + j] = exp(arena[p + j])
    elif loss != SQUARED_ERROR:
        for j in range(n_outputs):
            arena[p + j] = logistic(arena[p + j])


@compile_device
def loss_and_delta(loss, arena, p, Y, source, n_outputs, weight, eps):
    """The loss of one row; its predictions are replaced by deltas."""
    total = weight - weight
    for j in range(n_outputs):
        y, prediction = Y[source, j], arena[p + j]
        if loss == SQUARED_ERROR:
            total += squared_error(y, prediction)
        elif loss == POISSON:
            total += poisson(y, prediction)
        elif loss == CROSS_ENTROPY:
            total += cross_entropy(y, prediction, eps)
        else:
            total += binary_cross_entropy(y, prediction, eps)
        arena[p + j] = output_delta(y, prediction) * weight
    if loss == SQUARED_ERROR:
        total /= n_outputs
    return total * weight


@compile_device
def apply_update(optimizer, arena, w, n_parameters, batch_sum, alpha, inverse, rate, constants):
    """Change one parameter, at `w`, and its optimiser state; its new value."""
    first, second = w + n_parameters, w + 2 * n_parameters
    value = arena[w]
    g = gradient(batch_sum, value, alpha, inverse)
    if optimizer == ADAM:
        m = first_moment(arena[first], g, constants[at.BETA_1], constants[at.ONE_MINUS_BETA_1])
        v = second_moment(arena[second], g, constants[at.BETA_2], constants[at.ONE_MINUS_BETA_2])
        arena[first] = m
        arena[second] = v
        value += scaled_step(m, v, rate, constants[at.EPSILON])
    elif optimizer == SGD or optimizer == NESTEROV:  # noqa: SIM109  tuples are no kernel code
        v = velocity(arena[first], g, rate, constants[at.MOMENTUM])
        arena[first] = v
        if optimizer == NESTEROV:
            value += nesterov_step(v, g, rate, constants[at.MOMENTUM])
        else:
            value += v
    else:
        arena[first] = g
    arena[w] = value
    return value


@compile_device
def block_sum(sums, value):
    """Sum of a number of each thread of a block, in a fixed order, through a shared array."""
    thread = cuda.threadIdx.x
    sums[thread] = value
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if thread < half:
            sums[thread] += sums[thread + half]
        cuda.syncthreads()
        half //= 2
    total = sums[0]
    cuda.syncthreads()
    return total


@cache
def kernels(dtype):
    """The kernels for arenas of one dtype, as a dict by name."""
    FLOAT = numba.from_dtype(np.dtype(dtype))
    N_PARTIAL = ROWS * THREADS

    @compile_device
    def multiply_rows(
        arena, a, n_rows, depth, b, width, out, biases, activation, derivative_at
    ):  # fmt: skip
        """A few rows times a matrix, with what follows; by all threads of a block.

        The rows start at `a`. With `biases` the result is a layer's activation; with
        `derivative_at`, where the activations are, it is a delta. (-1: neither.)
        """
        partial = cuda.shared.array(N_PARTIAL, FLOAT)
        thread = cuda.threadIdx.x
        n_splits = max(1, min(THREADS // width, depth))
        chunk = (depth + n_splits - 1) // n_splits
        last = n_rows - 1
        for base in range(0, width, THREADS):
            column, split = base + thread, 0
            if width < THREADS:
                column, split = thread % width, thread // width
            works = column < width and split < n_splits
            sum_0 = FLOAT(0)
            sum_1 = FLOAT(0)
            sum_2 = FLOAT(0)
            sum_3 = FLOAT(0)
            if works:
                first_k = split * chunk
                last_k = min(depth, first_k + chunk)
                row_0 = a
                row_1 = a + min(1, last) * depth
                row_2 = a + min(2, last) * depth
                row_3 = a + min(3, last) * depth
                for k in range(first_k, last_k):
                    w = arena[b + k * width + column]
                    sum_0 += arena[row_0 + k] * w
                    sum_1 += arena[row_1 + k] * w
                    sum_2 += arena[row_2 + k] * w
                    sum_3 += arena[row_3 + k] * w
            partial[thread] = sum_0
            partial[THREADS + thread] = sum_1
            partial[2 * THREADS + thread] = sum_2
            partial[3 * THREADS + thread] = sum_3
            cuda.syncthreads()
            if works and split == 0:
                for row in range(n_rows):
                    total = partial[row * THREADS + thread]
                    for other in range(1, n_splits):
                        total += partial[row * THREADS + other * width + thread]
                    to = row * width + column
                    if biases >= 0:
                        total += arena[biases + column]
                        total = activate(activation, total)
                    elif derivative_at >= 0:
                        total = times_derivative(activation, arena[derivative_at + to], total)
                    arena[out + to] = total
            cuda.syncthreads()

    @compile_device
    def gather(arena, layers, X, order, start, first, n_rows):
        """Copy a few rows of X, in the order of the epoch, to the inputs of the first layer."""
        n_features = layers[0, at.FAN_IN]
        for row in range(n_rows):
            source = order[start + first + row]
            to = layers[0, at.INPUT] + (first + row) * n_features
            for k in range(cuda.threadIdx.x, n_features, THREADS):
                arena[to + k] = X[source, k]
        cuda.syncthreads()

    @compile_device
    def forward(arena, layers, settings, first, n_rows):
        """Activations of all layers for a few rows of the batch; the output stays linear."""
        n_layers = settings[at.N_LAYERS]
        for number in range(n_layers):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            is_last = number == n_layers - 1
            multiply_rows(
                arena, layers[number, at.INPUT] + first * fan_in, n_rows, fan_in,
                layers[number, at.WEIGHTS], fan_out,
                layers[number, at.OUTPUT] + first * fan_out, layers[number, at.BIASES],
                0 if is_last else settings[at.ACTIVATION], -1,
            )  # fmt: skip

    @compile_device
    def backward(arena, layers, settings, first, n_rows):
        """Deltas of all hidden layers for a few rows of the batch."""
        for number in range(settings[at.N_LAYERS] - 1, 0, -1):
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            multiply_rows(
                arena, layers[number, at.DELTA] + first * fan_out, n_rows, fan_out,
                layers[number, at.TRANSPOSED], fan_in,
                layers[number - 1, at.DELTA] + first * fan_in, -1,
                settings[at.ACTIVATION], layers[number - 1, at.OUTPUT] + first * fan_in,
            )  # fmt: skip

    @compile_device
    def rows_phase(
        arena, layers, settings, constants, X, Y, sample_weight, order, inverses, row_losses, step
    ):  # fmt: skip
        """The first phase of a step: forward, loss and deltas back, a few rows a block."""
        batch_size, n_layers = settings[at.BATCH_SIZE], settings[at.N_LAYERS]
        loss, last = settings[at.LOSS], n_layers - 1
        start = step * batch_size
        n_rows = min(batch_size, order.size - start)
        n_outputs, outputs = layers[last, at.FAN_OUT], layers[last, at.OUTPUT]
        slab = max(1, min(ROWS, (n_rows + cuda.gridDim.x - 1) // cuda.gridDim.x))
        for first in range(cuda.blockIdx.x * slab, n_rows, cuda.gridDim.x * slab):
            n_here = min(slab, n_rows - first)
            gather(arena, layers, X, order, start, first, n_here)
            forward(arena, layers, settings, first, n_here)
            row = first + cuda.threadIdx.x
            if cuda.threadIdx.x < n_here:
                source = order[start + row]
                weight = FLOAT(1)
                if settings[at.IS_WEIGHTED]:
                    weight = sample_weight[source]
                p = outputs + row * n_outputs
                activate_output(loss, arena, p, n_outputs)
                row_losses[start + row] = (
                    loss_and_delta(
                        loss, arena, p, Y, source, n_outputs, weight,
                        constants[at.MACHINE_EPSILON],
                    ) * inverses[step] * n_rows
                )  # fmt: skip
            cuda.syncthreads()
            backward(arena, layers, settings, first, n_here)

    @compile_device
    def weights_phase(arena, layers, settings, constants, n_in_order, rates, inverses, norms, step):
        """The second phase of a step: weight gradients, and updates, a tile a block."""
        squares = cuda.shared.array(THREADS, FLOAT)
        batch_size, n_tiles = settings[at.BATCH_SIZE], settings[at.N_TILES]
        n_parameters, optimizer = settings[at.N_PARAMETERS], settings[at.OPTIMIZER]
        n_rows = min(batch_size, n_in_order - step * batch_size)
        alpha, inverse, rate = constants[at.ALPHA], inverses[step], rates[step]
        # Neighbouring threads have neighbouring columns, and a thread some rows below each other.
        thread_column = cuda.threadIdx.x % TILE
        thread_row = cuda.threadIdx.x // TILE * TILE_ROWS_A_THREAD
        for tile in range(cuda.blockIdx.x, n_tiles, cuda.gridDim.x):
            number = 0
            while number + 1 < settings[at.N_LAYERS] and tile >= layers[number + 1, at.FIRST_TILE]:
                number += 1
            fan_in, fan_out = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
            place = tile - layers[number, at.FIRST_TILE]
            top = place // layers[number, at.TILE_COLUMNS] * TILE + thread_row
            column = place % layers[number, at.TILE_COLUMNS] * TILE + thread_column
            deltas, inputs = layers[number, at.DELTA], layers[number, at.INPUT]
            square = FLOAT(0)
            if column < fan_out:
                last = fan_in - 1
                sum_0 = FLOAT(0)
                sum_1 = FLOAT(0)
                sum_2 = FLOAT(0)
                sum_3 = FLOAT(0)
                i_0 = min(top, last)
                i_1 = min(top + 1, last)
                i_2 = min(top + 2, last)
                i_3 = min(top + 3, last)
                bias_sum = FLOAT(0)
                for row in range(n_rows):
                    delta = arena[deltas + row * fan_out + column]
                    bias_sum += delta
                    a = inputs + row * fan_in
                    sum_0 += arena[a + i_0] * delta
                    sum_1 += arena[a + i_1] * delta
                    sum_2 += arena[a + i_2] * delta
                    sum_3 += arena[a + i_3] * delta
                for i in range(TILE_ROWS_A_THREAD):
                    if top + i < fan_in:
                        total = sum_0
                        if i == 1:
                            total = sum_1
                        elif i == 2:
                            total = sum_2
                        elif i == 3:
                            total = sum_3
                        w = layers[number, at.WEIGHTS] + (top + i) * fan_out + column
                        square += arena[w] * arena[w]
                        value = apply_update(
                            optimizer, arena, w, n_parameters, total, alpha, inverse, rate,
                            constants,
                        )  # fmt: skip
                        if number > 0:
                            arena[layers[number, at.TRANSPOSED] + column * fan_in + top + i] = value
                if top == 0:
                    apply_update(
                        optimizer, arena, layers[number, at.BIASES] + column, n_parameters,
                        bias_sum, FLOAT(0), inverse, rate, constants,
                    )  # fmt: skip
            if alpha > 0:
                norm = block_sum(squares, square)
                if cuda.threadIdx.x == 0:
                    norms[step * n_tiles + tile] = norm * alpha * inverse * n_rows / 2

    @compile_kernel
    def train_rows(
        arena, layers, settings, constants, X, Y, sample_weight, order, inverses, row_losses, step
    ):  # fmt: skip
        """The first phase of one step, as a launch of its own."""
        rows_phase(
            arena, layers, settings, constants, X, Y, sample_weight, order, inverses, row_losses,
            step,
        )  # fmt: skip

    @compile_kernel
    def train_weights(arena, layers, settings, constants, n_in_order, rates, inverses, norms, step):
        """The second phase of one step, as a launch of its own."""
        weights_phase(arena, layers, settings, constants, n_in_order, rates, inverses, norms, step)

    @compile_kernel
    def train(
        arena, layers, settings, constants, X, Y, sample_weight, order, rates, inverses,
        row_losses, norms, first_step, last_step,
    ):  # fmt: skip
        """Many steps in one cooperative launch: all blocks have to be resident at once."""
        grid = cuda.cg.this_grid()
        for step in range(first_step, last_step):
            rows_phase(
                arena, layers, settings, constants, X, Y, sample_weight, order, inverses,
                row_losses, step,
            )  # fmt: skip
            grid.sync()
            weights_phase(
                arena, layers, settings, constants, order.size, rates, inverses, norms, step
            )
            grid.sync()

    @compile_kernel
    def predict(arena, layers, settings, X, order, first, n_rows, outputs):
        """Predictions for some rows of X, from `first` on."""
        last = settings[at.N_LAYERS] - 1
        n_outputs = layers[last, at.FAN_OUT]
        for top in range(cuda.blockIdx.x * ROWS, n_rows, cuda.gridDim.x * ROWS):
            n_here = min(ROWS, n_rows - top)
            gather(arena, layers, X, order, first, top, n_here)
            forward(arena, layers, settings, top, n_here)
            if cuda.threadIdx.x < n_here:
                row = top + cuda.threadIdx.x
                p = layers[last, at.OUTPUT] + row * n_outputs
                activate_output(settings[at.LOSS], arena, p, n_outputs)
                for j in range(n_outputs):
                    outputs[first + row, j] = arena[p + j]
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
        """Sum of all values, by one block, in a fixed order."""
        sums = cuda.shared.array(THREADS, numba.float64)
        total = 0.0
        for i in range(cuda.threadIdx.x, values.size, THREADS):
            total += values[i]
        total = block_sum(sums, total)
        if cuda.threadIdx.x == 0:
            result[0] = total

    return {
        "train_rows": train_rows, "train_weights": train_weights, "train": train,
        "predict": predict, "transpose": transpose, "add_up": add_up,
    }  # fmt: skip
