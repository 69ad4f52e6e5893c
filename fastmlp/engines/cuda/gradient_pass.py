"""The kernel of input gradients: rows go forward through all layers, and back to the inputs.

A block takes a group of four rows, as for a prediction. For each output that is asked for, its
derivative goes back by the products of a training step, in which the inputs are one more layer; see
:func:`fastmlp.engines.cuda.layout.gradient_layout`.
"""

import numba
import numpy as np

from ...network.formulas import activations
from ..gradient_rules import FIRST_OF_TWO, OF_OUTPUT, OF_SOFTMAX, PREDICTED
from . import layout as at
from .arguments import Group
from .blocks import ALIGNMENT, N_SHARED, THREADS
from .elements import load, store
from .jit import compile_device, compile_formula, compile_kernel, number_like
from .jit import inside_kernels as cuda
from .kernels import places_of_rows
from .outputs import OutputPart, output_functions
from .row_pass import copy_group, make_multiply_group
from .specialization import specialized

logistic_derivative = compile_formula(activations.logistic_derivative)


@compile_device
def _predicted_unit(part):
    """Return the output of the class that a row predicts: the first one of several largest.

    FIRST_OF_TWO stands for the class that has no output of its own.
    """
    largest = load(part.arena, part.place)
    if part.n_outputs == 1:
        return 0 if largest > number_like(0.5, largest) else FIRST_OF_TWO
    best = 0
    for j in range(1, part.n_outputs):
        p = load(part.arena, part.place + at.GROUP * j)
        if p > largest:
            best, largest = j, p
    return best


@compile_device
def _start_back(part, deltas, unit, rule):
    """Write the derivatives of an output by the pre-activations, in a thread's columns of a row.

    Parameters
    ----------
    part : OutputPart
        The activations.
    deltas : int
        Place of the row's first derivative in the arena. They lie GROUP elements apart.
    unit : int
        The number of the output, or PREDICTED.
    rule : int
        Which derivative the output's activation has; see gradient_rules.py.
    """
    if unit == PREDICTED:
        unit = _predicted_unit(part)
    is_first, unit = unit == FIRST_OF_TWO, max(unit, 0)
    own = load(part.arena, part.place + at.GROUP * unit)
    slope, zero = number_like(1, own), number_like(0, own)
    if rule == OF_OUTPUT:
        slope = own
    elif rule > OF_OUTPUT:  # a probability
        slope = logistic_derivative(own)
    j = part.column
    while j < part.n_outputs:
        delta = zero
        if j == unit:
            delta = -slope if is_first else slope
        elif rule == OF_SOFTMAX:
            delta = -own * load(part.arena, part.place + at.GROUP * j)
        store(part.arena, deltas + at.GROUP * j, delta)
        j += part.stride


@specialized
def gradient_kernels(dtype, specialization):
    """Make the kernel of input gradients.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the arena's elements.
    specialization : Specialization
        The result of :func:`~.specialization.gradient_specialization`.

    Returns
    -------
    dict
        The kernel by its name.
    """
    FLOAT = numba.from_dtype(np.dtype(dtype))
    multiply_group = make_multiply_group(dtype, specialization)
    activate_outputs = output_functions(specialization).activate_outputs

    @compile_kernel(specialization, THREADS)
    def differentiate(network, X, n_rows, units, rule, gradients):
        """Compute gradients of outputs with respect to inputs, for the first rows of X.

        Each block uses one group of rows of the arena again and again, as in predictions. The
        gradients of a row are written one output after the other.
        """
        shared = cuda.shared.array(N_SHARED, FLOAT, ALIGNMENT)
        arena, layers, settings = network.arena, network.layers, network.settings
        last, thread = settings[at.N_LAYERS] - 1, cuda.threadIdx.x
        n_features, n_outputs = layers[0, at.FAN_OUT], layers[last, at.FAN_OUT]
        mine, row, column = cuda.blockIdx.x * at.GROUP, thread % at.GROUP, thread // at.GROUP
        inputs = layers[0, at.OUTPUT] + mine * n_features
        part = OutputPart(
            arena, layers[last, at.OUTPUT] + mine * n_outputs + row, n_outputs, column,
            THREADS // at.GROUP,
        )  # fmt: skip
        deltas = layers[last, at.DELTA] + mine * n_outputs + row
        top = mine
        while top < n_rows:
            group = Group(mine, min(at.GROUP, n_rows - top))
            copy_group(
                thread, THREADS, arena, inputs, X,
                places_of_rows(top, group.n_rows - 1, n_features), n_features, group.n_rows,
            )  # fmt: skip
            cuda.syncthreads()
            # The first pass goes forward, and one goes back for each output: in one loop, so that
            # the kernel has the code of products once.
            for k in range(-1, units.size):
                is_back = k >= 0
                if is_back:
                    _start_back(part, deltas, units[k], rule)
                    cuda.syncthreads()
                for i in range(last):
                    number = last - i if is_back else i + 1
                    multiply_group(True, shared, network, number, is_back, group, 0)
                if not is_back:
                    activate_outputs(settings[at.LOSS], part)
                elif row < group.n_rows:
                    # The rows of inputs have been read, and gradients have taken their place.
                    for j in range(column, n_features, THREADS // at.GROUP):
                        gradient = load(arena, inputs + row + at.GROUP * j)
                        gradients[top + row, k * n_features + j] = gradient
                cuda.syncthreads()
            top += cuda.gridDim.x * at.GROUP

    return {"differentiate": differentiate}
