"""Gradients of a network's outputs with respect to its inputs, on the CPU."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import issparse

from ..engine import Matrix
from ..gradient_rules import numbers_of, rule_of
from . import layout as at
from .dispatch import gradient_calls
from .engine import prediction_threads
from .few_gradients import gradients_of_few
from .gradient_layout import gradient_layout
from .inputs import aligned, input_arrays
from .jobs import GRADIENTS, ORDER, describe, set_array
from .library import Entry
from .prediction import NetworkInPlace
from .threads import borrowed_team

# Long work is handed over in parts of about this many multiply-adds, so that Ctrl-C acts soon.
_PIECE_MULTIPLY_ADDS = 5_000_000_000
# So few numbers of inputs and gradients are copied to and from memory that is kept.
_FEW_NUMBERS = 20_000


def input_gradients(
    network: NetworkInPlace,
    arrays: Sequence[np.ndarray],
    X: Matrix,
    units: Sequence[int] | None,
    of_preactivations: bool,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Compute the gradients of outputs with respect to inputs, for each row.

    Parameters and result are those of :func:`fastmlp.engines.devices.input_gradients`.
    """
    plan, (n_rows, n_features) = network.plan, X.shape
    is_sparse = issparse(X)
    wanted, rule = numbers_of(units), rule_of(plan, of_preactivations)
    work = (1 + wanted.size) * network.n_parameters
    n_threads = prediction_threads(plan.layer_units[0], work, X, n_jobs)
    n_numbers = n_rows * n_features * (1 + wanted.size)
    if n_threads == 1 and not is_sparse and n_numbers <= _FEW_NUMBERS:
        found = gradients_of_few(network, arrays, X, wanted, rule)
        return found.reshape(n_rows, wanted.size, n_features)
    layout = gradient_layout(
        plan.layer_units, plan.activations, plan.loss, plan.dtype, n_threads, True, is_sparse
    )
    arena = aligned(layout.size, plan.dtype)
    coefs, intercepts = arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]
    at.pack_layers(coefs, intercepts, arena, int(layout.settings[at.PARAMETERS]), layout)
    at.transpose_layers(coefs, layout.layers, arena, int(layout.settings[at.PANEL]))
    calls = gradient_calls(plan.activations, plan.loss, plan.dtype, is_sparse)
    order = np.arange(n_rows)
    result = np.empty((n_rows, wanted.size * n_features), plan.dtype)
    # They are in the order of the numbers in jobs.py.
    described = (
        layout.layers, layout.settings, calls, *input_arrays(X, plan.dtype), order,
        result, wanted, np.array([rule]),
    )  # fmt: skip
    job = describe(described)
    entry = Entry("differentiate", arena, job)
    multiple = n_threads * int(layout.settings[at.BLOCK_ROWS])
    piece = max(1, _PIECE_MULTIPLY_ADDS // (work * multiple)) * multiple
    with borrowed_team() as team:
        for first in range(0, n_rows, piece):
            rows = slice(first, first + piece)
            set_array(job, ORDER, order[rows])
            set_array(job, GRADIENTS, result[rows])
            team.run(entry, keeps=(described, job), n_threads=n_threads, may_be_fewer=True)
    return result.reshape(n_rows, wanted.size, n_features)
