"""Gradients of a network's outputs with respect to its inputs, on the CPU."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.sparse import issparse

from ...network.plan import Activation, Loss, TrainingPlan, keeps_derivatives
from ...network.weights import n_parameters
from ..engine import Matrix
from ..gradient_rules import numbers_of, rule_of
from . import layout as at
from .dispatch import gradient_calls
from .engine import prediction_threads
from .inputs import aligned, input_arrays
from .jobs import GRADIENTS, ORDER, describe, set_array
from .library import Entry
from .threads import borrowed_team
from .vector_unit import lanes

# Long work is handed over in parts of about this many multiply-adds, so that Ctrl-C acts soon.
_PIECE_MULTIPLY_ADDS = 5_000_000_000


@lru_cache(maxsize=32)
def gradient_layout(
    units: tuple[int, ...],
    activations: tuple[Activation, ...],
    loss: Loss,
    dtype: np.dtype,
    n_threads: int,
    is_sparse: bool,
) -> at.Layout:
    """Lay out the arena: that of a prediction, and beside it what the way back needs.

    Parameters
    ----------
    units : tuple of int
        Units of every layer, from the input features to the outputs.
    activations : tuple of Activation
        The activation of each hidden layer.
    loss : Loss
    dtype : numpy.dtype
    n_threads : int
    is_sparse : bool
        Whether X is sparse. Rows of inputs have their place all the same, since their gradients
        are dense.

    Returns
    -------
    Layout
        Deltas of outputs have a place of their own, since an output is read for several of them.
    """
    base = at.prediction_layout(units, activations, loss, dtype, n_threads, True, is_sparse)
    layers, settings = base.layers.copy(), base.settings.copy()
    settings[at.BLOCK_ROWS] = at.block_rows(units, dtype.itemsize)
    rows = n_threads * settings[at.BLOCK_ROWS]
    reserve = at.Reservations(dtype.itemsize)
    settings[at.PARAMETERS] = reserve(settings[at.N_PARAMETERS])
    settings[at.ZEROS] = reserve(settings[at.PANEL])
    row = at.row_stride(int(layers[0, at.IN_WIDTH]), dtype.itemsize, lanes(dtype))
    start = reserve(rows * row)
    for number, layer in enumerate(layers):
        layer[[at.INPUT, at.INPUT_ROW]] = start, row
        layer[at.TRANSPOSED] = reserve(layer[at.OUT_WIDTH] * layer[at.IN_WIDTH])
        row = layer[at.OUTPUT_ROW]
        layer[at.OUTPUT] = start = reserve(rows * row)
        layer[at.DELTA] = reserve(rows * row)
        if number < len(activations) and keeps_derivatives(activations[number], 0.0):
            layer[at.KEPT] = reserve(rows * row)
    return at.Layout(layers, settings, reserve.end, base.n_blocks)


def input_gradients(
    plan: TrainingPlan,
    coefs: Sequence[np.ndarray],
    intercepts: Sequence[np.ndarray],
    X: Matrix,
    units: Sequence[int] | None,
    of_preactivations: bool,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Compute the gradients of outputs with respect to inputs, for each row.

    Parameters and result are those of :func:`fastmlp.engines.devices.input_gradients`.
    """
    n_rows, n_features = X.shape
    is_sparse = issparse(X)
    wanted = numbers_of(units)
    work = (1 + wanted.size) * n_parameters(plan.layer_units)
    n_threads = prediction_threads(n_features, work, X, n_jobs)
    layout = gradient_layout(
        plan.layer_units, plan.activations, plan.loss, plan.dtype, n_threads, is_sparse
    )
    arena = aligned(layout.size, plan.dtype)
    at.pack_layers(coefs, intercepts, arena, int(layout.settings[at.PARAMETERS]), layout)
    at.transpose_layers(coefs, layout.layers, arena, int(layout.settings[at.PANEL]))
    calls = gradient_calls(plan.activations, plan.loss, plan.dtype, is_sparse)
    order = np.arange(n_rows)
    result = np.empty((n_rows, wanted.size * n_features), plan.dtype)
    # They are in the order of the numbers in jobs.py.
    arrays = (
        layout.layers, layout.settings, calls, *input_arrays(X, plan.dtype), order,
        result, wanted, np.array([rule_of(plan, of_preactivations)]),
    )  # fmt: skip
    job = describe(arrays)
    entry = Entry("differentiate", arena, job)
    multiple = n_threads * int(layout.settings[at.BLOCK_ROWS])
    piece = max(1, _PIECE_MULTIPLY_ADDS // (work * multiple)) * multiple
    with borrowed_team() as team:
        for first in range(0, n_rows, piece):
            rows = slice(first, first + piece)
            set_array(job, ORDER, order[rows])
            set_array(job, GRADIENTS, result[rows])
            team.run(entry, keeps=(arrays, job), n_threads=n_threads, may_be_fewer=True)
    return result.reshape(n_rows, wanted.size, n_features)
